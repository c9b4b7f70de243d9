package sim

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"

	"migrate-init/pkg/machine"
)

// ram is the file of a loop device.
type ram struct {
	*Disk
	file     string
	readOnly bool
}

func (r ram) readAt(p []byte, off int64) error {
	_, err := r.Disk.ReadAt(p, off)
	return err
}

func (r ram) writeAt(p []byte, off int64) error {
	if r.readOnly {
		return errIO
	}
	r.Disk.Write(p, off)
	return nil
}

func (r ram) under() []*Device { return nil }

func (r ram) writes() []*Device { return nil }

func (r ram) fingerprint() string { return fmt.Sprintf("%s %x", r.file, r.Whole) }

// loop does Loop: a file that is made is kept by the device, and only its name is in the tree.
func (m *Machine) loop(e machine.Loop) error {
	if !m.loaded["loop"] {
		return fmt.Errorf("open /dev/loop-control: %w", fs.ErrNotExist)
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(e.Dev, "/dev/loop"), 10, 20)
	if err != nil {
		return fmt.Errorf("loop device %q: must be /dev/loopN", e.Dev)
	}
	if m.Dev(e.Dev) != nil {
		return fmt.Errorf("loop device %s: busy", e.Dev)
	}
	tree, name, _ := m.at(e.File)
	disk := NewDisk("file", e.Size)
	switch f := tree[name]; {
	case e.Size > 0:
		if !m.isDir(parent(e.File)) {
			return fmt.Errorf("open %s: %w", e.File, fs.ErrNotExist)
		}
		tree[name] = &fstest.MapFile{Mode: 0o600}
	case f == nil:
		return fmt.Errorf("open %s: %w", e.File, fs.ErrNotExist)
	default:
		disk = NewDisk("file", int64(len(f.Data))/512*512)
		disk.Write(f.Data, 0)
	}
	m.Devices = append(m.Devices, &Device{Name: strings.TrimPrefix(e.Dev, "/dev/"), Major: 7, Minor: uint32(number), Size: disk.Size, ReadOnly: e.ReadOnly, layer: ram{disk, e.File, e.ReadOnly}})
	return nil
}

func parent(name string) string { return name[:max(1, strings.LastIndex(name, "/"))] }

func (m *Machine) loopOff(e machine.LoopOff) error {
	b := m.Dev(e.Dev)
	switch {
	case b == nil:
		return nil
	case len(m.holders(b)) > 0:
		return fmt.Errorf("loop device %s: detach: busy", e.Dev)
	}
	m.Devices = slices.DeleteFunc(m.Devices, func(x *Device) bool { return x == b })
	return nil
}

// Cover puts a snapshot in memory over a device, under a name that is its UUID too.
func (m *Machine) Cover(dev, name string, store int64) {
	b := m.Dev(dev)
	m.loaded["loop"], m.loaded["dm_mod"], m.loaded["dm_snapshot"] = true, true, true
	m.do(machine.Mkdir{Path: "/mnt/cover", Mode: 0o700}, machine.Mount{Source: "tmpfs", Target: "/mnt/cover", Type: "tmpfs"}, machine.Loop{Dev: "/dev/loop3", File: "/mnt/cover/store", Size: store},
		machine.Mapping{Name: name, UUID: name, Table: []machine.MappingTarget{{Length: b.Size, Type: "snapshot", Params: dev + " /dev/loop3 N 8"}}})
}

// Uncover takes it away again, and puts in its place a mapping of another device that has the UUID of an overlay.
func (m *Machine) Uncover(name, uuid, other string) {
	m.do(machine.Unmap{Name: name}, machine.LoopOff{Dev: "/dev/loop3"}, machine.Mapping{Name: "odd", UUID: uuid, Table: []machine.MappingTarget{{Length: m.Dev(other).Size, Type: "linear", Params: other + " 0"}}})
}

func (m *Machine) do(effs ...machine.Effect) {
	m.TB.Helper()
	for _, e := range effs {
		if _, err := m.Do(context.Background(), e); err != nil {
			m.TB.Fatalf("%s: %v", e, err)
		}
	}
}
