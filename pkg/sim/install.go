package sim

import (
	"cmp"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/md"
)

// Layout is what of the disks of the made-up Debian tests vary: vda has the partitions, and vdb, as large, is empty.
type Layout struct {
	DiskSize int64
	Parts    []Part
	// Mirror adds a disk vdc as vda, and makes each filesystem and swap area, but for the plain ones, a RAID1 of both, of these
	// metadata: "1.2".
	Mirror string
	// Volumes makes each filesystem and swap area, but for the plain ones, a volume that fills a physical volume of its own, all
	// of one group. With Passphrase, each of these lies in an encrypted container.
	Volumes    bool
	Passphrase string
}

// mirrored reports whether a partition is a member of an array.
func (l Layout) mirrored(p Part) bool {
	return l.Mirror != "" && !p.Plain && (p.Kind == "swap" || p.Mount != "")
}

// onVolume reports whether what a partition holds is a logical volume.
func (l Layout) onVolume(p Part) bool {
	return l.Volumes && !p.Plain && (p.Kind == "swap" || p.Mount != "")
}

// Arrays are the UUIDs of a mirrored Debian's arrays, in the order of its partitions.
func (l Layout) Arrays() []string {
	var out []string
	for i, p := range l.Parts {
		if l.mirrored(p) {
			out = append(out, arrayOf(i).String())
		}
	}
	return out
}

func arrayOf(part int) md.UUID { return md.UUID{0: 0xee, 15: byte(part + 1)} }

// Part is a partition of the old disk, and what is on it.
type Part struct {
	Kind        string // as the table calls it
	Name        string // in the table; "" is p
	Size        int64
	UUID, Label string
	Mount       string // of an ext4; "" where there is none
	Fstab       string // its line there
	Plain       bool   // on vda alone, in a layout with a mirror
}

func (p Part) path(number int) string { return fmt.Sprintf("/dev/vda%d", number) }

// standard is / and /srv of ext4, and swap.
func standard() Layout {
	return Layout{DiskSize: 1024 * MiB, Parts: []Part{
		{Kind: "bios_grub", Size: MiB},
		{Kind: "linux", Size: 500 * MiB, UUID: OldRoot, Label: "rootfs", Mount: "/", Fstab: "UUID=" + OldRoot + " /               ext4    errors=remount-ro 0       1\n"},
		{Kind: "linux", Size: 200 * MiB, UUID: OldSrv, Mount: "/srv", Fstab: "UUID=" + OldSrv + " /srv\text4 defaults,noatime 0 2 # data\n"},
		{Kind: "swap", Size: 100 * MiB, UUID: OldSwap, Fstab: "UUID=" + OldSwap + " none            swap    sw              0       0\n"},
	}}
}

// Debian is a Debian on vda with /, /srv and swap, and an empty vdb; the old system runs.
func Debian(t testing.TB) *Machine { return Install(t, standard()) }

// DebianOnMD is the same with everything on RAID1 of vda and vdc, or all but the root.
func DebianOnMD(t testing.TB, metadata string, plainRoot bool) *Machine {
	l := standard()
	l.Mirror, l.Parts[1].Plain = metadata, plainRoot
	return Install(t, l)
}

// DebianOnLVM is the same with all but the root on logical volumes; with a passphrase, these on LUKS.
func DebianOnLVM(t testing.TB, passphrase string) *Machine {
	l := standard()
	l.Volumes, l.Passphrase, l.Parts[1].Plain = true, passphrase, true
	return Install(t, l)
}

// Install is a Debian on other partitions.
func Install(t testing.TB, l Layout) *Machine {
	m := &Machine{TB: t, Trees: map[string]fstest.MapFS{}, Disks: []*Disk{NewDisk("vda", l.DiskSize), NewDisk("vdb", l.DiskSize)}, layout: l}
	prefix := "(,gpt2)/boot/grub"
	if l.mirrored(l.Parts[1]) {
		prefix = "(mduuid/" + arrayOf(1).Hex() + ")/boot/grub"
	}
	if l.Mirror != "" {
		m.Disks = append(m.Disks, NewDisk("vdc", l.DiskSize))
	}
	fstab := ""
	for n, d := range m.Disks {
		if d.Name != "vdb" {
			fstab = m.fill(d, n/2)
		}
	}
	m.Trees[OldRoot] = DebianRoot(fstab)
	m.Boot()
	if err := embedGRUB(m.Dev("vda"), prefix, false); err != nil {
		t.Fatal(err)
	}
	m.BootOld()
	return m
}

// fill gives a source disk, the first or the second, its table and contents; fstab are the lines of what is on it.
func (m *Machine) fill(vda *Disk, leg int) (fstab string) {
	l, t := m.layout, m.TB
	vda.Source = true
	tab := gpt.Table{Scheme: gpt.SchemeGPT, ID: OldTable[:len(OldTable)-1] + fmt.Sprint(leg), SectorSize: 512}
	at := MiB
	for i, p := range l.Parts {
		typ, err := gpt.TypeOf(gpt.SchemeGPT, p.Kind)
		if err != nil {
			t.Fatal(err)
		}
		tab.Partitions = append(tab.Partitions, gpt.Partition{Number: i + 1, Type: typ, ID: fmt.Sprintf("aaaaaaaa-0000-4000-8000-%08d%04d", leg, i+1), Name: cmp.Or(p.Name, "p"), Start: at, Size: p.Size})
		on, room, write := at, p.Size, vda.Write
		if l.onVolume(p) {
			on, room, write = m.volume(vda, i, at)
		}
		if l.mirrored(p) {
			s := m.member(vda, l.Mirror, i, leg, at, p.Size)
			on, room = at+s.DataOffset, s.Size
		}
		switch {
		case leg > 0 && !l.mirrored(p):
		case p.Kind == "swap":
			write(SwapHeader(p.UUID, room), on)
		case p.Mount != "":
			write(Ext4Super(p.UUID, p.Label, room, 1), on+1024)
			m.Trees[p.UUID] = Files(map[string]string{"data/big": "srv data"})
		}
		fstab += p.Fstab
		at += p.Size
	}
	writes, err := gpt.Encode(tab, vda.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range writes {
		vda.Write(x.Data, x.Offset)
	}
	return fstab
}

// member writes the superblock of one leg of a partition's array.
func (m *Machine) member(d *Disk, version string, part, leg int, at, size int64) md.Superblock {
	spec := md.Spec{Version: md.Version(version), UUID: arrayOf(part), Level: 1, RaidDisks: 2, Bitmap: true, AssumeClean: true, CTime: time.Unix(1700000000, 0)}
	if spec.Version != md.V090 {
		spec.Name = fmt.Sprint("server:old", part)
	}
	for n := range 2 {
		spec.Members = append(spec.Members, md.MemberSpec{Size: size, DeviceUUID: md.UUID{0: 0xdd, 14: byte(n + 1), 15: byte(part + 1)}})
	}
	images, err := md.New(spec)
	if err != nil {
		m.TB.Fatal(err)
	}
	for _, w := range images[leg].Writes {
		d.Write(w.Data, at+w.Offset)
	}
	return images[leg].Super
}

// BootOld runs the old system: its filesystems mounted for writing, which stamps them.
func (m *Machine) BootOld() {
	m.Boot()
	m.live = true
	for _, mod := range []string{"virtio_blk", "virtio_pci", "md_mod", "raid1", "ext4"} {
		m.loaded[mod] = true
	}
	if m.layout.Mirror != "" {
		if err := m.assembleAll(nil); err != nil {
			m.TB.Fatal(err)
		}
	}
	if err := m.activate(); err != nil {
		m.TB.Fatal(err)
	}
	for i, p := range m.layout.Parts {
		if p.Mount != "" {
			at := m.pathOf(i)
			m.Mounts = append(m.Mounts, Mount{Src: at, Dir: p.Mount, Type: "ext4", Tree: m.Trees[p.UUID]})
			m.stamp(m.Dev(at))
		}
	}
}

// pathOf is the device of what is in a partition of the layout: the partition, or the array that it is a member of.
func (m *Machine) pathOf(part int) string {
	for name, a := range m.Arrays {
		if a.UUID == arrayOf(part).String() {
			return "/dev/" + name
		}
	}
	if b := m.mapped(volumeMapping(part)); b != nil {
		return "/dev/" + b.Name
	}
	return m.layout.Parts[part].path(part + 1)
}
