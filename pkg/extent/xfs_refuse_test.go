package extent

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

const (
	tinyBlocks = 128 // in a group of tinyXFS
	tinySize   = 2 * tinyBlocks * 512
	tinyLog    = (tinyBlocks + 64) * 512 // byte
)

// tinyXFS is the smallest xfs that Read accepts: two groups of 128 blocks of
// 512 bytes, free-space trees (of two levels in the first group), and a log of
// 64 blocks in the second whose last record is that of an unmount. No tool makes one this small.
func tinyXFS(v5 bool) []byte {
	b := make([]byte, tinySize)
	p16 := func(off int, v uint16) { binary.BigEndian.PutUint16(b[off:], v) }
	p32 := func(off int, v ...uint32) {
		for i, v := range v {
			binary.BigEndian.PutUint32(b[off+4*i:], v)
		}
	}
	copy(b, "XFSB")
	p32(4, 512)
	p32(12, 2*tinyBlocks)
	copy(b[32:48], "0123456789abcdef")
	p32(52, tinyBlocks+64)
	p32(84, tinyBlocks, 2)
	p32(96, 64)
	p16(100, 0xb4a4)
	p16(102, 512)
	copy(b[108:], "tiny")
	b[124] = 7
	if v5 {
		p16(100, 0xb4a5)
		p32(212, 0xf, 0xb)
	}
	node := func(ag, bno, level, n int) int {
		off := (ag*tinyBlocks + bno) * 512
		copy(b[off:], "ABTB")
		p16(off+4, uint16(level))
		p16(off+6, uint16(n))
		p32(off+8, 0xffffffff, 0xffffffff)
		if v5 {
			copy(b[off:], "AB3B")
			binary.BigEndian.PutUint64(b[off+16:], uint64(ag*tinyBlocks+bno))
			copy(b[off+32:], b[32:48])
			p32(off+48, uint32(ag))
			return off + 56
		}
		return off + 16
	}
	for ag, free := range []uint32{30, 20} {
		off := ag*tinyBlocks*512 + 512
		copy(b[off:], "XAGF")
		p32(off+4, 1, uint32(ag), tinyBlocks, 4)
		p32(off+28, uint32(2-ag))
		p32(off+52, free)
		copy(b[off+64:], b[32:48])
	}
	root := node(0, 4, 1, 2)
	most := (512 - (root - 4*512)) / 12
	p32(root, 10, 10, 50, 20)
	p32(root+8*most, 5, 6)
	p32(node(0, 5, 0, 1), 10, 10)
	p32(node(0, 6, 0, 2), 50, 5, 60, 15)
	p32(node(1, 4, 0, 1), 30, 20)
	// Blocks 0-3 of the log are of cycle 2, block 2 is the unmount record.
	for i := range 64 {
		p32(tinyLog+512*i, 1)
	}
	for i := range 4 {
		p32(tinyLog+512*i, 2)
	}
	p32(tinyLog+2*512, logMagic, 2, 2, 512)
	p32(tinyLog+2*512+40, 1)
	copy(b[tinyLog+2*512+304:], b[32:48])
	p32(tinyLog+2*512+320, 32<<10)
	b[tinyLog+3*512+8], b[tinyLog+3*512+9] = 0xaa, logUnmountFlag
	if v5 {
		sealXFS(b)
	}
	return b
}

// sealXFS updates all checksums.
func sealXFS(b []byte) {
	seal := func(off, crc int) {
		s := b[off : off+512]
		clear(s[crc : crc+4])
		binary.LittleEndian.PutUint32(s[crc:], crc32.Checksum(s, crc32.MakeTable(crc32.Castagnoli)))
	}
	seal(0, xfsSuperCRC)
	for ag := range 2 {
		seal((ag*tinyBlocks+1)*512, xfsAGFCRC)
		seal((ag*tinyBlocks+4)*512, xfsBtreeCRC)
	}
	seal(5*512, xfsBtreeCRC)
	seal(6*512, xfsBtreeCRC)
}

func TestXFSRanges(t *testing.T) {
	for _, v5 := range []bool{false, true} {
		b := tinyXFS(v5)
		a, err := Read(bytes.NewReader(b), tinySize)
		must(t, err)
		list := rangeList{max: 100}
		for _, r := range [][2]int64{{0, 10}, {20, 50}, {55, 60}, {75, 128 + 30}, {128 + 50, 256}} {
			list.add(r[0]*512, (r[1]-r[0])*512)
		}
		if total(a.Ranges) != total(list.ranges) || len(a.Ranges) != len(list.ranges) {
			t.Errorf("v5 %t: %v, want %v", v5, a.Ranges, list.ranges)
		}
		if a.UsedBytes != (256-50)*512 || a.Label != "tiny" || a.UUID != "30313233-3435-3637-3839-616263646566" {
			t.Errorf("v5 %t: used %d, label %q, uuid %s", v5, a.UsedBytes, a.Label, a.UUID)
		}
	}
}

func TestXFSRefuses(t *testing.T) {
	at := func(off int, v byte) func([]byte) { return func(b []byte) { b[off] = v } }
	agf := 512
	common := []refusal{
		{"realtime", at(23, 1), ErrUnsupported, "realtime device"},
		{"external log", func(b []byte) { clear(b[48:56]) }, ErrUnsupported, "log on another device"},
		{"log outside", at(55, 0xff), ErrCorrupt, "log of 64 blocks"},
		{"mkfs unfinished", at(126, 1), ErrCorrupt, "did not finish"},
		{"too large", at(12, 1), ErrCorrupt, "on a device of"},
		{"group count", at(91, 3), ErrCorrupt, "3 allocation groups"},
		{"group size", at(87, 127), ErrCorrupt, "groups of 127"},
		{"logarithm", at(124, 8), ErrCorrupt, "logarithm 8"},
		{"block size", at(6, 3), ErrCorrupt, "block size"},
		{"sector size", at(103, 1), ErrCorrupt, "sector size 513"},
		{"agf magic", at(agf, 'Y'), ErrCorrupt, "agf: magic"},
		{"agf group", at(agf+11, 1), ErrCorrupt, "agf: magic"},
		{"agf length", at(agf+15, 127), ErrCorrupt, "127 blocks"},
		{"tree without level", at(agf+31, 0), ErrCorrupt, "of 0 levels"},
		{"tree too high", at(agf+31, 10), ErrCorrupt, "of 10 levels"},
		{"tree outside", at(agf+18, 1), ErrCorrupt, "group has 128 blocks"},
		{"free count", at(agf+55, 31), ErrCorrupt, "31 free blocks, the b-tree has 30"},
		{"child is itself", func(b []byte) { p := bytes.Index(b, []byte{0, 0, 0, 5, 0, 0, 0, 6}); b[p+3] = 4 }, ErrCorrupt, "level"},
		{"children are one", func(b []byte) { p := bytes.Index(b, []byte{0, 0, 0, 5, 0, 0, 0, 6}); b[p+7] = 5 }, ErrCorrupt, "free blocks 10-20 after 20"},
		{"leaf is empty", at(5*512+7, 0), ErrCorrupt, "0 entries"},
		{"too many", at(6*512+6, 1), ErrCorrupt, "258 entries"},
		{"log empty", func(b []byte) { clear(b[tinyLog : tinyLog+64*512]) }, ErrDirty, "is empty"},
		{"log of another", at(tinyLog+2*512+304, 'x'), ErrDirty, "belongs to"},
		{"log not unmounted", at(tinyLog+3*512+9, 1), ErrDirty, "flags 0x1"},
		{"log with more after", at(tinyLog+2*512+43, 2), ErrDirty, "2 operations"},
		{"log record open", at(tinyLog+2*512+14, 4), ErrDirty, "operations"},
		{"log torn behind", at(tinyLog+10*512+3, 2), ErrDirty, "torn"},
		{"log torn before", at(tinyLog+62*512+3, 0), ErrDirty, "torn"},
		{"log without record", func(b []byte) { binary.BigEndian.PutUint32(b[tinyLog+2*512:], 2) }, ErrDirty, "no record"},
	}
	v4 := append([]refusal{
		{"directory version 1", at(100, 0x94), ErrUnsupported, "directory version 1"},
		{"unknown features2", at(200, 0x80), ErrUnsupported, "features2 bits 0x80000000"},
		{"version 6", at(101, 0xa6), ErrUnsupported, "version 6"},
		{"overlap", at(6*512+16+3, 15), ErrCorrupt, "free blocks 15-20 after 20"},
		{"beyond the group", at(6*512+16+8+7, 127), ErrCorrupt, "free blocks 60-187"},
		{"free header", at(5*512+16+3, 1), ErrCorrupt, "free blocks 1-11"},
	}, common...)
	t.Run("v4", func(t *testing.T) { checkRefusals(t, tinyXFS(false), v4) })

	v5 := []refusal{
		{"realtime feature", at(218, 1), ErrUnsupported, "metadir"},
		{"zoned", at(218, 2), ErrUnsupported, "zoned"},
		{"unknown incompat", at(216, 0x40), ErrUnsupported, "unknown incompat bits 0x40000000"},
		{"unknown ro_compat", at(212, 0x40), ErrUnsupported, "unknown ro_compat bits"},
		{"unknown compat", at(208, 0x40), ErrUnsupported, "unknown compat bits"},
		{"unknown log_incompat", at(220, 0x40), ErrUnsupported, "unknown log_incompat bits"},
		{"needsrepair", at(219, 0x1b), ErrCorrupt, "needsrepair"},
		{"other meta uuid", at(219, 0x0f), ErrCorrupt, "uuid does not match"},
		{"block elsewhere", at(5*512+23, 9), ErrCorrupt, "sector 9 of group 0"},
	}
	v5 = append(v5, common...)
	for i, r := range v5 {
		v5[i].change = func(b []byte) { r.change(b); sealXFS(b) }
	}
	t.Run("v5", func(t *testing.T) { checkRefusals(t, tinyXFS(true), v5) })
	var flips []refusal
	for _, off := range []int{40, agf + 100, 4*512 + 500, 5*512 + 100, (tinyBlocks+1)*512 + 400} {
		flips = append(flips, refusal{"flip", func(b []byte) { b[off] ^= 4 }, ErrCorrupt, "checksum"})
	}
	t.Run("v5 checksums", func(t *testing.T) { checkRefusals(t, tinyXFS(true), flips) })
}
