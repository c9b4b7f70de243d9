package extent

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

const extBlockUninit = 2 // bg_flags: the bitmap on disk was never written

type extGroup struct {
	bitmap   uint64 // block
	free     uint32 // clusters
	checksum uint32 // of the bitmap
	uninit   bool
}

// span is a run of blocks [start, end).
type span struct{ start, end uint64 }

func readExt(r io.ReaderAt, size int64, super []byte) (*Allocation, error) {
	s, err := parseExtSuper(super, size)
	if err != nil {
		return nil, err
	}
	if err := s.checkState(r); err != nil {
		return nil, err
	}
	groups, meta, err := s.readDescriptors(r)
	if err != nil {
		return nil, err
	}
	list := rangeList{max: maxRanges, unit: s.blockSize}
	if err := s.readBitmaps(r, groups, meta, &list); err != nil {
		return nil, err
	}
	label, _, _ := strings.Cut(string(super[0x78:0x88]), "\x00")
	a := &Allocation{
		Type: s.extType(), BlockSize: s.blockSize, SectorSize: s.blockSize, Size: int64(s.blocks) * s.blockSize,
		Ranges: list.ranges, UsedBytes: list.used, UUID: formatUUID(s.uuid), Label: label, Features: s.features,
	}
	a.Identity = a.identity(super)
	return a, nil
}

// readDescriptors reads every group descriptor and returns, beside them, where
// all metadata of fixed place lies: sorted and disjoint.
func (s *extSuper) readDescriptors(r io.ReaderAt) ([]extGroup, []span, error) {
	var groups []extGroup
	var meta []span
	buf := make([]byte, s.blockSize)
	for g := range s.groups {
		if g%s.descsPerBlock() == 0 {
			block := s.descBlock(g / s.descsPerBlock())
			if block >= s.blocks {
				return nil, nil, fmt.Errorf("ext group %d: descriptor block %d of %d: %w", g, block, s.blocks, ErrCorrupt)
			}
			if err := readFull(r, buf, int64(block)*s.blockSize); err != nil {
				return nil, nil, fmt.Errorf("ext group %d: descriptor: %w", g, err)
			}
		}
		desc := buf[g%s.descsPerBlock()*s.descSize:][:s.descSize]
		d, own, err := s.parseDescriptor(g, desc)
		if err != nil {
			return nil, nil, err
		}
		groups = append(groups, d)
		meta = append(meta, own...)
		meta = s.appendBackups(meta, g)
	}
	slices.SortFunc(meta, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return groups, mergeSpans(meta), nil
}

func mergeSpans(sorted []span) []span {
	out := sorted[:0]
	for _, m := range sorted {
		if n := len(out); n > 0 && m.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, m.end)
		} else {
			out = append(out, m)
		}
	}
	return out
}

func (s *extSuper) parseDescriptor(g uint64, desc []byte) (extGroup, []span, error) {
	wide := s.descSize >= 64
	field := func(lo, hi int) uint64 {
		v := uint64(binary.LittleEndian.Uint32(desc[lo:]))
		if wide {
			v |= uint64(binary.LittleEndian.Uint32(desc[hi:])) << 32
		}
		return v
	}
	half := func(lo, hi int) uint32 {
		v := uint32(binary.LittleEndian.Uint16(desc[lo:]))
		if wide {
			v |= uint32(binary.LittleEndian.Uint16(desc[hi:])) << 16
		}
		return v
	}
	if s.uninit() {
		want := binary.LittleEndian.Uint16(desc[extDescChecksum:])
		if got := s.descChecksum(uint32(g), desc); got != want {
			return extGroup{}, nil, fmt.Errorf("ext group %d: descriptor checksum %#04x, computed %#04x: %w", g, want, got, ErrCorrupt)
		}
	}
	d := extGroup{bitmap: field(0, 0x20), free: half(0x0c, 0x2c), checksum: half(0x18, 0x38)}
	d.uninit = s.uninit() && binary.LittleEndian.Uint16(desc[0x12:])&extBlockUninit != 0
	inodes, table := field(4, 0x24), field(8, 0x28)
	for _, p := range []struct {
		what  string
		at, n uint64
	}{{"block bitmap", d.bitmap, 1}, {"inode bitmap", inodes, 1}, {"inode table", table, s.itable}} {
		// at < s.blocks keeps at+n from wrapping: n is at most 2^16.
		if p.at <= s.firstBlock || p.at >= s.blocks || p.at+p.n > s.blocks {
			return extGroup{}, nil, fmt.Errorf("ext group %d: %s at block %d of %d: %w", g, p.what, p.at, s.blocks, ErrCorrupt)
		}
	}
	return d, []span{{d.bitmap, d.bitmap + 1}, {inodes, inodes + 1}, {table, table + s.itable}}, nil
}

// readBitmaps adds the used blocks of every group, in order. Metadata of fixed
// place counts as used whatever the bitmap says: it is all there is to know
// about a group whose bitmap was never written.
func (s *extSuper) readBitmaps(r io.ReaderAt, groups []extGroup, meta []span, list *rangeList) error {
	if s.firstBlock > 0 {
		// The boot block of a filesystem with 1 KiB blocks is before group 0.
		list.add(0, int64(s.firstBlock)*s.blockSize)
		list.used = 0
	}
	bitmaps := bitmapReader{s: s, r: r, groups: groups}
	for g := range s.groups {
		first, count := s.groupStart(g), s.groupBlocks(g)
		clusters := int((count + s.ratio - 1) / s.ratio)
		bm, err := bitmaps.read(g)
		if err != nil {
			return err
		}
		used := 0
		if !groups[g].uninit {
			used = countBits(bm, clusters)
		}
		meta = dropBefore(meta, first)
		missing := 0
		for _, m := range meta {
			if m.start >= first+count {
				break
			}
			from, to := max(m.start, first)-first, min(m.end, first+count)-first
			if from < to {
				missing += setBits(bm, int(from/s.ratio), int((to+s.ratio-1)/s.ratio))
			}
		}
		if missing > 0 && !groups[g].uninit {
			return fmt.Errorf("ext group %d: bitmap marks %d metadata blocks as free; run e2fsck -f: %w", g, missing, ErrCorrupt)
		}
		used += missing
		if free := uint32(clusters - used); free != groups[g].free {
			return fmt.Errorf("ext group %d: %d free clusters in the descriptor, %d in the bitmap (uninitialised %t); run e2fsck -f: %w",
				g, groups[g].free, free, groups[g].uninit, ErrCorrupt)
		}
		eachRun(bm, clusters, func(start, n int) {
			from := first + uint64(start)*s.ratio
			to := min(from+uint64(n)*s.ratio, s.blocks)
			list.add(int64(from)*s.blockSize, int64(to-from)*s.blockSize)
		})
	}
	return nil
}

// dropBefore drops leading spans that end at or before block.
func dropBefore(meta []span, block uint64) []span {
	for len(meta) > 0 && meta[0].end <= block {
		meta = meta[1:]
	}
	return meta
}

// bitmapReader reads the bitmaps of neighbouring groups at once where flex_bg
// put them side by side.
type bitmapReader struct {
	s      *extSuper
	r      io.ReaderAt
	groups []extGroup
	buf    []byte
	first  uint64 // group whose bitmap is first in buf
	n      uint64 // bitmaps in buf
}

const bitmapBatch = 64

// read returns the bitmap of group g, zeroes if it was never written; it is
// valid until the next call, which must be for a later group.
func (b *bitmapReader) read(g uint64) ([]byte, error) {
	bs := uint64(b.s.blockSize)
	if b.buf == nil {
		b.buf = make([]byte, bitmapBatch*bs)
	}
	if b.groups[g].uninit {
		b.n = 0
		clear(b.buf[:bs])
		return b.buf[:bs], nil
	}
	if g >= b.first+b.n {
		b.first, b.n = g, 1
		for b.n < bitmapBatch && g+b.n < uint64(len(b.groups)) && !b.groups[g+b.n].uninit &&
			b.groups[g+b.n].bitmap == b.groups[g].bitmap+b.n {
			b.n++
		}
		if err := readFull(b.r, b.buf[:b.n*bs], int64(b.groups[g].bitmap*bs)); err != nil {
			return nil, fmt.Errorf("ext groups %d-%d: block bitmaps: %w", g, g+b.n-1, err)
		}
	}
	bm := b.buf[(g-b.first)*bs:][:bs]
	if b.s.roCompat&extRoMetadataCsum != 0 {
		got, want := rawCRC32C(b.s.seed, bm[:b.s.blocksPerGroup/b.s.ratio/8]), b.groups[g].checksum
		if b.s.descSize < 64 {
			got &= 0xffff
		}
		if got != want {
			return nil, fmt.Errorf("ext group %d: block bitmap checksum %#x, computed %#x: %w", g, want, got, ErrCorrupt)
		}
	}
	return bm, nil
}
