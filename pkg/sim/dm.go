package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
)

// A layer is what a device reads and writes that is neither a disk nor an array: a mapping of device-mapper, or a loop device.
type layer interface {
	readAt(p []byte, off int64) error
	writeAt(p []byte, off int64) error
	under() []*Device    // the devices that it holds
	writes() []*Device   // those of them that a write reaches
	fingerprint() string // names all that it holds itself
}

var errIO = errors.New("input/output error")

// mapping is a device of device-mapper.
type mapping struct {
	name, uuid string
	readOnly   bool
	targets    []target
}

type target struct {
	machine.MappingTarget
	layer
}

// each splits a range at the ends of targets.
func (t *mapping) each(p []byte, off int64, do func(l layer, p []byte, off int64) error) error {
	for _, x := range t.targets {
		from, to := max(off, x.Start), min(off+int64(len(p)), x.Start+x.Length)
		if from >= to {
			continue
		}
		if err := do(x.layer, p[from-off:to-off], from-x.Start); err != nil {
			return err
		}
	}
	return nil
}

func (t *mapping) readAt(p []byte, off int64) error { return t.each(p, off, layer.readAt) }

func (t *mapping) writeAt(p []byte, off int64) error { return t.each(p, off, layer.writeAt) }

func (t *mapping) all(of func(layer) []*Device) []*Device {
	var out []*Device
	for _, x := range t.targets {
		out = append(out, of(x.layer)...)
	}
	return out
}

func (t *mapping) under() []*Device { return t.all(layer.under) }

func (t *mapping) writes() []*Device { return t.all(layer.writes) }

func (t *mapping) fingerprint() string {
	var b strings.Builder
	for _, x := range t.targets {
		b.WriteString(x.Type + " " + x.Params + x.layer.fingerprint() + ";")
	}
	return b.String()
}

// striped is one leg (linear) or several, a stripe of chunk bytes from each in turn.
type striped struct {
	legs  []*Device
	at    []int64
	chunk int64
}

func (s striped) each(p []byte, off int64, do func(d *Device, p []byte, off int64) error) error {
	for len(p) > 0 {
		stripe, in := off/s.chunk, off%s.chunk
		n := min(int64(len(p)), s.chunk-in)
		i := int(stripe % int64(len(s.legs)))
		if err := do(s.legs[i], p[:n], s.at[i]+stripe/int64(len(s.legs))*s.chunk+in); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

func (s striped) readAt(p []byte, off int64) error {
	return s.each(p, off, func(d *Device, p []byte, off int64) error {
		_, err := d.ReadAt(p, off)
		return err
	})
}

func (s striped) writeAt(p []byte, off int64) error {
	return s.each(p, off, (*Device).write)
}

func (s striped) under() []*Device { return s.legs }

func (s striped) writes() []*Device { return s.legs }

func (s striped) fingerprint() string { return "" }

// crypt is a linear leg whose bytes are mixed with a key: another key shows other bytes.
type crypt struct {
	striped
	key [32]byte
}

func (c crypt) mix(p []byte, off int64) []byte {
	out := slices.Clone(p)
	for i := range out {
		out[i] ^= c.key[(off+int64(i))%32]
	}
	return out
}

func (c crypt) readAt(p []byte, off int64) error {
	err := c.striped.readAt(p, off)
	copy(p, c.mix(p, off))
	return err
}

func (c crypt) writeAt(p []byte, off int64) error { return c.striped.writeAt(c.mix(p, off), off) }

// snapshot keeps what is written over its origin, in a store. Once that is full, nothing can be read any more.
type snapshot struct {
	origin, store *Device
	own           map[int64]bool // pages that are not the origin's
	pages         *Disk
	invalid       bool
}

func (s *snapshot) readAt(p []byte, off int64) error {
	if s.invalid {
		return errIO
	}
	if _, err := s.origin.ReadAt(p, off); err != nil {
		return err
	}
	for at := off / page * page; at < off+int64(len(p)); at += page {
		if s.own[at] {
			from, to := max(at, off), min(at+page, off+int64(len(p)))
			if _, err := s.pages.ReadAt(p[from-off:to-off], from); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *snapshot) writeAt(p []byte, off int64) error {
	for at := off / page * page; at < off+int64(len(p)); at += page {
		if s.invalid {
			return errIO
		}
		if s.own[at] {
			continue
		}
		if int64(len(s.own)+1)*page > s.store.Size {
			s.invalid = true
			return errIO
		}
		was := make([]byte, min(page, s.origin.Size-at))
		if _, err := s.origin.ReadAt(was, at); err != nil {
			return err
		}
		s.pages.Write(was, at)
		s.own[at] = true
	}
	s.pages.Write(p, off)
	return nil
}

func (s *snapshot) under() []*Device { return []*Device{s.origin, s.store} }

func (s *snapshot) writes() []*Device { return []*Device{s.store} }

func (s *snapshot) fingerprint() string {
	return fmt.Sprintf(" %x %d %v", s.pages.Whole, len(s.own), s.invalid)
}

// mapDevice does Mapping.
func (m *Machine) mapDevice(e machine.Mapping) error {
	if !m.loaded["dm_mod"] {
		return errors.New("device-mapper: the kernel does not offer it")
	}
	if m.mapped(e.Name) != nil {
		return fmt.Errorf("mapping %s: create: %w", e.Name, fs.ErrExist)
	}
	t := &mapping{name: e.Name, uuid: e.UUID, readOnly: e.ReadOnly}
	var size int64
	for i, x := range e.Table {
		if x.Start != size || x.Length <= 0 || x.Length%512 != 0 {
			return fmt.Errorf("mapping %s: load its table: target %d has %d bytes at %d", e.Name, i, x.Length, x.Start)
		}
		l, err := m.target(x)
		if err != nil {
			return fmt.Errorf("mapping %s: load its table: %s %w", e.Name, x.Type, err)
		}
		t.targets = append(t.targets, target{x, l})
		size += x.Length
	}
	minor := uint32(0)
	for m.byNumber(253, minor) != nil {
		minor++
	}
	m.Devices = append(m.Devices, &Device{Name: fmt.Sprintf("dm-%d", minor), Major: 253, Minor: minor, Size: size, ReadOnly: e.ReadOnly, layer: t})
	return nil
}

// modules of targets that are not in dm_mod itself.
func targetModule(typ string) string {
	return map[string]string{"snapshot": "dm_snapshot", "crypt": "dm_crypt"}[typ]
}

func (m *Machine) target(x machine.MappingTarget) (layer, error) {
	if mod := targetModule(x.Type); mod != "" && !m.loaded[mod] {
		return nil, errors.New("is not a known target")
	}
	f := strings.Fields(x.Params)
	leg := func(i int) (*Device, int64, error) {
		if i+1 >= len(f) {
			return nil, 0, fmt.Errorf("has too few parameters: %s", x.Params)
		}
		d, err := m.param(f[i])
		sectors, nerr := strconv.ParseInt(f[i+1], 10, 64)
		return d, sectors * 512, errors.Join(err, nerr)
	}
	switch {
	case x.Type == "linear":
		d, at, err := leg(0)
		return striped{[]*Device{d}, []int64{at}, 1 << 62}, err
	case x.Type == "crypt" && len(f) >= 5:
		d, at, err := leg(3)
		return crypt{striped{[]*Device{d}, []int64{at}, 1 << 62}, sha256.Sum256([]byte(f[1]))}, err
	case x.Type == "striped" && len(f) >= 2:
		n, err := strconv.Atoi(f[0])
		chunk, cerr := strconv.ParseInt(f[1], 10, 64)
		s := striped{chunk: chunk * 512}
		for i := range n {
			d, at, lerr := leg(2 + 2*i)
			if err = errors.Join(err, lerr); err != nil {
				break
			}
			s.legs, s.at = append(s.legs, d), append(s.at, at)
		}
		return s, errors.Join(err, cerr)
	case x.Type == "snapshot" && len(f) == 4 && f[2] == "N" && f[3] == "8":
		origin, err := m.param(f[0])
		store, serr := m.param(f[1])
		if err := errors.Join(err, serr); err != nil {
			return nil, err
		}
		return &snapshot{origin: origin, store: store, own: map[int64]bool{}, pages: NewDisk("store", origin.Size)}, nil
	}
	return nil, fmt.Errorf("is not known here: %s", x.Params)
}

// param is the device that a parameter of a table names.
func (m *Machine) param(s string) (*Device, error) {
	b := m.Dev(s)
	if major, minor, ok := strings.Cut(s, ":"); ok && !strings.HasPrefix(s, "/") {
		x, _ := strconv.ParseUint(major, 10, 32)
		y, _ := strconv.ParseUint(minor, 10, 32)
		b = m.byNumber(uint32(x), uint32(y))
	}
	if b == nil {
		return nil, fmt.Errorf("%s: %w", s, fs.ErrNotExist)
	}
	return b, nil
}

// mapped finds a mapping by its name.
func (m *Machine) mapped(name string) *Device {
	for _, b := range m.Devices {
		if t, ok := b.layer.(*mapping); ok && t.name == name {
			return b
		}
	}
	return nil
}

func (m *Machine) unmap(e machine.Unmap) error {
	b := m.mapped(e.Name)
	switch {
	case b == nil:
		return nil
	case m.mountOf(b) != "" || len(m.holders(b)) > 0:
		return fmt.Errorf("mapping %s: remove: busy", e.Name)
	}
	m.Devices = slices.DeleteFunc(m.Devices, func(x *Device) bool { return x == b })
	return nil
}

// Status is machine.StatusOfMapping.
func (m *Machine) Status(name string) (machine.MappingState, error) {
	b := m.mapped(name)
	if b == nil {
		return machine.MappingState{}, fmt.Errorf("mapping %s: %w", name, fs.ErrNotExist)
	}
	t := b.layer.(*mapping)
	s := machine.MappingState{ReadOnly: t.readOnly, Open: len(m.holders(b))}
	for _, x := range t.targets {
		row := x.MappingTarget
		row.Params = ""
		if snap, ok := x.layer.(*snapshot); ok {
			row.Params = fmt.Sprintf("%d/%d 0", len(snap.own)*page/512, snap.store.Size/512)
			if snap.invalid {
				row.Params = "Invalid"
			}
		}
		s.Table = append(s.Table, row)
	}
	return s, nil
}

// layerFiles are those of sysfs that tell of a mapping.
func (b *Device) layerFiles(at string, file func(string, string, ...any)) {
	t, ok := b.layer.(*mapping)
	if !ok {
		return
	}
	file(at+"/dm/name", "%s", t.name)
	file(at+"/dm/uuid", "%s", t.uuid)
	file(at+"/dm/suspended", "0")
}
