package survey_test

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

const (
	mib    = sim.MiB
	gib    = 1024 * mib
	dataID = "44444444-4444-4444-8444-444444444444"
)

// bootx is a made-up boot loader whose configuration is "ok" when nothing is wrong with it.
func bootx() plan.Loader {
	return plan.Loader{Name: "bootx", Texts: []string{"boot/bootx.conf", "etc/bootx.d/*"}, Look: func(root fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
		b := f.Boot
		got, err := fs.ReadFile(root, "boot/bootx.conf")
		if err != nil {
			return b, nil, false
		}
		b.Config = "/boot/bootx.conf"
		if d, _ := f.Holder("/boot"); d != nil {
			b.Device = d.Name
		}
		if string(got) != "ok" {
			return b, []plan.Problem{{Subject: b.Config, Err: "it is broken"}}, true
		}
		return b, nil, true
	}}
}

func loaders() []plan.Loader {
	never := plan.Loader{Name: "never", Look: func(fs.FS, *plan.Facts) (plan.Boot, []plan.Problem, bool) { return plan.Boot{Config: "x"}, nil, false }}
	return []plan.Loader{never, bootx()}
}

// machine is the made-up Debian as files and devices that a test may change.
type machine struct {
	root  fstest.MapFS
	disks map[string]*sim.Device
}

func (m machine) file(name, format string, args ...any) {
	m.root[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format, args...), Mode: 0o644}
}

// line adds a line to a file that is there.
func (m machine) line(name, text string) {
	m.file(name, "%s%s\n", m.root[name].Data, text)
}

func (m machine) link(name, to string) {
	m.root[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// virtual puts a device that is on no bus into sysfs.
func (m machine) virtual(name, dev string, size int64) {
	dir := "sys/devices/virtual/block/" + name
	m.file(dir+"/size", "%d\n", size/512)
	m.file(dir+"/dev", "%s\n", dev)
	m.link("sys/class/block/"+name, "../../devices/virtual/block/"+name)
}

// debian is the made-up Debian with root and swap on vda and an empty vdb, and what it has not: vdc, a member of a degraded
// array that runs and is mounted; lines of fstab, links and devices of every kind.
func debian(t testing.TB) machine {
	t.Helper()
	s := sim.Install(t, sim.Layout{DiskSize: gib, Parts: []sim.Part{
		{Kind: "bios_grub", Size: mib},
		{Kind: "linux", Name: "the root", Size: 800 * mib, UUID: sim.OldRoot, Label: "rootfs", Mount: "/", Fstab: "UUID=" + sim.OldRoot + " / ext4 errors=remount-ro 0 1\n"},
		{Kind: "swap", Size: 100 * mib, UUID: sim.OldSwap, Fstab: "PARTUUID=AAAAAAAA-0000-4000-8000-000000000003 none swap sw 0 0\n"},
	}})
	m := machine{root: s.View(), disks: map[string]*sim.Device{}}
	for _, d := range s.Devices {
		m.disks[d.Name] = d
	}
	m.addArray(t)
	m.virtual("loop0", "7:0", 0)
	m.virtual("sr0", "11:0", 100*mib)
	m.virtual("dm-0", "253:0", 10*mib)
	m.file("sys/devices/virtual/block/dm-0/dm/name", "x\n")
	m.file("sys/class/dmi/id/product_uuid", "ABCDEF00-0000-0000-0000-000000000000\n")
	m.file("sys/devices/pci0000:00/0000:00:04.0/virtio/block/vda/serial", " SERIAL vda \n")
	m.file("sys/devices/pci0000:00/0000:00:04.0/virtio/block/vda/queue/rotational", "1\n")
	for _, l := range []string{"LABEL=data /srv/with\\040space ext4 defaults 0 2", "PARTLABEL=the\\040root /x ext4 noauto 0 0", "/dev/mapper/x /y ext4 nofail 0 0", "UUID=99999999-9999-4999-8999-999999999999 /z ext4 nofail 0 0"} {
		m.line("etc/fstab", l)
	}
	m.link("dev/mapper/x", "../dm-0")
	m.link("dev/disk/by-id/virtio-SER-vda-part2", "../../vda2")
	m.link("dev/disk/by-id/wwn-0x1", "../../vdb")
	m.link("dev/disk/by-id/ata-MODEL", "../../vdb")
	m.file("boot/vmlinuz-old", "%s", sim.KernelImage("5.10.0-1-amd64"))
	m.file("boot/bootx.conf", "ok")
	m.file("var/lib/packages", "bash e2fsprogs")
	return m
}

// addArray adds vdc, and md127 on it, which is checked.
func (m machine) addArray(t testing.TB) {
	t.Helper()
	vdc := &sim.Device{Name: "vdc", Major: 254, Minor: 32, Size: gib, Disk: sim.NewDisk("vdc", gib)}
	id, _ := md.ParseUUID("deadbeef:00000000:00000000:00000001")
	member, _ := md.ParseUUID("deadbeef:00000000:00000000:00000002")
	images, err := md.New(md.Spec{Version: "1.2", UUID: id, Name: "server:data", Level: 1, RaidDisks: 2, Members: []md.MemberSpec{{Size: gib, DeviceUUID: member}, {Size: gib, Missing: true, DeviceUUID: id}}, CTime: time.Unix(1700000000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range images[0].Writes {
		vdc.Write(w.Data, w.Offset)
	}
	md127 := &sim.Device{Name: "md127", Size: images[0].Super.Size, Legs: []*sim.Device{vdc}, LegOffset: images[0].Super.DataOffset}
	md127.Write(sim.Ext4Super(dataID, "data", 900*mib, 1), 1024)
	m.disks["vdc"], m.disks["md127"] = vdc, md127
	for n, f := range sim.Sysfs(vdc) {
		m.root[n] = f
	}
	m.virtual("md127", "9:127", md127.Size)
	m.link("sys/block/md127", "../devices/virtual/block/md127")
	for n, s := range map[string]string{"array_state": "clean", "level": "raid1", "metadata_version": "1.2", "raid_disks": "2", "degraded": "1", "sync_action": "check",
		"sync_completed": "1000 / 4000", "sync_speed": "2048", "dev-vdc/state": "in_sync", "dev-vdc/slot": "0"} {
		m.file("sys/devices/virtual/block/md127/md/"+n, "%s\n", s)
	}
	m.link("sys/devices/pci0000:00/0000:00:06.0/virtio/block/vdc/holders/md127", "../../../../../../virtual/block/md127")
	m.line("proc/self/mountinfo", "40 20 9:127 / /srv/with\\040space rw - ext4 /dev/md127 rw")
}

// world is the machine to look at.
func (m machine) world() survey.World {
	return survey.World{Root: m.root, Rules: rules(), Open: func(p string) (survey.Device, error) {
		d, ok := m.disks[strings.TrimPrefix(p, "/dev/")]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", p, fs.ErrNotExist)
		}
		return d, nil
	}, Free: func(string) int64 { return 123 * mib }}
}

func (m machine) look(t testing.TB, depth survey.Depth) *plan.Facts {
	t.Helper()
	f, err := survey.Look(context.Background(), m.world(), depth)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rules are made up, and so is the list of packages; the rest is as on Debian.
func rules() plan.Rules {
	return plan.Rules{
		Loaders: loaders(),
		Families: []plan.Family{{Name: "red", IDs: []string{"rhel"}}, {Name: "debian", IDs: []string{"debian"}, Kernels: "boot/vmlinuz-*", MDConf: "etc/mdadm/mdadm.conf", Debconf: "var/cache/debconf/config.dat",
			Installed: func(read func(string) string, packages []string) []string {
				return slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return !slices.Contains(strings.Fields(read("var/lib/packages")), p) })
			}}},
		Generators: []plan.Generator{{Name: "other", Program: "usr/bin/other"},
			{Name: "initramfs-tools", Program: "usr/sbin/update-initramfs", Settings: []plan.Settings{{Pattern: "etc/generator/*", Devices: []string{"RESUME", "ROOT"}, Resume: "RESUME"}}, InitrdOf: func(k string) string { return strings.Replace(k, "vmlinuz", "initrd.img", 1) }}},
	}
}
