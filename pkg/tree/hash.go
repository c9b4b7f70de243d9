package tree

import (
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// blockSize is the unit of reading, writing and hashing. It is part of the
// manifest's format.
const blockSize = 1 << 20

// Sum is the hash of a file's data: the sum modulo 2^128 of the xxh3-128 of each
// MiB that is not all zero, seeded with the MiB's number. Empty and all-hole
// files have the zero Sum. Size is not part of it.
type Sum struct{ Hi, Lo uint64 }

func (s Sum) add(t Sum) Sum {
	lo, c := bits.Add64(s.Lo, t.Lo, 0)
	hi, _ := bits.Add64(s.Hi, t.Hi, c)
	return Sum{hi, lo}
}

// blockSum hashes block number i, which is at i<<20 and is shorter only at the end of the file. zero reports whether all its
// bytes are zero.
func blockSum(i int64, b []byte) (s Sum, zero bool) {
	if isZero(b) {
		return Sum{}, true
	}
	h := xxh3.Hash128Seed(b, uint64(i))
	return Sum{h.Hi, h.Lo}, false
}

func isZero(b []byte) bool {
	for len(b) >= 32 {
		if binary.NativeEndian.Uint64(b)|binary.NativeEndian.Uint64(b[8:])|
			binary.NativeEndian.Uint64(b[16:])|binary.NativeEndian.Uint64(b[24:]) != 0 {
			return false
		}
		b = b[32:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// hasZeroBlock reports whether b has an aligned block of g zeros; the last block may be shorter. Only such a block can be a hole
// or unwritten.
func hasZeroBlock(b []byte, g int) bool {
	for len(b) > 0 {
		n := min(g, len(b))
		if isZero(b[:n]) {
			return true
		}
		b = b[n:]
	}
	return false
}
