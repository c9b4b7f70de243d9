package extent

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const extMagic = 0xef53

func isExt(head []byte) bool {
	return binary.LittleEndian.Uint16(head[1024+0x38:]) == extMagic
}

// extSuper is the part of the superblock that says where things are. Counts
// are in blocks unless named otherwise.
type extSuper struct {
	raw            []byte
	blockSize      int64
	blocks         uint64
	firstBlock     uint64 // s_first_data_block: where group 0 begins
	blocksPerGroup uint64
	ratio          uint64 // blocks in a cluster, the unit of the bitmaps
	groups         uint64
	descSize       uint64
	itable         uint64 // blocks of one inode table
	reservedGDT    uint64
	firstMetaBG    uint64
	backupBGs      [2]uint32
	compat         uint32
	incompat       uint32
	roCompat       uint32
	uuid           []byte
	seed           uint32 // of every metadata_csum checksum
	features       []string
}

// descsPerBlock is how many group descriptors a block holds: the groups of one meta_bg.
func (s *extSuper) descsPerBlock() uint64 { return uint64(s.blockSize) / s.descSize }

func (s *extSuper) descBlocks() uint64 {
	return (s.groups + s.descsPerBlock() - 1) / s.descsPerBlock()
}

func (s *extSuper) groupStart(g uint64) uint64 { return s.firstBlock + g*s.blocksPerGroup }

func (s *extSuper) groupBlocks(g uint64) uint64 {
	return min(s.blocksPerGroup, s.blocks-s.groupStart(g))
}

// uninit reports whether descriptors have checksums, and so flags that count.
func (s *extSuper) uninit() bool { return s.roCompat&(extRoGdtCsum|extRoMetadataCsum) != 0 }

func parseExtSuper(b []byte, size int64) (*extSuper, error) {
	u16 := func(o int) uint64 { return uint64(binary.LittleEndian.Uint16(b[o:])) }
	u32 := func(o int) uint64 { return uint64(binary.LittleEndian.Uint32(b[o:])) }
	s := &extSuper{raw: b, uuid: b[0x68:0x78], descSize: 32, ratio: 1}
	inodeSize := uint64(128)
	switch rev := u32(0x4c); rev {
	case 0:
	case 1:
		s.compat, s.incompat, s.roCompat = uint32(u32(0x5c)), uint32(u32(0x60)), uint32(u32(0x64))
		inodeSize = u16(0x58)
	default:
		return nil, fmt.Errorf("ext superblock: revision %d: %w", rev, ErrUnsupported)
	}
	for _, w := range []struct {
		kind  string
		word  uint32
		table []feature
	}{{"incompat", s.incompat, extIncompat()}, {"ro_compat", s.roCompat, extRoCompat()}, {"compat", s.compat, extCompat()}} {
		names, err := decodeFeatures(w.kind, w.word, w.table)
		if err != nil {
			return nil, fmt.Errorf("ext superblock: %w", err)
		}
		s.features = append(s.features, names...)
	}
	bad := func(format string, args ...any) (*extSuper, error) {
		return nil, fmt.Errorf("ext superblock: "+format+": %w", append(args, ErrCorrupt)...)
	}
	if s.roCompat&extRoMetadataCsum != 0 {
		if t := b[0x175]; t != 1 {
			return nil, fmt.Errorf("ext superblock: checksum type %d: %w", t, ErrUnsupported)
		}
		if got, want := rawCRC32C(^uint32(0), b[:extSuperChecksum]), uint32(u32(extSuperChecksum)); got != want {
			return bad("checksum %#08x, computed %#08x", want, got)
		}
		s.seed = rawCRC32C(^uint32(0), s.uuid)
	}
	if s.incompat&extIncompatCsumSeed != 0 {
		s.seed = uint32(u32(0x270))
	}
	if u32(0x18) > 6 {
		return bad("log block size %d", u32(0x18))
	}
	s.blockSize = 1024 << u32(0x18)
	s.blocks = u32(0x04)
	if s.incompat&extIncompat64bit != 0 {
		s.blocks |= u32(0x150) << 32
		s.descSize = u16(0xfe)
		if s.descSize < 64 || s.descSize > 1024 || s.descSize&(s.descSize-1) != 0 {
			return bad("descriptor size %d", s.descSize)
		}
	}
	bits := 8 * uint64(s.blockSize)
	s.firstBlock, s.blocksPerGroup = u32(0x14), u32(0x20)
	if s.roCompat&extRoBigalloc != 0 {
		if u32(0x1c) < u32(0x18) || u32(0x1c) > 20 {
			return bad("log cluster size %d, log block size %d", u32(0x1c), u32(0x18))
		}
		s.ratio = 1 << (u32(0x1c) - u32(0x18))
		if s.blocksPerGroup != u32(0x24)*s.ratio {
			return bad("%d blocks in a group of %d clusters of %d", s.blocksPerGroup, u32(0x24), s.ratio)
		}
	}
	// 256 is what mke2fs takes as the least; it bounds the number of groups.
	if c := s.blocksPerGroup / s.ratio; s.blocksPerGroup < 256 || c > bits || c%8 != 0 {
		return bad("%d blocks a group with %d bits a bitmap", s.blocksPerGroup, bits)
	}
	if s.firstBlock > 1 || (s.firstBlock == 1) != (s.blockSize == 1024 && s.ratio == 1) {
		return bad("first data block %d with blocks of %d bytes", s.firstBlock, s.blockSize)
	}
	if s.blocks <= s.firstBlock || s.blocks > uint64(size)/uint64(s.blockSize) {
		return bad("%d blocks of %d bytes on a device of %d bytes", s.blocks, s.blockSize, size)
	}
	s.groups = (s.blocks - s.firstBlock + s.blocksPerGroup - 1) / s.blocksPerGroup
	perGroup := u32(0x28)
	if inodeSize < 128 || inodeSize > uint64(s.blockSize) || inodeSize&(inodeSize-1) != 0 || perGroup == 0 || perGroup > bits {
		return bad("%d inodes of %d bytes a group", perGroup, inodeSize)
	}
	s.itable = (perGroup*inodeSize + uint64(s.blockSize) - 1) / uint64(s.blockSize)
	// Counted by e2fsprogs with and without resize_inode; meta_bg has none.
	s.reservedGDT = u16(0xce)
	if s.incompat&extIncompatMetaBG != 0 {
		if s.compat&extResizeInode != 0 {
			return bad("features resize_inode and meta_bg exclude each other; run e2fsck -f")
		}
		if s.firstMetaBG = u32(0x104); s.firstMetaBG > s.descBlocks() {
			return bad("first meta_bg %d of %d descriptor blocks", s.firstMetaBG, s.descBlocks())
		}
	}
	s.backupBGs = [2]uint32{uint32(u32(0x24c)), uint32(u32(0x250))}
	return s, nil
}

// checkState refuses a filesystem that is in use, needs recovery, recorded
// errors, or keeps its journal elsewhere.
func (s *extSuper) checkState(r io.ReaderAt) error {
	u16 := func(o int) uint16 { return binary.LittleEndian.Uint16(s.raw[o:]) }
	u32 := func(o int) uint32 { return binary.LittleEndian.Uint32(s.raw[o:]) }
	state := u16(0x3a)
	switch {
	case s.compat&extHasJournal != 0 && u32(0xe0) == 0:
		return fmt.Errorf("ext journal: on another device, uuid %s: %w", formatUUID(s.raw[0xd0:]), ErrUnsupported)
	case state&2 != 0:
		return fmt.Errorf("ext superblock: state %#x, errors recorded (%d counted); run e2fsck -f: %w", state, u32(0x194), ErrCorrupt)
	case s.incompat&extIncompatRecover != 0:
		return fmt.Errorf("ext superblock: needs_recovery is set: mounted, or the journal was not replayed: %w", ErrDirty)
	case state&1 == 0 || state&^1 != 0:
		return fmt.Errorf("ext superblock: state %#x, want 0x1 (clean): mounted, or not unmounted: %w", state, ErrDirty)
	case s.roCompat&extRoOrphanPresent != 0:
		return fmt.Errorf("ext superblock: orphan_present is set: deleted files wait to be cleaned up: %w", ErrDirty)
	case u32(0xe8) != 0:
		return fmt.Errorf("ext superblock: orphan list begins at inode %d: %w", u32(0xe8), ErrDirty)
	}
	if s.incompat&extIncompatMMP == 0 {
		return nil
	}
	block := binary.LittleEndian.Uint64(s.raw[0x168:])
	if block <= s.firstBlock || block >= s.blocks {
		return fmt.Errorf("ext superblock: mmp block %d of %d: %w", block, s.blocks, ErrCorrupt)
	}
	b := make([]byte, 1024)
	if err := readFull(r, b, int64(block)*s.blockSize); err != nil {
		return fmt.Errorf("ext mmp block: %w", err)
	}
	const magic, clean = 0x004d4d50, 0xff4d4d50
	if m := binary.LittleEndian.Uint32(b); m != magic {
		return fmt.Errorf("ext mmp block %d: magic %#x: %w", block, m, ErrCorrupt)
	}
	if s.roCompat&extRoMetadataCsum != 0 {
		got, want := rawCRC32C(s.seed, b[:extSuperChecksum]), binary.LittleEndian.Uint32(b[extSuperChecksum:])
		if got != want {
			return fmt.Errorf("ext mmp block %d: checksum %#08x, computed %#08x: %w", block, want, got, ErrCorrupt)
		}
	}
	if seq := binary.LittleEndian.Uint32(b[4:]); seq != clean {
		node, _, _ := strings.Cut(string(b[16:80]), "\x00")
		return fmt.Errorf("ext mmp block %d: sequence %#x: in use by %q: %w", block, seq, node, ErrDirty)
	}
	return nil
}

// extType names the filesystem as blkid does: by the newest feature it needs.
func (s *extSuper) extType() string {
	const ext3Incompat, ext3RoCompat = 0x2 | 0x4 | 0x10, 0x1 | 0x2 | 0x4
	switch {
	case s.incompat&^uint32(ext3Incompat) != 0 || s.roCompat&^uint32(ext3RoCompat) != 0:
		return "ext4"
	case s.compat&extHasJournal != 0:
		return "ext3"
	}
	return "ext2"
}
