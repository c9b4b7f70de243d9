package extent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

const (
	xfsIncompatMetaUUID = 0x4
	xfsNeedsRepair      = 0x10
	xfsVersionDirV2     = 0x2000
	xfsVersionShared    = 0x0200
	xfsVersionMoreBits  = 0x8000

	xfsSuperCRC = 224
)

// xfsSuper is the part of the superblock that says where things are.
type xfsSuper struct {
	v5        bool
	blockSize int64
	sectSize  int64
	blocks    uint64
	agBlocks  uint64
	agCount   uint64
	logBlock  int64 // bytes from the start of the filesystem
	logSize   int64 // bytes
	uuid      []byte
	metaUUID  []byte // what metadata blocks carry; differs after xfs_admin -U
	label     string
	features  []string
}

func xfsRoCompat() []feature {
	return []feature{{0x1, "finobt", true}, {0x2, "rmapbt", true}, {0x4, "reflink", true}, {0x8, "inobtcount", true}}
}

func xfsIncompat() []feature {
	return []feature{
		{0x1, "ftype", true}, {0x2, "sparse", true}, {0x4, "metauuid", true}, {0x8, "bigtime", true}, {0x10, "needsrepair", true},
		{0x20, "nrext64", true}, {0x40, "exchange", true}, {0x80, "parent", true}, {0x100, "metadir", false}, {0x200, "zoned", false},
	}
}

func xfsLogIncompat() []feature { return []feature{{0x1, "larp", true}} }

// crcOK checks a v5 checksum: crc32c of b with the field at off as zeroes,
// stored little-endian in a format that is big-endian otherwise.
func crcOK(b []byte, off int) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(0, table, b[:off])
	c = crc32.Update(c, table, []byte{0, 0, 0, 0})
	c = crc32.Update(c, table, b[off+4:])
	return c == binary.LittleEndian.Uint32(b[off:])
}

// parseXFSSuper reads b, the first sector or more of the device.
func parseXFSSuper(b []byte, size int64) (*xfsSuper, error) {
	u16 := func(o int) uint16 { return binary.BigEndian.Uint16(b[o:]) }
	u32 := func(o int) uint32 { return binary.BigEndian.Uint32(b[o:]) }
	u64 := func(o int) uint64 { return binary.BigEndian.Uint64(b[o:]) }
	bad := func(format string, args ...any) (*xfsSuper, error) {
		return nil, fmt.Errorf("xfs superblock: "+format+": %w", append(args, ErrCorrupt)...)
	}
	s := &xfsSuper{
		blockSize: int64(u32(4)), sectSize: int64(u16(102)), blocks: u64(8), agBlocks: uint64(u32(84)), agCount: uint64(u32(88)),
		uuid: b[32:48], metaUUID: b[32:48], label: string(bytes.TrimRight(b[108:120], "\x00")),
	}
	if s.sectSize < 512 || s.sectSize > int64(len(b)) || s.sectSize&(s.sectSize-1) != 0 {
		return bad("sector size %d", s.sectSize)
	}
	version := u16(100)
	switch version & 0xf {
	case 4:
		if version&xfsVersionDirV2 == 0 || version&xfsVersionShared != 0 {
			return nil, fmt.Errorf("xfs superblock: version %#x (directory version 1, or shared): %w", version, ErrUnsupported)
		}
		// Everything but lazycount, attr2, parent, projid32, ftype and a bit that
		// was never used: nothing else was ever defined for version 4.
		if f := u32(200) &^ 0x29f; version&xfsVersionMoreBits != 0 && f != 0 {
			return nil, fmt.Errorf("xfs superblock: unknown features2 bits %#x: %w", f, ErrUnsupported)
		}
	case 5:
		s.v5 = true
		if !crcOK(b[:s.sectSize], xfsSuperCRC) {
			return bad("checksum does not match")
		}
		if err := s.parseFeatures(u32(208), u32(212), u32(216), u32(220)); err != nil {
			return nil, err
		}
		if u32(216)&xfsNeedsRepair != 0 {
			return bad("needsrepair is set; run xfs_repair")
		}
		if u32(216)&xfsIncompatMetaUUID != 0 {
			s.metaUUID = b[248:264]
		}
	default:
		return nil, fmt.Errorf("xfs superblock: version %d: %w", version&0xf, ErrUnsupported)
	}
	if b[126] != 0 {
		return bad("mkfs.xfs or xfs_copy did not finish")
	}
	if u64(16) != 0 || u64(24) != 0 {
		return nil, fmt.Errorf("xfs superblock: realtime device of %d blocks: %w", u64(16), ErrUnsupported)
	}
	if s.blockSize < 512 || s.blockSize > 65536 || s.blockSize&(s.blockSize-1) != 0 || s.sectSize > s.blockSize {
		return bad("block size %d, sector size %d", s.blockSize, s.sectSize)
	}
	if s.blocks == 0 || s.blocks > uint64(size)/uint64(s.blockSize) {
		return bad("%d blocks of %d bytes on a device of %d bytes", s.blocks, s.blockSize, size)
	}
	if s.agBlocks < 64 || s.agCount == 0 || s.agCount != (s.blocks+s.agBlocks-1)/s.agBlocks {
		return bad("%d allocation groups of %d blocks, %d blocks in all", s.agCount, s.agBlocks, s.blocks)
	}
	agLog := uint(b[124])
	if agLog > 32 || agLog != uint(bits.Len64(s.agBlocks-1)) {
		return bad("%d blocks a group, logarithm %d", s.agBlocks, agLog)
	}
	start, length := u64(48), uint64(u32(96))
	if start == 0 {
		return nil, fmt.Errorf("xfs superblock: log on another device: %w", ErrUnsupported)
	}
	ag, agb := start>>agLog, start&(1<<agLog-1)
	if length == 0 || ag >= s.agCount || agb >= s.agBlocks || length > s.agBlocks-agb || ag*s.agBlocks+agb+length > s.blocks {
		return bad("log of %d blocks at block %d of group %d", length, agb, ag)
	}
	s.logBlock, s.logSize = int64(ag*s.agBlocks+agb)*s.blockSize, int64(length)*s.blockSize
	return s, nil
}

func (s *xfsSuper) parseFeatures(compat, ro, incompat, log uint32) error {
	for _, w := range []struct {
		kind  string
		word  uint32
		table []feature
	}{{"incompat", incompat, xfsIncompat()}, {"ro_compat", ro, xfsRoCompat()}, {"compat", compat, nil}, {"log_incompat", log, xfsLogIncompat()}} {
		names, err := decodeFeatures(w.kind, w.word, w.table)
		if err != nil {
			return fmt.Errorf("xfs superblock: %w", err)
		}
		s.features = append(s.features, names...)
	}
	return nil
}
