package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// onMD is good with its root and its swap on arrays of two disks, vda and vdb, and an empty vdc as the new disk. The disks
// have a bios_grub partition and the members of both arrays.
func onMD() (*Facts, Intent) {
	f, in := good(), wish()
	in.Disks = []string{"/dev/vdc"}
	vdc := *f.Dev("vdb")
	vdc.Name, vdc.Path, vdc.Serial = "vdc", "/dev/vdc", "NEW1"
	root, swap := f.Dev("vda2").Contents, f.Dev("vda3").Contents
	root[0].Size, swap[0].Size = 18*gib-mib, gib-mib
	vda := f.Devices[0]
	var all []Device
	for i, name := range []string{"vda", "vdb"} {
		d := vda
		d.Name, d.Path, d.Serial, d.ByID = name, "/dev/"+name, fmt.Sprintf("OLD%d", i+1), ""
		t := *vda.Table
		t.ID = fmt.Sprintf("dddddddd-0000-0000-0000-00000000000%x", 10+i)
		t.Partitions = slices.Clone(t.Partitions)
		d.Table = &t
		all = append(all, d)
		for n := range t.Partitions {
			x := &t.Partitions[n]
			x.GUID = fmt.Sprintf("22222222-0000-0000-0000-0000000000%d%d", i, n+1)
			p := Device{Name: fmt.Sprint(name, n+1), Path: fmt.Sprint("/dev/", name, n+1), Kind: KindPart, Sector: 512, Parent: name, Number: n + 1, GUID: x.GUID, Start: x.Start, Size: x.Size}
			if n > 0 {
				x.Role = RoleRaid
				p.Holders = []string{fmt.Sprint("md", 126+n-1)}
				p.Contents = []Content{{Kind: ContentRaid, Type: "linux_raid_member", UUID: fmt.Sprintf("33333333-0000-0000-0000-00000000000%d", n), Label: "host1:sys"}}
			}
			all = append(all, p)
		}
	}
	all = append(all, vdc,
		Device{Name: "md126", Path: "/dev/md126", Kind: KindArray, Sector: 512, Size: 18*gib - mib, MountedAt: []string{"/"}, Contents: root},
		Device{Name: "md127", Path: "/dev/md127", Kind: KindArray, Sector: 512, Size: gib - mib, Swapping: true, Contents: swap})
	f.Devices = all
	for n, name := range []string{"root", "swap"} {
		f.Arrays = append(f.Arrays, Array{UUID: fmt.Sprintf("33333333-0000-0000-0000-00000000000%d", n+1), Name: "host1:" + name, Level: "1", Metadata: "1.2", Devices: 2, Node: fmt.Sprint("md", 126+n), State: "clean", Sync: "idle",
			Members: []Member{{Device: fmt.Sprint("vda", n+2), Role: 0, Events: 7}, {Device: fmt.Sprint("vdb", n+2), Role: 1, Events: 7}}})
	}
	f.Mounts[0].Device, f.Mounts[0].Source = "md126", "/dev/md126"
	f.Fstab[0].Device, f.Fstab[1].Device = "md126", "md127"
	f.Boot.Device = "md126"
	return f, in
}

// TestSourceOnMD: a root on arrays is found, with both disks below it, and everything on them is moved.
func TestSourceOnMD(t *testing.T) {
	for _, level := range []string{"1", "0", "4", "5", "6", "10"} {
		for _, metadata := range []string{"0.90", "1.0", "1.1", "1.2"} {
			f, in := onMD()
			f.Dev("vdb").Drivers = []string{"ahci"}
			names := []string{"/dev/md/root", "/dev/disk/by-id/md-uuid-33333333:00000000:00000000:00000001"}
			f.Dev("md126").Links = names
			for i := range f.Arrays {
				f.Arrays[i].Level, f.Arrays[i].Metadata = level, metadata
			}
			p := planned(t, f, in)
			var refs []string
			for _, n := range p.Source {
				refs = append(refs, string(n.Ref))
			}
			want := []string{"disk:old1", "disk:old2", "part:22222222-0000-0000-0000-000000000002", "part:22222222-0000-0000-0000-000000000003", "part:22222222-0000-0000-0000-000000000012",
				"part:22222222-0000-0000-0000-000000000013", "md:33333333-0000-0000-0000-000000000001", "md:33333333-0000-0000-0000-000000000002",
				"fs:11111111-0000-0000-0000-000000000002", "swap:11111111-0000-0000-0000-000000000003"}
			if !slices.Equal(refs, want) {
				t.Fatalf("raid%s, metadata %s: source is\n%s\nwant\n%s", level, metadata, strings.Join(refs, "\n"), strings.Join(want, "\n"))
			}
			a := p.Source.Node("md:33333333-0000-0000-0000-000000000001")
			if fmt.Sprint(a.On) != "[part:22222222-0000-0000-0000-000000000002 part:22222222-0000-0000-0000-000000000012]" || fmt.Sprint(a.MD.Level) != level || a.MD.Metadata != metadata || a.Was != "/dev/md126" {
				t.Errorf("array: %+v %+v", a, a.MD)
			}
			if also := p.Source.Node("fs:11111111-0000-0000-0000-000000000002").Also; !slices.Equal(also, names) {
				t.Errorf("the root is also called %v", also)
			}
			if on := p.Source.Node("fs:11111111-0000-0000-0000-000000000002").Lower(); on != a.Ref {
				t.Errorf("the root lies on %s", on)
			}
			if len(p.NewDisks()) != 1 || p.NewDisks()[0].Was != "/dev/vdc" {
				t.Errorf("new disks: %v", p.NewTargets())
			}
			for _, m := range Check(p, f, Live).Refusals() {
				t.Errorf("raid%s, metadata %s: %s", level, metadata, m)
			}
			if fmt.Sprint(p.Drivers) != "[virtio_blk ahci]" {
				t.Errorf("drivers: %v", p.Drivers)
			}
			if text := p.Explain(f, stageText); !strings.Contains(text, "/dev/vda, /dev/vdb") {
				t.Errorf("explained as\n%s", text)
			}
		}
	}
}

// addDisk adds a disk without a table to facts.
func addDisk(f *Facts, name string, contents ...Content) *Device {
	f.Devices = append(f.Devices, Device{Name: name, Path: "/dev/" + name, Kind: KindDisk, Size: 20 * gib, Sector: 512, Serial: "S" + name, Contents: contents})
	return f.Dev(name)
}

// mount notes that a device is mounted, and that fstab mounts it.
func mount(f *Facts, dev, at string) {
	d := f.Dev(dev)
	d.MountedAt = []string{at}
	uuid := d.Contents[0].UUID
	f.Fstab = append(f.Fstab, Fstab{Spec: "UUID=" + uuid, Name: Name{TagUUID, uuid}, Target: at, Type: "ext4", Options: "defaults", Device: dev})
	f.Mounts = append(f.Mounts, Mount{Source: d.Path, Target: at, Type: "ext4", Device: dev, Free: gib})
}

// moved lists what a plan moves: the mount point, or swap, and what it lies on.
func (p *Plan) moved() string {
	var out []string
	for _, m := range p.Moves {
		n := p.Source.Node(m.From)
		out = append(out, strings.TrimPrefix(n.Called(), "swap:")+" from "+string(n.Lower()))
	}
	return strings.Join(out, ", ")
}

const (
	rootFromMD = "/ from md:33333333-0000-0000-0000-000000000001"
	swapFromMD = "from md:33333333-0000-0000-0000-000000000002"
)

// Each case is a machine of which everything is moved; disks are the source disks.
func TestSourcesMoved(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, in *Intent)
		disks  string
		words  []string // of what is moved
		warn   []string
	}{
		"degraded": {func(f *Facts, _ *Intent) {
			for i := range f.Arrays {
				f.Arrays[i].Degraded, f.Arrays[i].Members = 1, f.Arrays[i].Members[:1]
			}
			f.Devices = slices.DeleteFunc(f.Devices, func(d Device) bool { return strings.HasPrefix(d.Name, "vdb") })
		}, "/dev/vda", []string{rootFromMD, swapFromMD}, []string{"degraded [U_]", "--add DISK"}},
		"the new disk has left the mirrors": {func(f *Facts, in *Intent) {
			for i := range f.Arrays {
				f.Arrays[i].Degraded, f.Arrays[i].Members[1].Stale = 1, "not in the running array"
				f.Dev(f.Arrays[i].Members[1].Device).Holders = nil
			}
			in.Disks, in.Wipe = []string{"/dev/vdb"}, []string{"/dev/vdb"}
		}, "/dev/vda", []string{rootFromMD, swapFromMD}, []string{"degraded [U_]"}},
		"bitmap check running": {func(f *Facts, _ *Intent) { f.Arrays[0].Sync = "check" }, "/dev/vda, /dev/vdb", []string{rootFromMD}, nil},
		"a hot spare": {func(f *Facts, _ *Intent) {
			d := addDisk(f, "vdd", Content{Kind: ContentRaid, Type: "linux_raid_member"})
			d.Holders = []string{"md126"}
			f.Arrays[0].Members = append(f.Arrays[0].Members, Member{Device: "vdd", Role: -1, Events: 7})
		}, "/dev/vda, /dev/vdb", []string{rootFromMD}, nil},
		"a spare partition": {func(f *Facts, _ *Intent) {
			d := withPart(f, 1, RoleRaid, Content{Kind: ContentRaid, Type: "linux_raid_member"})
			d.Holders = []string{"md126"}
			f.Arrays[0].Members = append(f.Arrays[0].Members, Member{Device: d.Name, Role: -1, Events: 7})
		}, "/dev/vda, /dev/vdb", []string{rootFromMD}, []string{"partition /dev/vda4", "a spare of array /dev/md126"}},
		"data on a disk of its own": {func(f *Facts, _ *Intent) {
			addDisk(f, "vdd", fsOf("ext4", "77", 0))
			mount(f, "vdd", "/data")
		}, "/dev/vda, /dev/vdb", []string{rootFromMD, swapFromMD}, nil},
		"var on a whole disk": {func(f *Facts, _ *Intent) {
			addDisk(f, "vdd", fsOf("ext4", "77", 0))
			mount(f, "vdd", "/var")
		}, "/dev/vda, /dev/vdb, /dev/vdd", []string{rootFromMD, "/var from disk:old3"}, nil},
		"usr on another array": {func(f *Facts, _ *Intent) {
			for _, n := range []string{"vdd", "vde"} {
				addDisk(f, n, Content{Kind: ContentRaid, Type: "linux_raid_member"}).Holders = []string{"md5"}
			}
			f.Devices = append(f.Devices, Device{Name: "md5", Path: "/dev/md5", Kind: KindArray, Size: 20 * gib, Sector: 512, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Arrays = append(f.Arrays, Array{UUID: "44", Level: "0", Metadata: "1.2", Devices: 2, Node: "md5", Members: []Member{{Device: "vdd", Role: 0}, {Device: "vde", Role: 1}}})
			mount(f, "md5", "/usr")
		}, "/dev/vda, /dev/vdb, /dev/vdd, /dev/vde", []string{rootFromMD, "/usr from md:44"}, nil},
		"an array in common": {func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleRaid, Content{Kind: ContentRaid, Type: "linux_raid_member"}).Holders = []string{"md5"}
			addDisk(f, "vdd", Content{Kind: ContentRaid, Type: "linux_raid_member"}).Holders = []string{"md5"}
			f.Devices = append(f.Devices, Device{Name: "md5", Path: "/dev/md5", Kind: KindArray, Size: gib, Sector: 512, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Arrays = append(f.Arrays, Array{UUID: "44", Level: "1", Metadata: "1.2", Devices: 2, Node: "md5", Members: []Member{{Device: "vda4", Role: 0}, {Device: "vdd", Role: 1}}})
			mount(f, "md5", "/data")
		}, "/dev/vda, /dev/vdb, /dev/vdd", []string{rootFromMD, "/data from md:44"}, nil},
		"partitions in an array": {func(f *Facts, _ *Intent) {
			for _, n := range []string{"vdd", "vde"} {
				addDisk(f, n, Content{Kind: ContentRaid, Type: "linux_raid_member"}).Holders = []string{"md5"}
			}
			f.Devices = append(f.Devices, Device{Name: "md5", Path: "/dev/md5", Kind: KindArray, Size: 20 * gib, Sector: 512,
				Table: &Table{Scheme: "dos", ID: "1", Partitions: []Partition{{Number: 1, Role: RoleLinux, GUID: "1-01", Start: mib, Size: gib}}}},
				Device{Name: "md5p1", Path: "/dev/md5p1", Kind: KindPart, Parent: "md5", Number: 1, GUID: "1-01", Start: mib, Size: gib, Sector: 512, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Arrays = append(f.Arrays, Array{UUID: "44", Level: "1", Metadata: "1.2", Devices: 2, Node: "md5", Members: []Member{{Device: "vdd", Role: 0}, {Device: "vde", Role: 1}}})
			mount(f, "md5p1", "/usr")
		}, "/dev/vda, /dev/vdb, /dev/vdd, /dev/vde", []string{rootFromMD, "/usr from part:1-01"}, nil},
		"LVM on LUKS on md": {func(f *Facts, _ *Intent) {
			root := f.Dev("md126").Contents
			root[0].Size = 17 * gib
			md := f.Dev("md126")
			md.MountedAt, md.Holders, md.Contents = nil, []string{"dm-0"}, []Content{{Kind: ContentLUKS, Type: "crypto_LUKS", UUID: "cc"}}
			f.Devices = append(f.Devices,
				Device{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM, Size: 18*gib - 17*mib, Sector: 512, Holders: []string{"dm-1"}, Contents: []Content{{Kind: ContentLVM, Type: "LVM2_member", UUID: "pv"}}},
				Device{Name: "dm-1", Path: "/dev/dm-1", Kind: KindDM, Size: 17 * gib, Sector: 512, MountedAt: []string{"/"}, Contents: root})
			f.Crypts = []Crypt{{UUID: "cc", Version: 2, Device: "md126", Node: "dm-0", Name: "md_crypt", Slots: 1, Passphrase: 1}}
			f.Groups = []VolumeGroup{{UUID: "vg", Name: "sys", Extent: 4 * mib, PVs: []PhysicalVolume{{UUID: "pv", Device: "dm-0"}},
				Volumes: []LogicalVolume{{UUID: "lv", Name: "root", Type: "linear", Size: 17 * gib, Node: "dm-1"}}}}
			f.Mounts[0].Device, f.Fstab[0].Device, f.Boot.Device = "dm-1", "dm-1", "dm-1"
		}, "/dev/vda, /dev/vdb", []string{"/ from lv:lv", swapFromMD}, []string{"/dev/md126", "passphrase"}},
		"arrays of arrays": {func(f *Facts, _ *Intent) {
			for i, n := range []string{"vdd", "vde", "vdf", "vdg"} {
				addDisk(f, n, Content{Kind: ContentRaid, Type: "linux_raid_member"}).Holders = []string{fmt.Sprint("md", 5+i/2)}
			}
			for i, name := range []string{"md5", "md6"} {
				f.Devices = append(f.Devices, Device{Name: name, Path: "/dev/" + name, Kind: KindArray, Size: 20 * gib, Sector: 512, Holders: []string{"md7"}, Contents: []Content{{Kind: ContentRaid, Type: "linux_raid_member"}}})
				a, b := "vd"+string(rune('d'+2*i)), "vd"+string(rune('e'+2*i))
				f.Arrays = append(f.Arrays, Array{UUID: name, Level: "1", Metadata: "1.2", Devices: 2, Node: name, Members: []Member{{Device: a, Role: 0}, {Device: b, Role: 1}}})
			}
			f.Devices = append(f.Devices, Device{Name: "md7", Path: "/dev/md7", Kind: KindArray, Size: 40 * gib, Sector: 512, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Arrays = append(f.Arrays[:2:2], append([]Array{{UUID: "md7", Level: "0", Metadata: "1.2", Devices: 2, Node: "md7", Members: []Member{{Device: "md5", Role: 0}, {Device: "md6", Role: 1}}}}, f.Arrays[2:]...)...)
			mount(f, "md7", "/usr")
		}, "/dev/vda, /dev/vdb, /dev/vdd, /dev/vde, /dev/vdf, /dev/vdg", []string{rootFromMD, "/usr from md:md7"}, nil},
		"an array left behind": {func(f *Facts, in *Intent) {
			in.Leave = []string{"/dev/md127"}
			f.Fstab[1].Options = "nofail"
		}, "/dev/vda, /dev/vdb", []string{rootFromMD}, []string{"--leave /dev/md127"}},
		"a bind mount": {func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/srv/x", Target: "/mnt/x", Type: "none", Options: "bind"})
		}, "/dev/vda, /dev/vdb", []string{rootFromMD, swapFromMD}, nil},
		"a whole disk": {func(f *Facts, _ *Intent) {
			root := f.Dev("md126").Contents
			root[0].Size = 18 * gib
			f.Devices = []Device{*f.Dev("vdc"), {Name: "sda", Path: "/dev/sda", Kind: KindDisk, Size: 20 * gib, Sector: 512, Serial: "W", MountedAt: []string{"/"}, Contents: root}}
			f.Arrays, f.Fstab, f.Mounts[0].Device, f.Fstab[0].Device, f.Boot.Device = nil, f.Fstab[:1], "sda", "sda", "sda"
		}, "/dev/sda", []string{"/ from disk:old1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := onMD()
			c.change(f, &in)
			// What inspect draws is what is moved.
			for _, d := range f.Devices {
				if !strings.Contains(f.Describe(), d.Name) {
					t.Errorf("inspect does not show %s", d.Name)
				}
			}
			p, found, err := New(in, f)
			if err != nil {
				t.Fatal(err)
			}
			if p.OldDisks() != c.disks {
				t.Errorf("source disks are %s, want %s", p.OldDisks(), c.disks)
			}
			for _, w := range c.words {
				if !strings.Contains(p.moved(), w) {
					t.Errorf("moved: %s; want %s", p.moved(), w)
				}
			}
			if c.warn != nil {
				warned := false
				for _, x := range found {
					warned = warned || x.Severity == Warn && !slices.ContainsFunc(c.warn, func(w string) bool { return !strings.Contains(x.String(), w) })
				}
				if !warned {
					t.Errorf("no warning with %q in %v", c.warn, found)
				}
			}
			for _, x := range Check(p, f, Live).Refusals() {
				t.Errorf("refused at once: %s", x)
			}
			if err := p.validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each case is a layout that is refused, with the reason.
func TestSourcesRefused(t *testing.T) {
	member := Content{Kind: ContentRaid, Type: "linux_raid_member"}
	for name, c := range map[string]struct {
		change func(f *Facts, in *Intent)
		id     string
		words  []string
	}{
		"a member that is stale": {func(f *Facts, _ *Intent) {
			f.Arrays[0].Members[1].Stale, f.Arrays[0].Degraded = "event count 3, the running array is at 7", 1
			f.Dev("vdb2").Holders = nil
		}, "plan.source", []string{"partition /dev/vdb2", "stale member of array /dev/md126: event count 3", "mdadm /dev/md126 --add /dev/vdb2", "--leave /dev/vdb2"}},
		"reshape":  {func(f *Facts, _ *Intent) { f.Arrays[0].Sync = "reshape" }, "source.arrays", []string{"array /dev/md126", "a reshape is in progress", "mdadm --wait /dev/md126"}},
		"rebuild":  {func(f *Facts, _ *Intent) { f.Arrays[0].Sync = "recover" }, "source.arrays", []string{"a recover is in progress"}},
		"journal":  {func(f *Facts, _ *Intent) { f.Arrays[0].Journal = true }, "source.arrays", []string{"journal device"}},
		"layout":   {func(f *Facts, _ *Intent) { f.Arrays[0].Level, f.Arrays[0].NoLayout = "0", true }, "source.arrays", []string{"RAID0", "layout-alternate"}},
		"level":    {func(f *Facts, _ *Intent) { f.Arrays[0].Level = "-4" }, "source.arrays", []string{"its level is -4"}},
		"metadata": {func(f *Facts, _ *Intent) { f.Arrays[0].Metadata = "external:imsm" }, "source.arrays", []string{"external:imsm"}},
		"two of a name": {func(f *Facts, _ *Intent) {
			f.Arrays = append(f.Arrays, Array{UUID: "55", Name: "host1:root", Level: "1", Metadata: "1.2", Devices: 2, Members: []Member{{Device: "sdz1", Role: 0}}})
		}, "source.arrays", []string{"array host1:root (/dev/sdz1) has the same name host1:root"}},
		"a table that was copied": {func(f *Facts, _ *Intent) {
			for n := range 3 {
				f.Dev(fmt.Sprint("vda", n+1)).GUID, f.Dev(fmt.Sprint("vdb", n+1)).GUID = fmt.Sprint("1234abcd-0", n+1), fmt.Sprint("1234abcd-0", n+1)
			}
			f.Dev("vda").Table.Scheme, f.Dev("vdb").Table.Scheme = "dos", "dos"
		}, "plan.source", []string{"partition table of /dev/vda", "it matches /dev/vda1 and /dev/vdb1", "sfdisk --disk-id /dev/vda 0xNUMBER"}},
		"firmware RAID": {func(f *Facts, _ *Intent) { f.Arrays = nil }, "plan.source", []string{"root filesystem /dev/md126", "firmware RAID"}},
		"a member of firmware RAID": {func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentRaid, Type: "isw_raid_member"})
		}, "plan.source", []string{"partition /dev/vda4", "firmware RAID (isw_raid_member)", "--leave /dev/vda4"}},
		"an array that does not run": {func(f *Facts, _ *Intent) {
			d := withPart(f, 1, RoleRaid, member)
			f.Arrays = append(f.Arrays, Array{UUID: "55", Name: "host1:data", Level: "1", Metadata: "1.2", Devices: 2, Members: []Member{{Device: d.Name, Role: 0}}})
		}, "plan.source", []string{"array host1:data, raid1 [U_], which does not run", "mdadm --assemble"}},
		"too few members": {func(f *Facts, _ *Intent) {
			d := withPart(f, 1, RoleRaid, member)
			f.Arrays = append(f.Arrays, Array{UUID: "55", Level: "5", Metadata: "1.2", Devices: 3, Members: []Member{{Device: d.Name, Role: 0}}})
		}, "plan.source", []string{"1 of its 3 members are here", "connect the missing disks"}},
		"a physical volume that no one uses": {func(f *Facts, _ *Intent) { withPart(f, 1, RoleOther, Content{Kind: ContentLVM, Type: "LVM2_member"}) }, "plan.source",
			[]string{"partition /dev/vda4", "LVM2_member", "--leave /dev/vda4"}},
		"bcache":                       {func(f *Facts, _ *Intent) { withPart(f, 1, RoleOther, Content{Kind: ContentOther, Type: "bcache"}) }, "plan.source", []string{"bcache", "--leave /dev/vda4"}},
		"a member without an identity": {func(f *Facts, _ *Intent) { f.Dev("vdb2").GUID = "" }, "plan.source", []string{"/dev/vdb2", "partprobe"}},
		"leave a member":               {func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/vdb3"} }, "plan.source", []string{"--leave /dev/vdb3", "/dev/md127 lies on it"}},
		"leave the root":               {func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/md126"} }, "plan.source", []string{"--leave /dev/md126", "always moved"}},
		"leave another disk":           {func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/vdc"} }, "plan.source", []string{"--leave /dev/vdc", "not a partition"}},
		"the new disk is a member":     {func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vdb"} }, "plan.source", []string{"target disk /dev/vdb", "it is a source disk: /dev/md126 is on it", "mdadm /dev/md126 --fail /dev/vdb2 --remove /dev/vdb2; mdadm /dev/md127 --fail /dev/vdb3 --remove /dev/vdb3; and pass --wipe /dev/vdb"}},
		"mounted, not in fstab": {func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleRaid, member).Holders = []string{"md5"}
			f.Devices = append(f.Devices, Device{Name: "md5", Path: "/dev/md5", Kind: KindArray, Size: gib, Sector: 512, MountedAt: []string{"/data"}, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Arrays = append(f.Arrays, Array{UUID: "44", Level: "1", Metadata: "1.2", Devices: 1, Node: "md5", Members: []Member{{Device: "vda4", Role: 0}}})
		}, "plan.source", []string{"array /dev/md5", "mounted at /data", "--leave /dev/md5"}},
		"usr by loop": {func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "loop0", Path: "/dev/loop0", Kind: KindLoop, Size: gib, Contents: []Content{fsOf("ext4", "77", 0)}})
			mount(f, "loop0", "/usr")
		}, "plan.source", []string{"directory /usr", "not a volume of /dev/vda, /dev/vdb"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := onMD()
			c.change(f, &in)
			p, found, err := New(in, f)
			var refused *RefusedError
			if !errors.As(err, &refused) || p != nil {
				t.Fatalf("New: plan %v, error %v", p != nil, err)
			}
			want(t, found, Refuse, c.id, c.words...)
		})
	}
}

// What changes below an array after the plan was made is noticed.
func TestSourceDriftMD(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts)
		id     string
		words  []string
	}{
		"a member failed": {func(f *Facts) { f.Arrays[0].Members[1].Stale = "the kernel calls it faulty" }, "source.present",
			[]string{"array /dev/md126", "slot 1 had part:22222222-0000-0000-0000-000000000012", "/dev/vdb2 is stale: the kernel calls it faulty"}},
		"a member was replaced": {func(f *Facts) {
			addDisk(f, "vdd").Holders = []string{"md126"}
			f.Arrays[0].Members[1].Device = "vdd"
			f.Dev("vdb2").Holders, f.Dev("vdb2").Contents = nil, nil
		}, "source.present", []string{"slot 1 has disk:vdd now"}},
		"another disk joined": {func(f *Facts) {
			addDisk(f, "vdd").Holders = []string{"md126"}
			f.Arrays[0].Devices, f.Arrays[0].Members = 3, append(f.Arrays[0].Members, Member{Device: "vdd", Role: 2})
		}, "source.whole", []string{"disk /dev/vdd", "shares an array"}},
		"the array is gone":   {func(f *Facts) { f.Arrays = f.Arrays[1:] }, "source.present", []string{"array /dev/md126", "none of its members"}},
		"it is not running":   {func(f *Facts) { f.Arrays[0].Node = ""; f.Dev("md126").Contents = nil }, "source.present", []string{"no device carries it"}},
		"a disk is gone":      {func(f *Facts) { f.Dev("vdb").Serial = "other" }, "source.present", []string{"source disk /dev/vdb", "no disk with serial OLD2"}},
		"a reshape began":     {func(f *Facts) { f.Arrays[0].Sync = "reshape" }, "source.arrays", []string{"a reshape is in progress"}},
		"a table was written": {func(f *Facts) { f.Dev("vdb").Table.ID = "x" }, "source.present", []string{"source disk /dev/vdb", "another ID"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := onMD()
			p := planned(t, f, in)
			c.change(f)
			want(t, Check(p, f, Live), Refuse, c.id, c.words...)
		})
	}
}
