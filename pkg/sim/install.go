package sim

import (
	"cmp"
	"fmt"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/gpt"
)

// Layout is what of the disks of the made-up Debian tests vary: vda has the partitions, and vdb, as large, is empty.
type Layout struct {
	DiskSize int64
	Parts    []Part
}

// Part is a partition of the old disk, and what is on it.
type Part struct {
	Kind        string // as the table calls it
	Name        string // in the table; "" is p
	Size        int64
	UUID, Label string
	Mount       string // of an ext4; "" where there is none
	Fstab       string // its line there
}

func (p Part) path(number int) string { return fmt.Sprintf("/dev/vda%d", number) }

// standard is / and /srv of ext4, and swap.
func standard() Layout {
	return Layout{1024 * MiB, []Part{
		{Kind: "bios_grub", Size: MiB},
		{Kind: "linux", Size: 500 * MiB, UUID: OldRoot, Label: "rootfs", Mount: "/", Fstab: "UUID=" + OldRoot + " /               ext4    errors=remount-ro 0       1\n"},
		{Kind: "linux", Size: 200 * MiB, UUID: OldSrv, Mount: "/srv", Fstab: "UUID=" + OldSrv + " /srv\text4 defaults,noatime 0 2 # data\n"},
		{Kind: "swap", Size: 100 * MiB, UUID: OldSwap, Fstab: "UUID=" + OldSwap + " none            swap    sw              0       0\n"},
	}}
}

// Debian is a Debian on vda with /, /srv and swap, and an empty vdb; the old system runs.
func Debian(t testing.TB) *Machine { return Install(t, standard()) }

// Install is a Debian on other partitions.
func Install(t testing.TB, l Layout) *Machine {
	m := &Machine{TB: t, Trees: map[string]fstest.MapFS{}, Disks: []*Disk{NewDisk("vda", l.DiskSize), NewDisk("vdb", l.DiskSize)}, layout: l}
	vda := m.Disks[0]
	vda.Source = true
	tab := gpt.Table{Scheme: gpt.SchemeGPT, ID: OldTable, SectorSize: 512}
	at, fstab := MiB, ""
	for i, p := range l.Parts {
		typ, err := gpt.TypeOf(gpt.SchemeGPT, p.Kind)
		if err != nil {
			t.Fatal(err)
		}
		tab.Partitions = append(tab.Partitions, gpt.Partition{Number: i + 1, Type: typ, ID: fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i+1), Name: cmp.Or(p.Name, "p"), Start: at, Size: p.Size})
		switch {
		case p.Kind == "swap":
			vda.Write(SwapHeader(p.UUID, p.Size), at)
		case p.Mount != "":
			vda.Write(Ext4Super(p.UUID, p.Label, p.Size, 1), at+1024)
			m.Trees[p.UUID] = Files(map[string]string{"data/big": "srv data"})
		}
		fstab += p.Fstab
		at += p.Size
	}
	m.Trees[OldRoot] = DebianRoot(fstab)
	writes, err := gpt.Encode(tab, vda.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range writes {
		vda.Write(x.Data, x.Offset)
	}
	m.Boot()
	if err := embedGRUB(m.Dev("vda"), "(,gpt2)/boot/grub", false); err != nil {
		t.Fatal(err)
	}
	m.BootOld()
	return m
}

// BootOld runs the old system: its filesystems mounted for writing, which stamps them.
func (m *Machine) BootOld() {
	m.Boot()
	m.live = true
	for _, mod := range []string{"virtio_blk", "virtio_pci", "md_mod", "raid1", "ext4"} {
		m.loaded[mod] = true
	}
	for i, p := range m.layout.Parts {
		if p.Mount != "" {
			m.Mounts = append(m.Mounts, Mount{Src: p.path(i + 1), Dir: p.Mount, Type: "ext4", Tree: m.Trees[p.UUID]})
			m.stamp(m.Dev(p.path(i + 1)))
		}
	}
}
