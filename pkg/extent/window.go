package extent

// Window is the unit of copying, hashing and resuming: the used bytes between
// two multiples of it. Windows without used bytes do not exist; the others are
// numbered from 0 in disk order.
const Window = 4 << 20

// A Sum is the xxh3-128 of the bytes of one window's ranges, in order, big-endian.
type Sum [16]byte

// windows iterates over ranges, window by window.
type windows struct {
	ranges []Range
	done   int64 // bytes of ranges[0] already handed out
	n      int   // windows handed out
}

// next appends the ranges of the next window to buf and returns its number and
// first byte; ok is false after the last.
func (w *windows) next(buf []Range) (n int, base int64, pieces []Range, ok bool) {
	pieces = buf
	for len(w.ranges) > 0 {
		r := Range{w.ranges[0].Offset + w.done, w.ranges[0].Length - w.done}
		if len(pieces) == 0 {
			base = r.Offset / Window * Window
		} else if r.Offset >= base+Window {
			break
		}
		if r.end() > base+Window {
			r.Length = base + Window - r.Offset
			w.done += r.Length
			pieces = append(pieces, r)
			break
		}
		pieces = append(pieces, r)
		w.ranges, w.done = w.ranges[1:], 0
	}
	if len(pieces) == 0 {
		return w.n, 0, nil, false
	}
	w.n++
	return w.n - 1, base, pieces, true
}

func total(pieces []Range) int64 {
	var n int64
	for _, p := range pieces {
		n += p.Length
	}
	return n
}

// Windows returns the number of windows of an allocation, which is that of a Checkpoint of a finished copy.
func (a *Allocation) Windows() int {
	w, buf := windows{ranges: a.Ranges}, []Range(nil)
	for {
		_, _, pieces, ok := w.next(buf[:0])
		if !ok {
			return w.n
		}
		buf = pieces
	}
}
