package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Write writes to a device as an effect does: within its size, not while it is read-only, never to a guarded source.
func (m *Machine) Write(b *Device, p []byte, off int64, what any) error {
	m.guard(b, what)
	if b.ReadOnly {
		m.TB.Errorf("read-only device %s is written: %v", b.Name, what)
		return fmt.Errorf("device %s: read-only", b.Name)
	}
	if off < 0 || off+int64(len(p)) > b.Size {
		return fmt.Errorf("device %s: outside its %d bytes", b.Name, b.Size)
	}
	if a := m.Arrays[b.Name]; a != nil {
		a.asleep = false
		m.resync(a, b)
	}
	return b.write(p, off)
}

// Dev gives the device of a name, with or without /dev/; nil when the kernel does not show it.
func (m *Machine) Dev(name string) *Device {
	name = strings.TrimPrefix(name, "/dev/")
	for _, b := range m.Devices {
		if b.Name == name {
			return b
		}
	}
	return nil
}

func (m *Machine) byNumber(maj, min uint32) *Device {
	for _, b := range m.Devices {
		if b.Major == maj && b.Minor == min {
			return b
		}
	}
	return nil
}

func (m *Machine) holders(b *Device) []string {
	var out []string
	for n, a := range m.Arrays {
		if slices.Contains(a.Members, b) || slices.Contains(a.waiting, b) {
			out = append(out, n)
		}
	}
	for _, d := range m.Devices {
		if m.Arrays[d.Name] == nil && slices.Contains(d.below(), b) {
			out = append(out, d.Name)
		}
	}
	return out
}

func (m *Machine) mountOf(b *Device) string {
	for _, mount := range m.Mounts {
		if mount.Src == "/dev/"+b.Name {
			return mount.Dir
		}
	}
	return ""
}

// Device is what the kernel makes of a disk: the disk itself, a partition, or an array or another layer over legs.
type Device struct {
	Name         string
	Major, Minor uint32
	Size         int64
	Disk         *Disk // nil for what has legs
	Offset       int64
	Number       int
	ReadOnly     bool
	cached       bool // metadata that a copy wrote is in the page cache
	Legs         []*Device
	LegOffset    int64
	layer        layer // of a mapping or a loop device
}

// ReadAt reads; what has legs is read from its first.
func (b *Device) ReadAt(p []byte, off int64) (int, error) {
	var n int
	var err error
	room := max(0, b.Size-off)
	cut := p[:min(int64(len(p)), room)]
	if b.layer != nil {
		if err = b.layer.readAt(cut, off); err == nil {
			n = len(cut)
		}
	} else if b.Disk != nil {
		n, err = b.Disk.ReadAt(cut, b.Offset+off)
	} else if len(b.Legs) > 0 {
		n, err = b.Legs[0].ReadAt(cut, b.LegOffset+off)
	}
	if err == nil && len(cut) < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close does nothing.
func (b *Device) Close() error { return nil }

// Write writes what no one may refuse.
func (b *Device) Write(p []byte, off int64) { _ = b.write(p, off) }

// write writes: an array writes to all its members, and fails only where all of them do.
func (b *Device) write(p []byte, off int64) error {
	if b.layer != nil {
		return b.layer.writeAt(p, off)
	}
	if b.Disk != nil {
		b.Disk.Write(p, b.Offset+off)
	}
	var failed []error
	for _, l := range b.Legs {
		if err := l.write(p, b.LegOffset+off); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 && len(failed) == len(b.Legs) {
		return failed[0]
	}
	return nil
}

// below are the devices that a layer holds.
func (b *Device) below() []*Device {
	if b.layer != nil {
		return b.layer.under()
	}
	return b.Legs
}

func (b *Device) disks() []*Disk {
	if b.Disk != nil {
		return []*Disk{b.Disk}
	}
	legs := b.Legs
	if b.layer != nil {
		legs = b.layer.writes()
	}
	var out []*Disk
	for _, l := range legs {
		out = append(out, l.disks()...)
	}
	return out
}

// under gives the device that a directory's filesystem is on.
func (m *Machine) under(dir string) *Device {
	best, dev := -1, (*Device)(nil)
	for _, mount := range m.Mounts {
		if (mount.Dir == "/" || dir == mount.Dir || strings.HasPrefix(dir, mount.Dir+"/")) && len(mount.Dir) >= best {
			best, dev = len(mount.Dir), m.Dev(mount.Src)
		}
	}
	return dev
}
