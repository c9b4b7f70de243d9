package sim

import (
	"crypto/subtle"
	"fmt"

	"migrate-init/pkg/md"
)

// spread is an array whose members hold parts of its data: RAID5 (left-symmetric) with parity, or RAID10 (near=2) with two
// copies of each chunk.
type spread struct {
	level  int
	chunk  int64
	offset int64     // of the data on each member
	slots  []*Device // nil where no member that holds all data is
}

// newSpread is the layer of an array, and its size; nil for a RAID1, whose members are legs.
func newSpread(s md.Superblock, inSync []*Device) (*spread, int64, error) {
	if s.Level == 1 {
		return nil, s.Size, nil
	}
	r := &spread{level: s.Level, chunk: s.ChunkSize, offset: s.DataOffset, slots: make([]*Device, s.RaidDisks)}
	for _, b := range inSync {
		have, _ := SuperOf(b)
		if role := have.Role(); role.Active() && int(role) < len(r.slots) {
			r.slots[role] = b
		}
	}
	n := int64(s.RaidDisks)
	missing := 0
	for i, b := range r.slots {
		if b != nil {
			continue
		}
		if missing++; s.Level == 5 && missing > 1 || s.Level == 10 && r.slots[i^1] == nil {
			return nil, 0, fmt.Errorf("ioctl RUN_ARRAY: raid%d with %d of %d members: input/output error", s.Level, len(inSync), n)
		}
	}
	switch {
	case s.Level == 5:
		return r, s.Size * (n - 1), nil
	case s.Level == 10 && n%2 == 0:
		return r, s.Size / s.ChunkSize * n / 2 * s.ChunkSize, nil
	}
	return nil, 0, fmt.Errorf("ioctl RUN_ARRAY: raid%d of %d members is not known here", s.Level, n)
}

// parity is the slot of a row's parity.
func (r *spread) parity(row int64) int { return len(r.slots) - 1 - int(row%int64(len(r.slots))) }

// place gives a chunk's row, and the slots that hold it: of a RAID5 one.
func (r *spread) place(chunk int64) (row int64, slots []int) {
	n := int64(len(r.slots))
	if r.level == 10 {
		first := 2 * chunk
		return first / n, []int{int(first % n), int((first + 1) % n)}
	}
	row = chunk / (n - 1)
	return row, []int{(r.parity(row) + 1 + int(chunk%(n-1))) % int(n)}
}

// get reads a piece of a member; of a missing one, what the others say it has.
func (r *spread) get(slot int, at int64, n int) ([]byte, error) {
	out := make([]byte, n)
	if b := r.slots[slot]; b != nil {
		_, err := b.ReadAt(out, r.offset+at)
		return out, err
	}
	if r.level == 10 {
		return r.get(slot^1, at, n)
	}
	for i := range r.slots {
		if i == slot {
			continue
		}
		piece, err := r.get(i, at, n)
		if err != nil {
			return nil, err
		}
		subtle.XORBytes(out, out, piece)
	}
	return out, nil
}

func (r *spread) put(slot int, at int64, p []byte) error {
	if b := r.slots[slot]; b != nil {
		return b.write(p, r.offset+at)
	}
	return nil
}

// each calls do for every piece that lies in one chunk.
func (r *spread) each(p []byte, off int64, do func(p []byte, row int64, slots []int, at int64) error) error {
	for len(p) > 0 {
		in := off % r.chunk
		n := min(int64(len(p)), r.chunk-in)
		row, slots := r.place(off / r.chunk)
		if err := do(p[:n], row, slots, row*r.chunk+in); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

func (r *spread) readAt(p []byte, off int64) error {
	return r.each(p, off, func(p []byte, _ int64, slots []int, at int64) error {
		b, err := r.get(slots[0], at, len(p))
		copy(p, b)
		return err
	})
}

func (r *spread) writeAt(p []byte, off int64) error {
	return r.each(p, off, func(p []byte, row int64, slots []int, at int64) error {
		if r.level == 5 {
			// The parity changes by as much as the data does.
			was, err := r.get(slots[0], at, len(p))
			if err != nil {
				return err
			}
			parity, err := r.get(r.parity(row), at, len(p))
			if err != nil {
				return err
			}
			subtle.XORBytes(parity, parity, was)
			subtle.XORBytes(parity, parity, p)
			if err := r.put(r.parity(row), at, parity); err != nil {
				return err
			}
		}
		for _, s := range slots {
			if err := r.put(s, at, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *spread) under() []*Device {
	var out []*Device
	for _, b := range r.slots {
		if b != nil {
			out = append(out, b)
		}
	}
	return out
}

func (r *spread) writes() []*Device { return r.under() }

func (r *spread) fingerprint() string { return "" }

// rebuild fills a member that has joined: only where another member has anything, since all that is zero gives zero.
func (r *spread) rebuild(m *Machine, slot int, to *Device, size int64) error {
	done := map[int64]bool{}
	for _, b := range r.under() {
		for page := range b.Disk.pages {
			at := page - b.Offset - r.offset
			if at < 0 || at >= size || done[at] {
				continue
			}
			done[at] = true
			p, err := r.get(slot, at, len(b.Disk.pages[page]))
			if err != nil {
				return err
			}
			if err := m.Write(to, p, r.offset+at, "recovery"); err != nil {
				return err
			}
		}
	}
	return nil
}
