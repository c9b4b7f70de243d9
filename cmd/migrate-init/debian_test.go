package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/sim"
)

// The made-up machine: a Debian in a virtual machine, one disk with root and swap, and a second one, empty.
const (
	rootUUID = sim.OldRoot
	swapUUID = sim.OldSwap
	diskSize = 4096 * sim.MiB
	rootSize = 3072 * sim.MiB
)

func mountLine(id int, dev, at, typ, source string) string {
	return fmt.Sprintf("%d 1 %s / %s rw,relatime - %s %s rw\n", 30+id, dev, at, typ, source)
}

func put(root, name, data string, mode fs.FileMode) error {
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, []byte(data), mode)
}

// link makes a symbolic link, relative as those of sysfs are, so that it stays inside of the made-up root.
func link(root, name, to string) error {
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	rel, err := filepath.Rel(filepath.Dir(p), filepath.Join(root, to))
	if err != nil {
		return err
	}
	return os.Symlink(rel, p)
}

// buildWorld writes the made-up Debian to a directory: what the commands work on are real files.
func buildWorld(t testing.TB, dir string) error {
	m := sim.Install(t, sim.Layout{DiskSize: diskSize, Parts: []sim.Part{
		{Kind: "bios_grub", Size: sim.MiB},
		{Kind: "linux", Size: rootSize, UUID: rootUUID, Mount: "/", Fstab: "UUID=" + rootUUID + " / ext4 errors=remount-ro 0 1\n"},
		{Kind: "swap", Size: 512 * sim.MiB, UUID: swapUUID, Fstab: "UUID=" + swapUUID + " none swap sw 0 0\n"},
	}})
	root := filepath.Join(dir, "root")
	if err := dump(root, m.View()); err != nil {
		return err
	}
	for _, d := range m.Disks {
		if err := dumpDisk(dir, d); err != nil {
			return err
		}
	}
	for _, b := range m.Devices {
		if err := put(root, "dev/"+b.Name, "", 0o600); err != nil {
			return err
		}
	}
	for name, data := range map[string]string{
		"usr/sbin/migrate-init": string(sim.Program("")),
		"etc/mdadm/mdadm.conf":  "HOMEHOST <system>\n",
	} {
		if err := put(root, name, data, 0o755); err != nil {
			return err
		}
	}
	for name, data := range map[string]string{"uid": "0\n", "unused": "-1\n", "free": strconv.FormatInt(1024*sim.MiB, 10) + "\n"} {
		if err := put(dir, name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dump writes a tree to a directory. The kernel's files are read-only there, but not here: tests change them.
func dump(root string, tree fstest.MapFS) error {
	for name, f := range tree {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		var err error
		switch {
		case f.Mode.IsDir():
			err = os.MkdirAll(p, 0o755)
		case f.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(f.Data), p)
		default:
			err = os.WriteFile(p, f.Data, f.Mode.Perm()|0o200)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dumpDisk writes a disk's content to a sparse file.
func dumpDisk(dir string, d *sim.Disk) error {
	if err := put(dir, "disks/"+d.Name, "", 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "disks", d.Name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for at, page := range d.Pages() {
		if _, err := f.WriteAt(page, at); err != nil {
			return err
		}
	}
	return f.Truncate(d.Size)
}

// addBlock makes a block device's directory in sysfs and the links to it.
func addBlock(root, at, name string, attrs map[string]string) error {
	for n, v := range attrs {
		if err := put(root, filepath.Join(at, n), v+"\n", 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, at, "holders"), 0o755); err != nil {
		return err
	}
	if err := put(root, "dev/"+name, "", 0o600); err != nil {
		return err
	}
	return link(root, "sys/class/block/"+name, at)
}

// addDisk adds an empty disk, the nth.
func addDisk(dir, name, serial string, size int64, n int) error {
	d := sim.NewDisk(name, size)
	d.Serial = serial
	if err := dumpDisk(dir, d); err != nil {
		return err
	}
	return addDevice(dir, &sim.Device{Name: name, Major: 254, Minor: uint32(16 * n), Size: size, Disk: d})
}

// addDevice lets the kernel see a disk or a partition of one.
func addDevice(dir string, b *sim.Device) error {
	root := filepath.Join(dir, "root")
	if err := dump(root, sim.Sysfs(b)); err != nil {
		return err
	}
	return put(root, "dev/"+b.Name, "", 0o600)
}

// addTable writes a table to the nth disk and lets the kernel see its partitions.
func addTable(dir, disk string, size int64, n int, t gpt.Table) error {
	if err := putTable(dir, disk, size, t); err != nil {
		return err
	}
	d := sim.NewDisk(disk, size)
	for _, p := range t.Partitions {
		b := &sim.Device{Name: disk + strconv.Itoa(p.Number), Major: 254, Minor: uint32(16*n + p.Number), Size: p.Size, Disk: d, Offset: p.Start, Number: p.Number}
		if err := addDevice(dir, b); err != nil {
			return err
		}
	}
	return nil
}
