package extent

import (
	"context"
	"fmt"
	"io"
)

// readAcross is the largest gap of free blocks, in bytes, that is read together with its neighbours: one longer read is cheaper
// than two.
const readAcross = 64 << 10

// readAttempts is the number of attempts to read a single block before it counts as unreadable.
const readAttempts = 3

// reader reads the pieces of a window, and block by block if there are bad ones.
type reader struct {
	side      string
	r         io.ReaderAt
	blockSize int64
	skipBad   bool
}

// window reads pieces to buf, whose first byte stands for base. It returns the
// ranges that could not be read and were zeroed in buf.
func (r *reader) window(ctx context.Context, buf []byte, base int64, pieces []Range) ([]Range, error) {
	if r.spans(buf, base, pieces) == nil {
		return nil, nil
	}
	var bad []Range
	var cause error
	for _, p := range pieces {
		for off := p.Offset; off < p.end(); off += r.blockSize {
			// A failing disk takes seconds for each block.
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b := buf[off-base:][:r.blockSize]
			if err := r.block(b, off); err != nil {
				clear(b)
				cause = err
				if n := len(bad); n > 0 && bad[n-1].end() == off {
					bad[n-1].Length += r.blockSize
				} else {
					bad = append(bad, Range{off, r.blockSize})
				}
			}
		}
	}
	if len(bad) > 0 && !r.skipBad {
		return nil, &ReadError{r.side, bad, cause}
	}
	return bad, nil
}

func (r *reader) spans(buf []byte, base int64, pieces []Range) error {
	for i := 0; i < len(pieces); {
		s := pieces[i]
		for i++; i < len(pieces) && pieces[i].Offset-s.end() <= readAcross; i++ {
			s.Length = pieces[i].end() - s.Offset
		}
		if err := readFull(r.r, buf[s.Offset-base:][:s.Length], s.Offset); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) block(b []byte, off int64) error {
	var err error
	for range readAttempts {
		if err = readFull(r.r, b, off); err == nil {
			return nil
		}
	}
	return err
}

func newReader(side string, r io.ReaderAt, a *Allocation) *reader {
	return &reader{side: side, r: r, blockSize: a.BlockSize}
}

// check guards the arithmetic of windows against an Allocation that
// did not come from Read.
func (a *Allocation) check() error {
	if a.BlockSize < 512 || a.BlockSize > 64<<10 || a.BlockSize&(a.BlockSize-1) != 0 {
		return fmt.Errorf("allocation: block size %d", a.BlockSize)
	}
	end := int64(0)
	for _, r := range a.Ranges {
		if r.Offset < end || r.Length <= 0 || r.Length > a.Size-r.Offset || (r.Offset|r.Length)&(a.BlockSize-1) != 0 {
			return fmt.Errorf("allocation: %v after %d in a filesystem of %d bytes", r, end, a.Size)
		}
		end = r.end()
	}
	return nil
}
