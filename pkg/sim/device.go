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
	}
	b.Write(p, off)
	return nil
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
		if slices.Contains(a.Members, b) {
			out = append(out, n)
		}
	}
	for _, d := range m.Devices {
		if m.Arrays[d.Name] == nil && slices.Contains(d.Legs, b) {
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
}

// ReadAt reads; what has legs is read from its first.
func (b *Device) ReadAt(p []byte, off int64) (int, error) {
	var n int
	var err error
	room := max(0, b.Size-off)
	cut := p[:min(int64(len(p)), room)]
	if b.Disk != nil {
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

// Write writes what no one may refuse: an array writes to all its members.
func (b *Device) Write(p []byte, off int64) {
	if b.Disk != nil {
		b.Disk.Write(p, b.Offset+off)
	}
	for _, l := range b.Legs {
		l.Write(p, b.LegOffset+off)
	}
}

func (b *Device) disks() []*Disk {
	if b.Disk != nil {
		return []*Disk{b.Disk}
	}
	var out []*Disk
	for _, l := range b.Legs {
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
