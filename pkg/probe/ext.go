package probe

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Ext holds facts from an ext2, ext3 or ext4 superblock. Sizes are bytes; times are seconds since 1970, 0 for never.
type Ext struct {
	NeedsRecovery bool // the journal holds changes that are not yet in the filesystem
	Clean         bool // the state word says that it was cleanly unmounted
	Errors        bool // the kernel found an inconsistency
	ErrorCount    uint32
	OrphanInode   uint32 // first inode of the orphan list; 0 for none

	Compat, Incompat, ROCompat uint32
	Features                   []string // names and order as in dumpe2fs

	BlockSize            int64
	Blocks, FreeBlocks   uint64
	ReservedBlocks       uint64
	Inodes, FreeInodes   uint32
	InodeSize            int
	MountCount           int
	MaxMountCount        int
	LastMounted          string // path
	MountTime, WriteTime int64
	CheckTime, MakeTime  int64
	ChecksumSeed         uint32 // valid if Features has metadata_csum_seed
	JournalInode         uint32
	JournalSize          int64  // bytes; 0 where the superblock has no copy of the journal's inode
	JournalDevice        string // UUID of the external journal; "" for an internal one
}

// ExternalJournal reports whether the journal is on another device. JournalDevice alone does not say so: it may be
// stale.
func (e *Ext) ExternalJournal() bool { return e.Compat&extHasJournal != 0 && e.JournalInode == 0 }

const (
	extHasJournal    = 0x4
	extNeedsRecovery = 0x4
	extJournalDev    = 0x8
	ext64bit         = 0x80
	extMetadataCsum  = 0x400

	extMaxROCompat   = 0x7  // sparse_super, large_file, btree_dir: all an ext3 may have
	ext2MaxIncompat  = 0x12 // filetype, meta_bg
	ext3MaxIncompat  = 0x16 // those and needs_recovery
	extSuperblockAt  = 1024
	extSuperblockLen = 1024
	extJournalBackup = 1
)

// probeExt reads the superblock (struct ext4_super_block of fs/ext4/ext4.h).
func probeExt(d *device) []Signature {
	le := binary.LittleEndian
	b := d.read(extSuperblockAt, extSuperblockLen)
	if b == nil || le.Uint16(b[56:]) != 0xef53 {
		return nil
	}
	logBlock := le.Uint32(b[24:])
	if logBlock > 6 || le.Uint32(b[4:]) == 0 || le.Uint32(b[32:]) == 0 || le.Uint32(b[76:]) > 1 {
		return nil
	}
	hi := func(low, high int, on bool) uint64 {
		n := uint64(le.Uint32(b[low:]))
		if on {
			n |= uint64(le.Uint32(b[high:])) << 32
		}
		return n
	}
	at := func(low, high int) int64 { return int64(le.Uint32(b[low:])) | int64(b[high])<<32 }
	state := le.Uint16(b[58:])
	e := &Ext{Compat: le.Uint32(b[92:]), Incompat: le.Uint32(b[96:]), ROCompat: le.Uint32(b[100:]), BlockSize: 1024 << logBlock,
		Inodes: le.Uint32(b[0:]), FreeInodes: le.Uint32(b[16:]), InodeSize: int(le.Uint16(b[88:])), Clean: state&1 != 0, Errors: state&2 != 0,
		MountCount: int(le.Uint16(b[52:])), MaxMountCount: int(int16(le.Uint16(b[54:]))), LastMounted: text(b[136:200]),
		MountTime: at(44, 629), WriteTime: at(48, 628), CheckTime: at(64, 631), MakeTime: at(264, 630), ErrorCount: le.Uint32(b[404:]),
		OrphanInode: le.Uint32(b[232:]), ChecksumSeed: le.Uint32(b[624:]), JournalInode: le.Uint32(b[224:]), JournalDevice: uuid(b[208:224])}
	if b[253] == extJournalBackup && e.JournalInode != 0 { // s_jnl_backup_type: s_jnl_blocks ends with i_size
		e.JournalSize = max(0, int64(le.Uint32(b[268+16*4:]))|int64(le.Uint32(b[268+15*4:]))<<32)
	}
	e.NeedsRecovery = e.Incompat&extNeedsRecovery != 0
	wide := e.Incompat&ext64bit != 0
	e.Blocks, e.ReservedBlocks, e.FreeBlocks = hi(4, 336, wide), hi(8, 340, wide), hi(12, 344, wide)
	e.Features = extFeatures(e.Compat, e.Incompat, e.ROCompat)

	s := Signature{Kind: Filesystem, Type: extType(e), UUID: uuid(b[104:120]), Label: text(b[120:136]), Offset: extSuperblockAt + 56, Length: 2,
		Size: product(e.Blocks, uint64(e.BlockSize)), BlockSize: e.BlockSize, Ext: e, copies: []Range{{extSuperblockAt, extSuperblockLen}}}
	s.Version = fmt.Sprintf("%d.%d", le.Uint32(b[76:]), le.Uint16(b[62:]))
	if e.Incompat&extJournalDev != 0 {
		s.Kind, s.Type = Other, "jbd"
	}
	if e.FreeBlocks <= e.Blocks {
		s.Used = product(e.Blocks-e.FreeBlocks, uint64(e.BlockSize))
	}
	if e.ROCompat&extMetadataCsum != 0 {
		s.Checksum = check(^crc32.Checksum(b[:1020], crc32.MakeTable(crc32.Castagnoli)) == le.Uint32(b[1020:]))
	}
	s.Dirty = extDirty(e)
	s.Stamp = fmt.Sprintf("mounts %d, mounted %d, written %d, KiB %d", e.MountCount, e.MountTime, e.WriteTime, le.Uint64(b[376:]))
	// A superblock with a group number is a backup copy, with which a moved partition may now start.
	s.Ghost = le.Uint16(b[90:]) != 0
	return []Signature{s}
}

func extDirty(e *Ext) string {
	const orphanPresent = 0x10000
	switch {
	case e.NeedsRecovery:
		return "needs_recovery: the journal was not replayed"
	case e.Errors || e.ErrorCount > 0:
		return fmt.Sprintf("superblock records errors (count %d)", e.ErrorCount)
	case !e.Clean:
		return "superblock: not cleanly unmounted"
	case e.OrphanInode != 0 || e.ROCompat&orphanPresent != 0:
		return "orphaned inodes have yet to be deleted"
	}
	return ""
}

func extType(e *Ext) string {
	switch journal := e.Compat&extHasJournal != 0; {
	case e.ROCompat&^extMaxROCompat != 0 || e.Incompat&^ext3MaxIncompat != 0:
		return "ext4"
	case journal:
		return "ext3"
	case e.Incompat&^ext2MaxIncompat != 0:
		return "ext4"
	}
	return "ext2"
}

// extFeatures names the bits, lowest first, as e2fsprogs does (lib/e2p/feature.c): a bit without a name is FEATURE_C,
// FEATURE_I or FEATURE_R and its number.
func extFeatures(compat, incompat, roCompat uint32) []string {
	var out []string
	for _, w := range []struct {
		bits   uint32
		letter string
		names  map[int]string
	}{
		{compat, "C", map[int]string{0: "dir_prealloc", 1: "imagic_inodes", 2: "has_journal", 3: "ext_attr", 4: "resize_inode",
			5: "dir_index", 6: "lazy_bg", 8: "snapshot_bitmap", 9: "sparse_super2", 10: "fast_commit", 11: "stable_inodes", 12: "orphan_file"}},
		{incompat, "I", map[int]string{0: "compression", 1: "filetype", 2: "needs_recovery", 3: "journal_dev", 4: "meta_bg", 6: "extent",
			7: "64bit", 8: "mmp", 9: "flex_bg", 10: "ea_inode", 12: "dirdata", 13: "metadata_csum_seed", 14: "large_dir", 15: "inline_data",
			16: "encrypt", 17: "casefold"}},
		{roCompat, "R", map[int]string{0: "sparse_super", 1: "large_file", 3: "huge_file", 4: "uninit_bg", 5: "dir_nlink", 6: "extra_isize",
			8: "quota", 9: "bigalloc", 10: "metadata_csum", 11: "replica", 12: "read-only", 13: "project",
			14: "shared_blocks", 15: "verity", 16: "orphan_present"}},
	} {
		for bit := range 32 {
			if w.bits&(1<<bit) == 0 {
				continue
			}
			if n, ok := w.names[bit]; ok {
				out = append(out, n)
			} else {
				out = append(out, fmt.Sprintf("FEATURE_%s%d", w.letter, bit))
			}
		}
	}
	return out
}
