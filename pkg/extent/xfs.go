package extent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

func isXFS(head []byte) bool { return string(head[:4]) == "XFSB" }

func readXFS(r io.ReaderAt, size int64, head []byte) (*Allocation, error) {
	// A sector may have 32 KiB; the device has a filesystem of at least 64 blocks.
	if n := int(binary.BigEndian.Uint16(head[102:])); n > len(head) {
		if int64(n) > size {
			return nil, fmt.Errorf("xfs superblock: sector size %d on a device of %d bytes: %w", n, size, ErrCorrupt)
		}
		head = make([]byte, n)
		if err := readFull(r, head, 0); err != nil {
			return nil, fmt.Errorf("xfs superblock: %w", err)
		}
	}
	s, err := parseXFSSuper(head, size)
	if err != nil {
		return nil, err
	}
	record, err := s.checkLog(r)
	if err != nil {
		return nil, err
	}
	// A mount that only overwrote data may leave superblock and allocation as they were, but not the log.
	unmount := make([]byte, logBlock)
	if err := readFull(r, unmount, record); err != nil {
		return nil, fmt.Errorf("xfs log: %w", err)
	}
	list := rangeList{max: maxRanges, unit: s.blockSize}
	for ag := range s.agCount {
		if err := s.readAG(r, ag, &list); err != nil {
			return nil, err
		}
	}
	a := &Allocation{
		Type: "xfs", BlockSize: s.blockSize, SectorSize: s.sectSize, Size: int64(s.blocks) * s.blockSize, Ranges: list.ranges, UsedBytes: list.used,
		UUID: formatUUID(s.uuid), Label: s.label, Features: s.features,
	}
	a.Identity = a.identity(append(bytes.Clone(head[:s.sectSize]), unmount...))
	return a, nil
}

// freeTree walks the by-block free-space b-tree of one allocation group and
// adds the gaps between its records to list. Blocks on the AGFL are in no
// record, so they count as used.
type freeTree struct {
	s      *xfsSuper
	r      io.ReaderAt
	ag     uint64
	blocks uint64 // in this group
	next   uint64 // first block after the last record
	free   uint64
	list   *rangeList
}

const (
	xfsAGFCRC        = 216
	xfsBtreeCRC      = 52
	xfsMaxTreeLevels = 9
)

func (s *xfsSuper) readAG(r io.ReaderAt, ag uint64, list *rangeList) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("xfs group %d: agf: "+format+": %w", append(append([]any{ag}, args...), ErrCorrupt)...)
	}
	blocks := min(s.agBlocks, s.blocks-ag*s.agBlocks)
	if blocks*uint64(s.blockSize) < 4*uint64(s.sectSize) {
		return bad("group of %d blocks has no room for its headers", blocks)
	}
	b := make([]byte, s.sectSize)
	if err := readFull(r, b, int64(ag*s.agBlocks)*s.blockSize+s.sectSize); err != nil {
		return fmt.Errorf("xfs group %d: agf: %w", ag, err)
	}
	u32 := func(o int) uint32 { return binary.BigEndian.Uint32(b[o:]) }
	if string(b[:4]) != "XAGF" || u32(4) != 1 || uint64(u32(8)) != ag {
		return bad("magic %q, version %d, group %d", b[:4], u32(4), u32(8))
	}
	if s.v5 && (!crcOK(b, xfsAGFCRC) || !bytes.Equal(b[64:80], s.metaUUID)) {
		return bad("checksum or uuid does not match")
	}
	t := freeTree{s: s, r: r, ag: ag, blocks: blocks, list: list}
	if uint64(u32(12)) != t.blocks {
		return bad("%d blocks, the superblock says %d", u32(12), t.blocks)
	}
	root, levels := uint64(u32(16)), u32(28)
	if levels == 0 || levels > xfsMaxTreeLevels {
		return bad("free-space b-tree of %d levels", levels)
	}
	if err := t.walk(root, int(levels)-1, levels == 1); err != nil {
		return err
	}
	t.used(t.blocks)
	if t.free != uint64(u32(52)) {
		return bad("%d free blocks, the b-tree has %d", u32(52), t.free)
	}
	return nil
}

// used adds the blocks from the last record to end.
func (t *freeTree) used(end uint64) {
	first := t.ag * t.s.agBlocks
	t.list.add(int64(first+t.next)*t.s.blockSize, int64(end-t.next)*t.s.blockSize)
}

// walk visits the block at bno, which must be at level. It ends on any input:
// each leaf but an only one must have a record beyond all before.
func (t *freeTree) walk(bno uint64, level int, mayBeEmpty bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("xfs group %d: free-space b-tree block %d: "+format+": %w", append(append([]any{t.ag, bno}, args...), ErrCorrupt)...)
	}
	if bno == 0 || bno >= t.blocks {
		return bad("group has %d blocks", t.blocks)
	}
	b := make([]byte, t.s.blockSize)
	at := int64(t.ag*t.s.agBlocks+bno) * t.s.blockSize
	if err := readFull(t.r, b, at); err != nil {
		return fmt.Errorf("xfs group %d: free-space b-tree: %w", t.ag, err)
	}
	magic, header := "ABTB", 16
	if t.s.v5 {
		magic, header = "AB3B", 56
		if !crcOK(b, xfsBtreeCRC) || !bytes.Equal(b[32:48], t.s.metaUUID) {
			return bad("checksum or uuid does not match")
		}
		if daddr, owner := binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint32(b[48:]); daddr != uint64(at)/512 || uint64(owner) != t.ag {
			return bad("it says sector %d of group %d", daddr, owner)
		}
	}
	if got := int(binary.BigEndian.Uint16(b[4:])); string(b[:4]) != magic || got != level {
		return bad("magic %q, level %d, want %s, %d", b[:4], got, magic, level)
	}
	n := int(binary.BigEndian.Uint16(b[6:]))
	entry := 8
	if level > 0 {
		entry = 8 + 4
	}
	most := (len(b) - header) / entry
	if n > most || n == 0 && !mayBeEmpty {
		return bad("%d entries of at most %d", n, most)
	}
	for i := range n {
		if level > 0 {
			child := binary.BigEndian.Uint32(b[header+8*most+4*i:])
			if err := t.walk(uint64(child), level-1, false); err != nil {
				return err
			}
			continue
		}
		start, count := uint64(binary.BigEndian.Uint32(b[header+8*i:])), uint64(binary.BigEndian.Uint32(b[header+8*i+4:]))
		// The first sectors of a group are its headers; records neither touch nor overlap.
		if start*uint64(t.s.blockSize) < 4*uint64(t.s.sectSize) || t.free > 0 && start <= t.next || count == 0 || start+count > t.blocks {
			return bad("free blocks %d-%d after %d, group has %d", start, start+count, t.next, t.blocks)
		}
		t.used(start)
		t.next = start + count
		t.free += count
	}
	return nil
}
