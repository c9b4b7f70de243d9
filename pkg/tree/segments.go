package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// segments iterates over the data of a file between holes. Unwritten extents count as holes, as they do in the kernel.
type segments struct {
	fd   int
	end  int64
	a, b int64 // the current segment; a == end: none left
}

// seek moves to the first data at or after pos.
func (s *segments) seek(pos int64) error {
	if pos >= s.end {
		s.a, s.b = s.end, s.end
		return nil
	}
	a, b := int64(0), s.end
	err := tries(func() (err error) {
		a, err = unix.Seek(s.fd, pos, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO):
		s.a, s.b = s.end, s.end
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		s.a, s.b = pos, s.end // the filesystem does not report holes
		return nil
	case damaged(err):
		s.a, s.b = pos, s.end // without a map, treat it as data; reading will show what is damaged
		return nil
	case err != nil:
		return err
	}
	if a >= s.end {
		s.a, s.b = s.end, s.end
		return nil
	}
	err = tries(func() (err error) {
		b, err = unix.Seek(s.fd, a, unix.SEEK_HOLE)
		return err
	})
	if damaged(err) {
		b, err = s.end, nil
	}
	if err != nil {
		return err
	}
	s.a, s.b = max(a, pos), min(b, s.end)
	return nil
}

// span is a range of bytes.
type span struct{ off, end int64 }

func lengths(spans []span) (n int64) {
	for _, s := range spans {
		n += s.end - s.off
	}
	return n
}

// within returns the data in [off, end) in spans, which it reuses. The ranges of successive calls must ascend.
func (s *segments) within(off, end int64, spans []span) ([]span, error) {
	spans = spans[:0]
	if s.b <= off && s.a < s.end {
		if err := s.seek(off); err != nil {
			return nil, err
		}
	}
	for s.a < end && s.a < s.end {
		if a, b := max(s.a, off), min(s.b, end); a < b {
			spans = append(spans, span{a, b})
		}
		if s.b >= end {
			break
		}
		if err := s.seek(s.b); err != nil {
			return nil, err
		}
	}
	return spans, nil
}

// unwritten finds preallocated ranges without data.
type unwritten struct {
	x    extents
	e    extent
	done bool
}

// split returns where the first part of [at, end) that is uniformly written or unwritten ends, and whether it is unwritten. The
// ranges of successive calls must ascend.
func (u *unwritten) split(at, end int64) (stop int64, is bool, err error) {
	for !u.done && u.e.off+u.e.len <= at {
		var ok bool
		if u.e, ok, err = u.x.next(); err != nil && !noAttr(err) {
			return 0, false, err
		}
		u.done = !ok || err != nil
	}
	for !u.done && u.e.flags&fiemapExtentUnwritten == 0 && u.e.off+u.e.len < end {
		var ok bool
		if u.e, ok, err = u.x.next(); err != nil {
			return 0, false, err
		}
		u.done = !ok
	}
	switch {
	case u.done || u.e.flags&fiemapExtentUnwritten == 0 || u.e.off >= end:
		return end, false, nil
	case u.e.off > at:
		return u.e.off, false, nil
	}
	return min(end, u.e.off+u.e.len), true, nil
}

// readFull reads until b is full or the file ends.
func readFull(fd int, b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		m, err := unix.Pread(fd, b[n:], off+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

func writeFull(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}
