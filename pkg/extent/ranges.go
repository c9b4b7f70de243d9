package extent

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// maxRanges bounds the number of ranges of an [Allocation], 16 bytes each. If
// a filesystem has more, the smallest gaps are filled: some free blocks are
// copied, which costs time but is correct.
const maxRanges = 1 << 22

// rangeList collects used runs in ascending order.
type rangeList struct {
	ranges []Range
	max    int
	unit   int64 // block size: the first gap that is worth filling
	gap    int64 // gaps up to this are filled
	used   int64
}

func (l *rangeList) add(off, length int64) {
	if length <= 0 {
		return
	}
	l.used += length
	if n := len(l.ranges); n > 0 && off-l.ranges[n-1].end() <= l.gap {
		l.ranges[n-1].Length = off + length - l.ranges[n-1].Offset
		return
	}
	l.ranges = append(l.ranges, Range{off, length})
	for len(l.ranges) > l.max {
		l.gap = max(l.unit, 2*l.gap)
		l.compact()
	}
}

func (l *rangeList) compact() {
	out := l.ranges[:1]
	for _, r := range l.ranges[1:] {
		if last := &out[len(out)-1]; r.Offset-last.end() <= l.gap {
			last.Length = r.end() - last.Offset
		} else {
			out = append(out, r)
		}
	}
	l.ranges = out
}

// eachRun calls f for every run of set bits among the first n bits of bm, whose
// bit i is bit i%8 of byte i/8. len(bm) must be a multiple of 8.
func eachRun(bm []byte, n int, f func(start, length int)) {
	for i := nextBit(bm, 0, n, 0); i < n; {
		end := nextBit(bm, i, n, ^uint64(0))
		f(i, end-i)
		i = nextBit(bm, end, n, 0)
	}
}

// nextBit is the first bit at or after i whose value is not that of flip's bits, or n.
func nextBit(bm []byte, i, n int, flip uint64) int {
	for i < n {
		w := (binary.LittleEndian.Uint64(bm[i/64*8:]) ^ flip) >> (i % 64)
		if w != 0 {
			return min(n, i+bits.TrailingZeros64(w))
		}
		i = (i/64 + 1) * 64
	}
	return n
}

// setBits sets bits [from, to) of bm and returns how many were clear before.
func setBits(bm []byte, from, to int) int {
	n := 0
	for ; from < to; from++ {
		if m := byte(1) << (from % 8); bm[from/8]&m == 0 {
			bm[from/8] |= m
			n++
		}
	}
	return n
}

func countBits(bm []byte, n int) int {
	c := 0
	eachRun(bm, n, func(_, length int) { c += length })
	return c
}

// identity returns the digest of the superblock and the ranges: see Allocation.Identity.
func (a *Allocation) identity(super []byte) string {
	h := xxh3.New()
	b := make([]byte, 0, 4096)
	b = append(b, a.Type...)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.BlockSize))
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Size))
	b = append(b, super...)
	for _, r := range a.Ranges {
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.Length))
		if len(b) >= 3072 {
			h.Write(b) //nolint:errcheck // a hash never fails
			b = b[:0]
		}
	}
	h.Write(b) //nolint:errcheck // a hash never fails
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:])
}

func formatUUID(b []byte) string {
	s := hex.EncodeToString(b[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
