package tree

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapping iterates over the ranges of written or unwritten blocks of a file, and merges adjacent ones.
type mapping struct {
	x         extents
	bsize     int64
	held      mapped
	have, end bool
}

// mapped is a range in bytes; if written is false, it is preallocated.
type mapped struct {
	span
	written bool
}

func (m mapped) String() string {
	what := "data"
	if !m.written {
		what = "preallocated"
	}
	if m.end == m.off {
		return "nothing more"
	}
	return fmt.Sprintf("%s at bytes %d to %d", what, m.off, m.end-1)
}

// next returns the next merged range, empty at the end.
func (m *mapping) next() (mapped, error) {
	for !m.end {
		e, ok, err := m.x.next()
		if err != nil {
			return mapped{}, err
		}
		if !ok {
			m.end = true
			break
		}
		r := mapped{span{e.off / m.bsize * m.bsize, (e.off + e.len + m.bsize - 1) / m.bsize * m.bsize}, e.flags&fiemapExtentUnwritten == 0}
		if m.have && r.written == m.held.written && r.off <= m.held.end {
			m.held.end = r.end
			continue
		}
		out, had := m.held, m.have
		m.held, m.have = r, true
		if had {
			return out, nil
		}
	}
	if m.have {
		m.have = false
		return m.held, nil
	}
	return mapped{}, nil
}

// layout compares which ranges of the file are allocated. Between filesystems of different types or block sizes it can only
// compare the amounts.
func (f *pair) layout() error {
	if !f.v.sameFS {
		return f.amounts()
	}
	a := mapping{x: extents{fd: f.src}, bsize: f.v.src.bsize}
	b := mapping{x: extents{fd: f.dst}, bsize: f.v.dst.bsize}
	for {
		s, err := a.next()
		if err != nil {
			if noAttr(err) {
				return f.amounts()
			}
			return f.v.unreadable(f.path(), Source, err)
		}
		t, err := b.next()
		if err != nil {
			return f.v.unreadable(f.path(), Target, err)
		}
		if s == t {
			if s.off == s.end {
				return nil
			}
			continue
		}
		if t.off >= f.s.size && !t.written && f.v.dst.magic == unix.XFS_SUPER_MAGIC && s.off == s.end {
			return nil // xfs preallocates beyond the end on its own, and frees that later
		}
		what := "holes"
		if s.off == t.off && s.off != s.end && t.off != t.end && s.written != t.written || s.off != s.end && !s.written || t.off != t.end && !t.written {
			what = "preallocation"
		}
		f.v.differ(f.path(), what, s.String(), t.String())
		return nil
	}
}

// amounts detects lost holes and lost preallocation by the number of allocated bytes, and allows for rounding.
func (f *pair) amounts() error {
	s, t := f.s.blocks*512, f.t.blocks*512
	slack := max(s, t)/64 + 1<<17
	if t > s+slack || s > t+slack && f.v.src.magic != unix.BTRFS_SUPER_MAGIC && f.v.dst.magic != unix.BTRFS_SUPER_MAGIC {
		f.v.differ(f.path(), "holes", fmt.Sprintf("%d bytes allocated", s), fmt.Sprintf("%d", t))
	}
	return nil
}
