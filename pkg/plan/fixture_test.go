package plan

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const gib = int64(1) << 30

// good is one disk with bios_grub, ext4 root and swap, and a second, empty disk as large: what a look at the made-up Debian
// finds, written down (TestGoodIsTheMadeUpDebian), with a made-up boot loader.
func good() *Facts {
	ext4 := func(uuid string, size, used int64) []Content {
		return []Content{{Kind: ContentFS, Type: "ext4", UUID: uuid, Size: size, Used: used, Inodes: 100000, BlockSize: 4096, InodeSize: 256, Features: []string{"has_journal", "extent"}, Dirty: "its journal has not been replayed (needs_recovery)"}}
	}
	return &Facts{
		Machine:  Machine{ID: "0123456789abcdef0123456789abcdef", Product: "aaaaaaaa-0000-0000-0000-000000000001", Hostname: "host1.example", BootID: "b1", Memory: 2 * gib},
		Kernel:   Kernel{Release: "6.1.0-18-amd64", Params: paramsOf("BOOT_IMAGE=/boot/vmlinuz root=UUID=11111111-0000-0000-0000-000000000002 ro console=tty0 console=ttyS0,115200")},
		Firmware: "bios",
		Devices: []Device{
			{Name: "vda", Path: "/dev/vda", Kind: KindDisk, Size: 20 * gib, Sector: 512, Serial: "OLD1", Bus: "pci0000:00/0000:00:03.0/virtio1", Drivers: []string{"virtio_blk"}, ByID: "/dev/disk/by-id/virtio-OLD1", BootSector: "bootx",
				Table: &Table{Scheme: "gpt", ID: "dddddddd-0000-0000-0000-00000000000a", Partitions: []Partition{
					{Number: 1, Role: RoleBIOSGrub, GUID: "22222222-0000-0000-0000-000000000001", Name: "p", Start: mib, Size: mib},
					{Number: 2, Role: RoleLinux, GUID: "22222222-0000-0000-0000-000000000002", Name: "p", Start: 2 * mib, Size: 18 * gib},
					{Number: 3, Role: RoleSwap, GUID: "22222222-0000-0000-0000-000000000003", Name: "p", Start: 2*mib + 18*gib, Size: gib},
				}}},
			{Name: "vda1", Path: "/dev/vda1", Kind: KindPart, Sector: 512, Parent: "vda", Number: 1, GUID: "22222222-0000-0000-0000-000000000001", Start: mib, Size: mib},
			{Name: "vda2", Path: "/dev/vda2", Kind: KindPart, Sector: 512, Parent: "vda", Number: 2, GUID: "22222222-0000-0000-0000-000000000002", Start: 2 * mib, Size: 18 * gib,
				MountedAt: []string{"/"}, Contents: ext4("11111111-0000-0000-0000-000000000002", 18*gib, 5*gib)},
			{Name: "vda3", Path: "/dev/vda3", Kind: KindPart, Sector: 512, Parent: "vda", Number: 3, GUID: "22222222-0000-0000-0000-000000000003", Start: 2*mib + 18*gib, Size: gib,
				Swapping: true, Contents: []Content{{Kind: ContentSwap, Type: "swap", UUID: "11111111-0000-0000-0000-000000000003", BlockSize: 4096}}},
			{Name: "vdb", Path: "/dev/vdb", Kind: KindDisk, Size: 20 * gib, Sector: 512, Serial: "NEW1", Bus: "pci0000:00/0000:00:04.0/virtio2", Drivers: []string{"virtio_blk"}, ByID: "/dev/disk/by-id/virtio-NEW1"},
		},
		Mounts: []Mount{{Source: "/dev/vda2", Target: "/", Type: "ext4", Device: "vda2", Free: 12 * gib}, {Source: "proc", Target: "/proc", Type: "proc"}},
		Fstab: []Fstab{
			{Spec: "UUID=11111111-0000-0000-0000-000000000002", Name: Name{TagUUID, "11111111-0000-0000-0000-000000000002"}, Target: "/", Type: "ext4", Options: "errors=remount-ro", Device: "vda2"},
			{Spec: "UUID=11111111-0000-0000-0000-000000000003", Name: Name{TagUUID, "11111111-0000-0000-0000-000000000003"}, Target: "none", Type: "swap", Options: "sw", Device: "vda3"},
		},
		Boot: Boot{Loader: "bootx", Config: "/boot/bootx/bootx.conf", Device: "vda2", Dir: "/boot", Own: bootxFacts{Place: "/boot"}.own(),
			Kernels: []Image{{Release: "6.1.0-18-amd64", Path: "/boot/vmlinuz-6.1.0-18-amd64", Initrd: "/boot/initrd.img-6.1.0-18-amd64", Modules: true, Size: 8 * mib}}},
		Distro: Distro{ID: "debian", Version: "12", Family: "debian", Initrd: "initramfs-tools", Init: "systemd", Packages: []Package{{"mdadm", true, ""}, {"e2fsprogs", true, ""}, {"xfsprogs", false, ""}, {"btrfs-progs", false, ""}}},
		Rules: Rules{
			Families: []Family{{Name: "debian", Title: "Debian and its relatives", Install: "apt-get install PACKAGES", Reinstall: "apt-get install --reinstall PACKAGES",
				Tidy: "apt-get autoremove --purge", Kernel: "linux-image-RELEASE", State: []string{"/var/lib/dpkg"}}},
			Loaders:    testLoaders(),
			Generators: []Generator{{Name: "initramfs-tools", Rebuilds: true}, {Name: "dracut"}},
		},
	}
}

// withPart adds a partition of size GiB to vda after shrinking nothing: the disk grows, and the new one with it.
func withPart(f *Facts, gibs int64, role string, contents ...Content) *Device {
	vda := f.Dev("vda")
	last := vda.Table.Partitions[len(vda.Table.Partitions)-1]
	n := Partition{Number: last.Number + 1, Role: role, Start: last.Start + last.Size, Size: gibs * gib}
	n.GUID = "22222222-0000-0000-0000-00000000000" + string(rune('0'+n.Number))
	vda.Table.Partitions = append(vda.Table.Partitions, n)
	vda.Size += gibs * gib
	f.Dev("vdb").Size += gibs * gib
	name := "vda" + string(rune('0'+n.Number))
	f.Devices = append(f.Devices, Device{Name: name, Path: "/dev/" + name, Kind: KindPart, Parent: "vda", Number: n.Number, GUID: n.GUID, Start: n.Start, Size: n.Size, Contents: contents})
	return f.Dev(name)
}

func fsOf(typ, uuid string, used int64) Content {
	return Content{Kind: ContentFS, Type: typ, UUID: uuid, Size: gib, Used: used, BlockSize: 4096, InodeSize: 256}
}

// withMount adds a partition that fstab mounts, and that is mounted.
func withMount(f *Facts, gibs int64, uuid, at string, used int64) *Device {
	d := withPart(f, gibs, RoleLinux, fsOf("ext4", uuid, used))
	d.MountedAt = []string{at}
	f.Fstab = append(f.Fstab, Fstab{Spec: "UUID=" + uuid, Name: Name{TagUUID, uuid}, Target: at, Type: "ext4", Options: "defaults", Device: d.Name})
	f.Mounts = append(f.Mounts, Mount{Source: d.Path, Target: at, Type: "ext4", Device: d.Name, Free: gib})
	return d
}

// paramsOf is a command line without quotes and blanks in its words.
func paramsOf(cmdline string) []Param {
	var out []Param
	for _, w := range strings.Fields(cmdline) {
		key, value, _ := strings.Cut(w, "=")
		out = append(out, Param{Key: key, Value: value, Raw: w})
	}
	return out
}

type seeded struct{ r *rand.Rand }

func (s seeded) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

func wish() Intent {
	return Intent{To: "raid1", Disks: []string{"/dev/vdb"}, Now: time.Date(2026, 11, 21, 10, 0, 0, 7, time.UTC), Rand: seeded{rand.New(rand.NewPCG(1, 2))}}
}

func planned(t *testing.T, f *Facts, in Intent) *Plan {
	t.Helper()
	p, _, err := New(in, f)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

// want asserts that findings hold one with the id, the severity and the words, in its detail or its fix.
func want(t *testing.T, fs Findings, sev Severity, id string, words ...string) {
	t.Helper()
	for _, x := range fs {
		if x.ID != id || x.Severity != sev {
			continue
		}
		all := true
		for _, w := range words {
			all = all && strings.Contains(x.String(), w)
		}
		if all {
			if sev == Refuse && (x.Detail == "" || x.Fix == "" || x.Subject == "") {
				t.Errorf("%s refuses without a subject, detail or fix: %+v", id, x)
			}
			return
		}
	}
	var got []string
	for _, x := range fs {
		if x.Severity != OK {
			got = append(got, string(x.Severity)+" "+x.ID+": "+x.String())
		}
	}
	t.Errorf("no %s %s with %q; there are:\n%s", sev, id, words, strings.Join(got, "\n"))
}

// stageText stands in for the texts of the stages, which are not this package's.
func stageText(stage string, p *Plan, f *Facts) string {
	switch stage {
	case "prepare":
		return p.NewTargets() + " is prepared" + p.WipeText(f)
	case "copy":
		return "each filesystem is copied: " + p.CopyText(f)
	}
	return "the text of " + stage
}
