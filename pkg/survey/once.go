package survey

import "io"

// onceBlock is what a small read of a device is widened to. Signatures lie close together, at the start and at the end.
const onceBlock = 32 << 10

// once reads each place of a device one time, so that the dozens of formats that are asked for cost a few reads, and all of
// them see the same state. It lives for one look at one device.
type once struct {
	r    io.ReaderAt
	size int64
	have map[int64][]byte // by block number; the last block may be short
}

func newOnce(r io.ReaderAt, size int64) *once {
	return &once{r: r, size: size, have: map[int64][]byte{}}
}

// ReadAt implements io.ReaderAt. Where a block cannot be read the places asked for may still be: they are read alone.
func (o *once) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > o.size || int64(len(p)) > o.size-off || !o.fill(off, off+int64(len(p))) {
		return o.r.ReadAt(p, off)
	}
	for n := 0; n < len(p); {
		at := off + int64(n)
		n += copy(p[n:], o.have[at/onceBlock][at%onceBlock:])
	}
	return len(p), nil
}

// fill reads the blocks of a range that are not here yet, and reports whether all of them are.
func (o *once) fill(from, to int64) bool {
	for i := from / onceBlock; i*onceBlock < to; i++ {
		if o.have[i] != nil {
			continue
		}
		n := i + 1 // the end of a run of missing blocks is read with its start
		for n*onceBlock < to && o.have[n] == nil {
			n++
		}
		b := make([]byte, min(n*onceBlock, o.size)-i*onceBlock)
		if got, err := o.r.ReadAt(b, i*onceBlock); got < len(b) || err != nil && err != io.EOF {
			return false
		}
		for ; i < n; i++ {
			m := min(onceBlock, len(b))
			o.have[i], b = b[:m], b[m:]
		}
		i--
	}
	return true
}
