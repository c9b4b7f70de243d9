package survey

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// counted notes how often each byte is read; those of bad cannot be.
type counted struct {
	data []byte
	bad  int64 // -1: all is well
	n    []int
}

var errBad = errors.New("bad sector")

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	if c.bad >= off && c.bad < off+int64(len(p)) {
		return 0, errBad
	}
	n, err := bytes.NewReader(c.data).ReadAt(p, off)
	for i := range n {
		c.n[off+int64(i)]++
	}
	return n, err
}

// TestOnce: reads give what the device gives, no place is read twice, and one bad place is in the way of those reads only that
// ask for it.
func TestOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 5*onceBlock).Draw(t, "size")
		c := &counted{data: make([]byte, size), bad: -1, n: make([]int, size)}
		for i := range c.data {
			c.data[i] = byte(i>>8) ^ byte(i)
		}
		if size > 0 && rapid.Bool().Draw(t, "damaged") {
			c.bad = int64(rapid.IntRange(0, size-1).Draw(t, "bad"))
		}
		o, beyond := newOnce(c, int64(size)), false
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			off, p := rapid.IntRange(-1, size+10).Draw(t, "off"), make([]byte, rapid.IntRange(1, 2*onceBlock).Draw(t, "len"))
			beyond = beyond || off+len(p) > size // that is asked of the device
			n, err := o.ReadAt(p, int64(off))
			want := make([]byte, len(p))
			m, werr := (&counted{data: c.data, bad: c.bad, n: make([]int, size)}).ReadAt(want, int64(off))
			if n != m || !bytes.Equal(p[:n], want[:m]) || (err == nil) != (werr == nil) || errors.Is(err, errBad) != errors.Is(werr, errBad) || errors.Is(err, io.EOF) != errors.Is(werr, io.EOF) {
				t.Fatalf("%d bytes at %d of %d: %d, %v, want %d, %v", len(p), off, size, n, err, m, werr)
			}
		}
		for at, n := range c.n {
			if n > 1 && c.bad < 0 && !beyond {
				t.Fatalf("byte %d was read %d times", at, n)
			}
		}
	})
}
