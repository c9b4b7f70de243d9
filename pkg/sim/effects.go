package sim

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
)

func (m *Machine) carry(e machine.Effect, torn bool) error {
	switch e := e.(type) {
	case machine.WriteDevice:
		return m.writeDevice(e, torn)
	case machine.SetReadOnly:
		b := m.Dev(e.Dev)
		if b == nil {
			return fmt.Errorf("device %s: %w", e.Dev, fs.ErrNotExist)
		}
		b.ReadOnly = e.On
	case machine.HoldDisk:
		if m.Dev(e.Dev) == nil {
			return fmt.Errorf("device %s: %w", e.Dev, fs.ErrNotExist)
		}
	case machine.Partitions:
		return m.partitions(e)
	case machine.Ioctl:
		return m.ioctl(e)
	case machine.WriteSys:
		return m.writeSys(e)
	case machine.Mapping:
		return m.mapDevice(e)
	case machine.Unmap:
		return m.unmap(e)
	case machine.Loop:
		return m.loop(e)
	case machine.LoopOff:
		return m.loopOff(e)
	case machine.Mount:
		return m.mount(e)
	case machine.Unmount:
		for i := len(m.Mounts) - 1; i >= 0; i-- {
			if m.Mounts[i].Dir == e.Target {
				for _, mount := range m.Mounts[i+1:] {
					if strings.HasPrefix(mount.Dir, e.Target+"/") {
						return fmt.Errorf("mount %s: busy: %s is mounted", e.Target, mount.Dir)
					}
				}
				for _, b := range m.Devices {
					if file, ok := b.layer.(ram); ok && strings.HasPrefix(file.file, e.Target+"/") {
						return fmt.Errorf("mount %s: busy: %s is attached to %s", e.Target, file.file, b.Name)
					}
				}
				m.flush(m.Mounts[i].Tree)
				m.Mounts = slices.Delete(m.Mounts, i, i+1)
				return nil
			}
		}
		return fmt.Errorf("mount %s: not mounted", e.Target)
	case machine.SwitchRoot:
		for _, mount := range m.Mounts {
			if mount.Dir == e.NewRoot {
				m.Entered = e.NewRoot
				return nil
			}
		}
		return fmt.Errorf("root %s: not a mount point", e.NewRoot)
	case machine.Sync:
		tree, _, _ := m.at(e.Path)
		m.flush(tree)
	case machine.Exec:
		return m.exec(e, torn)
	default:
		return m.file(e, torn)
	}
	return nil
}

// writeDevice does all chunks; a torn one stops in the middle of the middle chunk, at a sector.
func (m *Machine) writeDevice(e machine.WriteDevice, torn bool) error {
	b := m.Dev(e.Dev)
	if b == nil {
		return fmt.Errorf("device %s: %w", e.Dev, fs.ErrNotExist)
	}
	for i, c := range e.Chunks {
		data := c.Data
		if data == nil {
			data = make([]byte, c.Zero)
		}
		at := len(e.Chunks) / 2
		if m.Tear > 0 {
			at = m.Tear - 1
		}
		if torn && i == at {
			return m.Write(b, data[:len(data)/2/512*512], c.Offset, e)
		}
		if err := m.Write(b, data, c.Offset, e); err != nil {
			return err
		}
	}
	return nil
}

// dropDeviceCache is BLKFLSBUF of linux/fs.h.
const dropDeviceCache = 0x1261

// ioctl knows md's, and the one that drops a device's cache.
func (m *Machine) ioctl(e machine.Ioctl) error {
	name := strings.TrimPrefix(e.Dev, "/dev/")
	if b := m.Dev(name); b != nil && e.Name == "BLKFLSBUF" && e.Req == dropDeviceCache {
		if at := m.mountOf(b); at != "" {
			m.TB.Errorf("cache of %s is dropped while it is mounted at %s, which leaves what that uses", e.Dev, at)
		}
		b.cached = false
		return nil
	}
	a, node := m.Arrays[name], m.Dev(name)
	if a == nil {
		return fmt.Errorf("ioctl %s on %s: %w", e.Name, e.Dev, fs.ErrNotExist)
	}
	switch e.Name {
	case "SET_ARRAY_INFO":
		a.version = fmt.Sprintf("%d.%d", binary.LittleEndian.Uint32(e.Arg), binary.LittleEndian.Uint32(e.Arg[4:]))
		return nil
	case "ADD_NEW_DISK":
		member, err := md.DecodeDiskInfo(e.Arg)
		if err != nil {
			return err
		}
		b := m.byNumber(member.Major, member.Minor)
		if b == nil {
			return fmt.Errorf("ioctl %s: no device %d:%d", e.Name, member.Major, member.Minor)
		}
		s, ok := SuperOf(b)
		switch {
		case !ok:
			return fmt.Errorf("ioctl %s: %s has no superblock", e.Name, b.Name)
		case len(m.holders(b)) > 0:
			return fmt.Errorf("ioctl %s: %s is busy", e.Name, b.Name)
		case a.runs && s.UUID.String() != a.UUID:
			return fmt.Errorf("ioctl %s: %s is of array %s", e.Name, b.Name, s.UUID)
		case a.runs:
			return m.hotAdd(a, b, s)
		case string(s.Version) != a.version:
			return fmt.Errorf("ioctl %s: %s has metadata %s, not %s", e.Name, b.Name, s.Version, a.version)
		}
		a.Members = append(a.Members, b)
		return nil
	case "RUN_ARRAY":
		return m.runArray(a, node)
	case "RESTART_ARRAY_RW":
		if !a.runs || !a.asleep {
			return fmt.Errorf("ioctl %s on %s: busy", e.Name, e.Dev)
		}
		a.asleep = false
		return nil
	case "STOP_ARRAY":
		if m.mountOf(node) != "" || len(m.holders(node)) > 0 {
			return fmt.Errorf("ioctl %s on %s: busy", e.Name, e.Dev)
		}
		delete(m.Arrays, name)
		m.Devices = slices.DeleteFunc(m.Devices, func(b *Device) bool { return b == node })
		return nil
	}
	return fmt.Errorf("ioctl %s: not known here", e.Name)
}
