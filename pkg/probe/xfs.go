package probe

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// XFS holds facts from an XFS superblock and its log.
type XFS struct {
	Log                Log
	LogOffset, LogSize int64  // bytes; 0 for an external log
	LogNote            string // the reason if Log is not LogClean
	Version            int    // 4 or 5
	InProgress         bool   // mkfs or a copy did not finish
	Blocks, FreeBlocks uint64
	Inodes, FreeInodes uint64
	MetaUUID           string // v5: the UUID in the metadata, if it differs from the user-visible UUID
	SectorSize         int64  // the smallest unit that it writes, in bytes
	InodeSize          int64
	ExternalLog        bool
	Realtime           bool // a part of it is on a realtime device
	Features           []string
	Features2          uint32
	Compat, ROCompat   uint32
	Incompat           uint32
	LogIncompat        uint32
}

// probeXFS reads struct xfs_dsb of fs/xfs/libxfs/xfs_format.h, which is big-endian except for the checksum.
func probeXFS(d *device) []Signature {
	be := binary.BigEndian
	b := d.read(0, 512)
	if b == nil || string(b[:4]) != "XFSB" {
		return nil
	}
	block, sector := uint64(be.Uint32(b[4:])), uint64(be.Uint16(b[102:]))
	agBlocks, ags := uint64(be.Uint32(b[84:])), uint64(be.Uint32(b[88:]))
	blockLog, agLog := b[120], b[124]
	x := &XFS{Version: int(be.Uint16(b[100:]) & 0xf), Blocks: be.Uint64(b[8:]), FreeBlocks: be.Uint64(b[144:]), Inodes: be.Uint64(b[128:]),
		FreeInodes: be.Uint64(b[136:]), InProgress: b[126] != 0, Features2: be.Uint32(b[200:])}
	if !powerOfTwo(block) || block < 512 || block > 65536 || !powerOfTwo(sector) || sector < 512 || sector > 32768 || block != 1<<(blockLog&31) ||
		agBlocks == 0 || ags == 0 || x.Blocks == 0 || x.Blocks > agBlocks*ags || product(x.Blocks, block) == 0 || agLog > 31 || agBlocks > 1<<agLog {
		return nil
	}
	s := Signature{Kind: Filesystem, Type: "xfs", UUID: uuid(b[32:48]), Label: text(b[108:120]), Length: 4, Size: product(x.Blocks, block),
		BlockSize: int64(block), XFS: x, copies: []Range{d.clip(0, int64(sector))}}
	if x.FreeBlocks <= x.Blocks {
		s.Used = product(x.Blocks-x.FreeBlocks, block)
	}
	if x.Version == 5 {
		x.Compat, x.ROCompat, x.Incompat, x.LogIncompat = be.Uint32(b[208:]), be.Uint32(b[212:]), be.Uint32(b[216:]), be.Uint32(b[220:])
		const metaUUID = 0x4
		if x.Incompat&metaUUID != 0 {
			x.MetaUUID = uuid(b[248:264])
		}
		if full := d.read(0, int(sector)); full != nil {
			want := binary.LittleEndian.Uint32(full[224:])
			clear(full[224:228])
			s.Checksum = check(crc32.Checksum(full, crc32.MakeTable(crc32.Castagnoli)) == want)
		}
	}
	x.SectorSize, x.InodeSize, x.Realtime = int64(sector), int64(be.Uint16(b[104:])), be.Uint64(b[16:]) != 0
	x.Features = xfsFeatures(x, be.Uint16(b[100:]))
	x.Log = LogUnknown
	if start := be.Uint64(b[48:]); start == 0 {
		x.LogNote, x.ExternalLog = "the log is on another device", true
	} else if n := uint64(be.Uint32(b[96:])); start>>agLog >= ags || start&(1<<agLog-1)+n > agBlocks || n == 0 {
		x.LogNote = "the superblock places the log outside the filesystem"
	} else {
		x.LogOffset = product(start>>agLog*agBlocks+start&(1<<agLog-1), block)
		x.LogSize = product(n, block)
		head := ""
		x.Log, x.LogNote, head = xfsLog(d, x.LogOffset, x.LogSize)
		s.Stamp = fmt.Sprintf("log %s, sequence %x", head, b[240:248])
	}
	switch {
	case x.InProgress:
		s.Dirty = "superblock: a mkfs or copy did not finish"
	case x.Log != LogClean:
		s.Dirty = fmt.Sprintf("log %s: %s", x.Log, x.LogNote)
	}
	return []Signature{s}
}
