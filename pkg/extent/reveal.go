package extent

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// headSize is what Hidden holds back, in bytes: the primary superblock of ext lies at bytes 1024 to 2047, that of xfs in
// the first sector, which is at most a block, the smallest unit of a direct write on any disk is at most 4096, and the
// unit of ranges is a block.
func (a *Allocation) headSize() int64 { return max(4096, a.BlockSize) }

// Hidden returns the allocation without the first 4096 bytes, or without the first block if that is larger. A copy of it has no
// primary superblock: until [Allocation.Reveal] it cannot be found by UUID, not even after a power cut. With two filesystems of
// one UUID, the old system could mount the wrong one.
func (a *Allocation) Hidden() *Allocation {
	h := *a
	h.Ranges = slices.Clone(a.Ranges)
	head := a.headSize()
	for len(h.Ranges) > 0 && h.Ranges[0].end() <= head {
		h.Ranges = h.Ranges[1:]
	}
	if len(h.Ranges) > 0 && h.Ranges[0].Offset < head {
		h.Ranges[0] = Range{head, h.Ranges[0].end() - head}
	}
	return &h
}

// Renamable returns an error if Reveal cannot change the UUID of the filesystem. It can still be copied with its UUID.
func (a *Allocation) Renamable() error {
	if a.has("uninit_bg") && !a.has("metadata_csum") {
		return fmt.Errorf("%s %s: feature uninit_bg ties the group descriptors' checksums to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	if a.has("ea_inode") && !a.has("metadata_csum") {
		// tune2fs rewrites the hashes of ea_inode only together with the UUID.
		return fmt.Errorf("%s %s: feature ea_inode ties the hashes of large attributes to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	if a.has("stable_inodes") {
		return fmt.Errorf("%s %s: feature stable_inodes binds encrypted files to the uuid: %w", a.Type, a.UUID, ErrUnsupported)
	}
	return nil
}

// A Write is data to write at a byte offset of the target.
type Write struct {
	Offset int64
	Data   []byte
}

// Reveal returns the writes that make a hidden copy on dev a filesystem, and the commands to run after them. The writes must be
// made in order, and each must be on the medium before the next. The last one, a sector or block at offset 0, makes the copy a
// filesystem, which has the new UUID from the first instant. It has no label, because a power cut may come before it gets a new
// one, and an old system that mounts by label would find the label of the source twice. If uuid is empty, the copy gets the UUID
// and label of the source.
//
// In ext with metadata_csum the old UUID stays the checksums' seed until tune2fs has rewritten them: for that while the
// superblock says so (metadata_csum_seed), which every e2fsprogs and kernel of ext4 reads but GRUB 2.06 does not.
// Source: the kernel's fs/ext4/ext4.h, struct ext4_super_block. For xfs see xfs_reveal.go.
func (a *Allocation) Reveal(src io.ReaderAt, dev, uuid string) ([]Write, []Command, error) {
	head := make([]byte, a.headSize())
	if err := readFull(src, head, 0); err != nil {
		return nil, nil, fmt.Errorf("superblock: %w", err)
	}
	if !a.isHead(head) {
		return nil, nil, fmt.Errorf("superblock: not that of filesystem %s: %w", a.UUID, ErrCorrupt)
	}
	if uuid == "" {
		return a.splitHead(head), nil, nil
	}
	if err := a.Renamable(); err != nil {
		return nil, nil, err
	}
	id, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(id) != 16 {
		return nil, nil, fmt.Errorf("uuid %q: 16 bytes in hexadecimal expected", uuid)
	}
	if a.Type == "xfs" {
		first, err := a.renameXFS(src, head, id)
		return append(first, a.splitHead(head)...), nil, err
	}
	return a.splitHead(head), a.renameExt(head[1024:2048], dev, id), nil
}

func (a *Allocation) isHead(head []byte) bool {
	if a.Type == "xfs" {
		return isXFS(head) && formatUUID(head[32:]) == a.UUID
	}
	return isExt(head) && formatUUID(head[1024+0x68:]) == a.UUID
}

// splitHead splits the head into writes. For xfs, the part after the superblock is written first. For ext, only a boot sector is
// in the head besides the superblock.
func (a *Allocation) splitHead(head []byte) []Write {
	if sector := int(binary.BigEndian.Uint16(head[102:])); a.Type == "xfs" && sector >= 512 && sector < len(head) {
		return []Write{{int64(sector), head[sector:]}, {0, head[:sector]}}
	}
	return []Write{{0, head}}
}

func (a *Allocation) renameExt(sb []byte, dev string, id []byte) (cmds []Command) {
	const (
		uuidAt, seedAt = 0x68, 0x270
		labelAt        = 0x78
		incompatAt     = 0x60
	)
	if a.has("metadata_csum") && !a.has("metadata_csum_seed") {
		binary.LittleEndian.PutUint32(sb[seedAt:], rawCRC32C(^uint32(0), sb[uuidAt:uuidAt+16]))
		binary.LittleEndian.PutUint32(sb[incompatAt:], binary.LittleEndian.Uint32(sb[incompatAt:])|extIncompatCsumSeed)
		// tune2fs rewrites the checksums, in all metadata, only of a filesystem that was just checked.
		cmds = append(cmds, repair(dev), Command{[]string{"tune2fs", "-O", "^metadata_csum_seed", dev}, []int{0}})
		cmds = append(cmds, a.repairOrphans(dev)...)
	}
	copy(sb[uuidAt:], id)
	clear(sb[labelAt : labelAt+16])
	if a.has("metadata_csum") {
		binary.LittleEndian.PutUint32(sb[extSuperChecksum:], rawCRC32C(^uint32(0), sb[:extSuperChecksum]))
	}
	return cmds
}
