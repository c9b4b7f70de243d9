package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing/fstest"

	"github.com/google/uuid"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
)

// Mount is what is mounted at a directory.
type Mount struct {
	Src, Dir, Type, Options string
	Tree                    fstest.MapFS
	ReadOnly                bool
	file                    *fstest.MapFile // what a file is bound to; nil for a directory
	filled                  bool            // by a copy: its inodes and directories come from the cache, not from the disk
}

func (m *Machine) mount(e machine.Mount) error {
	mount := Mount{Src: e.Source, Dir: e.Target, Type: e.Type, Options: e.Data, ReadOnly: e.Flags&machine.ReadOnly != 0}
	if tree, rel, _ := m.at(e.Target); e.Flags&machine.Bind != 0 && tree[rel] != nil && tree[rel].Mode.IsRegular() {
		mount.file = &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}
		m.Mounts = append(m.Mounts, mount)
		return nil
	}
	if !m.isDir(e.Target) {
		return fmt.Errorf("mount %s: %w", e.Target, fs.ErrNotExist)
	}
	switch {
	case e.Flags&machine.Bind != 0:
		tree, rel, _ := m.at(e.Source)
		if rel != "." {
			return fmt.Errorf("bind %s: not the root of a mount", e.Source)
		}
		mount.Tree, mount.Type = tree, "bind"
	case e.Type == "ext4":
		if !m.loaded["ext4"] {
			return errors.New("mount: unknown filesystem ext4")
		}
		b := m.Dev(e.Source)
		if b == nil {
			return fmt.Errorf("mount %s: %w", e.Source, fs.ErrNotExist)
		}
		if len(m.holders(b)) > 0 {
			return fmt.Errorf("mount %s: busy", e.Source)
		}
		id := m.FilesystemOn(b)
		if mount.Tree = m.Trees[id]; mount.Tree == nil {
			return fmt.Errorf("mount %s: no filesystem (%q)", e.Source, id)
		}
		if mount.Tree[halfway] != nil {
			m.TB.Errorf("mount %s: filesystem %s has checksums of two seeds", e.Source, id)
		}
		for _, d := range b.disks() {
			if d.Source && !m.live && !m.Joining && (!mount.ReadOnly || e.Data != "noload") {
				m.TB.Errorf("source %s is mounted with %q, read-only %v", e.Source, e.Data, mount.ReadOnly)
			}
		}
		if mount.ReadOnly && e.Data == "noload" {
			mount.Tree = m.unreplayed(id)
			if Dirty(b) {
				m.TB.Errorf("mount %s: its journal has yet to be replayed", e.Source)
			}
		} else {
			delete(m.journaled, id)
			if err := m.replay(b, id); err != nil {
				return fmt.Errorf("mount %s: %w", e.Source, err)
			}
		}
		if !mount.ReadOnly {
			if b.ReadOnly {
				return fmt.Errorf("mount %s: read-only device", e.Source)
			}
			m.stamp(b)
		}
	case e.Type == "overlay":
		// What is written over it is in memory, and gone with the mount.
		for option := range strings.SplitSeq(e.Data, ",") {
			if lower, ok := strings.CutPrefix(option, "lowerdir="); ok {
				tree, _, _ := m.at(lower)
				mount.Tree = maps.Clone(tree)
			}
		}
	case e.Type == "proc":
		mount.Tree = fstest.MapFS{"swaps": {Data: []byte("Filename\n"), Mode: 0o444}}
	default:
		mount.Tree = fstest.MapFS{}
	}
	m.Mounts = append(m.Mounts, mount)
	return nil
}

// stamp counts a mount for writing in the superblock.
func (m *Machine) stamp(b *Device) {
	raw := make([]byte, 2)
	b.ReadAt(raw, 1024+52)
	binary.LittleEndian.PutUint16(raw, binary.LittleEndian.Uint16(raw)+1)
	if err := m.Write(b, raw, 1024+52, "mount"); err != nil {
		m.TB.Error(err)
	}
}

// fsOn reads the UUID of the ext4 on a device, "" when there is none or a raid label is in its place.
func (m *Machine) FilesystemOn(b *Device) string {
	super := make([]byte, 1024)
	if _, err := b.ReadAt(super, 1024); err != nil || binary.LittleEndian.Uint16(super[56:]) != 0xef53 {
		return ""
	}
	if _, raid := SuperOf(b); raid {
		return ""
	}
	return uuid.UUID(super[104:120]).String()
}

// BootInstalled runs the system on a root filesystem: its own initrd has assembled the arrays, of members that agree only,
// and its fstab is mounted.
func (m *Machine) BootInstalled(root string) error {
	m.Boot()
	m.Joining = true
	for _, mod := range []string{"md_mod", "raid1", "raid10", "raid456", "ext4"} {
		m.loaded[mod] = true
	}
	var conf []byte
	if f := m.Trees[root]["etc/mdadm/mdadm.conf"]; f != nil && !m.AssembleAll {
		conf = f.Data
	}
	if err := m.assembleAll(conf); err != nil {
		return err
	}
	if m.AssembleAll {
		if err := m.activate(); err != nil {
			return err
		}
	}
	if err := m.mountUUID(root, "/"); err != nil {
		return err
	}
	table, err := fstab.Parse(m.Trees[root]["etc/fstab"].Data)
	if err != nil {
		return err
	}
	for _, e := range table.Entries() {
		if e.Spec.Kind != fstab.UUID || e.VFSType != "ext4" || e.File == "/" || e.Options.Has("noauto") || e.Options.Has("nofail") {
			continue
		}
		if err := m.mountUUID(e.Spec.Value, e.File); err != nil {
			return err
		}
	}
	return nil
}

// mountUUID mounts a filesystem for writing where it is found.
func (m *Machine) mountUUID(id, dir string) error {
	for _, b := range m.Devices {
		if len(m.holders(b)) == 0 && m.FilesystemOn(b) == id {
			m.Mounts = append(m.Mounts, Mount{Src: "/dev/" + b.Name, Dir: dir, Type: "ext4", Tree: m.Trees[id]})
			m.stamp(b)
			return nil
		}
	}
	return fmt.Errorf("mount %s: filesystem %s: %w", dir, id, fs.ErrNotExist)
}

func (m *Machine) mountAt(dir string) *Mount {
	for i := range m.Mounts {
		if m.Mounts[i].Dir == dir {
			return &m.Mounts[i]
		}
	}
	return nil
}
