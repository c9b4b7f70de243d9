package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// begun is the good machine after an interrupted run of its plan: the table is there, and one array runs.
func begun(p *Plan, f *Facts) {
	d := f.Dev("vdb")
	d.Table = &Table{Scheme: "gpt", ID: p.Target.Disks()[0].Disk.Table}
	for i, n := range p.Target.Parts("disk:new1") {
		d.Table.Partitions = append(d.Table.Partitions, Partition{Number: n.Part.Number, Role: n.Part.Role, GUID: n.Ref.ID(), Start: n.Part.Start, Size: n.Size})
		name := "vdb" + string(rune('1'+i))
		f.Devices = append(f.Devices, Device{Name: name, Path: "/dev/" + name, Kind: KindPart, Parent: "vdb", Number: n.Part.Number, GUID: n.Ref.ID(), Start: n.Part.Start, Size: n.Size})
		d = f.Dev("vdb")
	}
	a := p.Target.Arrays()[0]
	m := f.Dev("vdb4")
	m.Holders, m.Contents = []string{"md127"}, []Content{{Kind: ContentRaid, Type: "linux_raid_member", UUID: a.Ref.ID()}}
	f.Devices = append(f.Devices, Device{Name: "md127", Path: "/dev/md127", Kind: KindArray, Size: gib, Contents: []Content{fsOf("ext4", p.Target.Filesystems()[0].Ref.ID(), 0)}})
	f.Arrays = []Array{{UUID: a.Ref.ID(), Name: a.MD.Name, Level: "1", Devices: 2, Degraded: 1, Node: "md127", Members: []Member{{Device: "vdb4"}}}}
}

// offline makes facts as the init sees them: nothing mounted, no installed system, sources clean.
func offline(f *Facts) {
	f.Machine.ID, f.Mounts, f.Fstab, f.Boot, f.Distro = "", nil, nil, Boot{}, Distro{}
	for i := range f.Devices {
		d := &f.Devices[i]
		d.MountedAt, d.Swapping = nil, false
		for j := range d.Contents {
			d.Contents[j].Dirty = ""
		}
	}
}

// added gives the source disk a partition that the plan does not know.
func added(f *Facts, contents ...Content) *Device {
	vda, vdb := f.Dev("vda").Size, f.Dev("vdb").Size
	d := withPart(f, 1, RoleLinux, contents...)
	f.Dev("vda").Size, f.Dev("vdb").Size = vda, vdb
	return d
}

// What is on a source disk and cannot be lost is nothing that came since.
func TestCheckWholePasses(t *testing.T) {
	for name, change := range map[string]func(f *Facts){
		"empty":    func(f *Facts) { added(f) },
		"swap":     func(f *Facts) { added(f, Content{Kind: ContentSwap, Type: "swap", UUID: "5"}) },
		"remnant":  func(f *Facts) { added(f, Content{Kind: ContentRaid, Ghost: true}) },
		"idle ESP": func(f *Facts) { added(f, fsOf("vfat", "44-44", 0)); f.Dev("vda").Table.Partitions[3].Role = RoleESP },
		"extended": func(f *Facts) {
			d := added(f)
			d.GUID, d.Size = "", 1024
			t := f.Dev("vda").Table
			t.Scheme, t.Partitions[3].Type = "dos", "0x0f"
		},
		"as planned": func(*Facts) {},
	} {
		f := good()
		p := planned(t, f, wish())
		change(f)
		if err := Check(p, f, Live).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, in := good(), wish()
	withPart(f, 1, RoleLinux, fsOf("xfs", "left", 0))
	in.Leave = []string{"/dev/vda4"}
	if err := Check(planned(t, f, in), f, Live).Err(); err != nil {
		t.Errorf("left: %v", err)
	}
}

func TestCheckPasses(t *testing.T) {
	for name, change := range map[string]func(p *Plan, f *Facts) Moment{
		"live":           func(*Plan, *Facts) Moment { return Live },
		"planning":       func(*Plan, *Facts) Moment { return Planning },
		"offline":        func(_ *Plan, f *Facts) Moment { offline(f); return Offline },
		"live, begun":    func(p *Plan, f *Facts) Moment { begun(p, f); return Live },
		"offline, begun": func(p *Plan, f *Facts) Moment { begun(p, f); offline(f); return Offline },
		"renamed":        func(_ *Plan, f *Facts) Moment { f.Dev("vdb").Path = "/dev/sdq"; f.Dev("vdb").Name = "sdq"; return Live },
		"product unreadable": func(p *Plan, f *Facts) Moment {
			offline(f)
			f.Machine.Product, p.Machine.Product = "x", ""
			return Offline
		},
	} {
		f := good()
		p := planned(t, f, wish())
		when := change(p, f)
		found := Check(p, f, when)
		for _, x := range found {
			if x.Severity != OK {
				t.Errorf("%s: %s %v", name, x.ID, x)
			}
		}
		if len(found) < 5 {
			t.Errorf("%s: only %d answers", name, len(found))
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	const other = "99999999-0000-0000-0000-000000000000"
	for _, c := range []struct {
		name   string
		when   Moment
		change func(p *Plan, f *Facts)
		id     string
		words  []string
	}{
		{"not root", Live, func(_ *Plan, f *Facts) { f.Machine.UID = 1000 }, "user.root", []string{"uid is 1000", "as root"}},
		{"another machine", Live, func(_ *Plan, f *Facts) { f.Machine.ID = "ffff" }, "machine.same", []string{"machine-id is ffff", "make a plan on this machine"}},
		{"another product", Offline, func(_ *Plan, f *Facts) { offline(f); f.Machine.Product = "ffff" }, "machine.same", []string{`"ffff"`}},
		{"another firmware", Offline, func(_ *Plan, f *Facts) { offline(f); f.Firmware = "efi" }, "machine.same", []string{"booted by efi"}},
		{"source disk gone", Offline, func(_ *Plan, f *Facts) { f.Dev("vda").Serial = "X" }, "source.present", []string{"no disk with serial OLD1", "connect it"}},
		{"source repartitioned", Offline, func(_ *Plan, f *Facts) { f.Dev("vda").Table.ID = other }, "source.present", []string{"/dev/vda", "another ID than"}},
		{"source remade", Offline, func(_ *Plan, f *Facts) { f.Dev("vda2").Contents[0].UUID = other }, "source.present", []string{"no device carries it", "new plan"}},
		{"source moved", Offline, func(_ *Plan, f *Facts) { f.Dev("vda2").GUID = other }, "source.present", []string{"/dev/vda2", "planned on"}},
		{"source twice", Offline, func(_ *Plan, f *Facts) {
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{fsOf("ext4", "11111111-0000-0000-0000-000000000002", 0)}})
		}, "source.present", []string{"ambiguous", "refusing to choose"}},
		{"source dirty", Offline, func(_ *Plan, f *Facts) { offline(f); f.Dev("vda2").Contents[0].Dirty = "needs_recovery" }, "source.clean", []string{"/dev/vda2", "needs_recovery", "shut down cleanly"}},
		{"hibernated", Offline, func(_ *Plan, f *Facts) { offline(f); f.Dev("vda3").Contents[0].Type = "hibernation" }, "swap.hibernation", []string{"sleeping kernel"}},
		{"source with other sectors", Offline, func(_ *Plan, f *Facts) { offline(f); f.Dev("vda").Sector = 4096 }, "source.present", []string{"/dev/vda", "4096", "planned 512"}},
		{"target with other sectors", Offline, func(_ *Plan, f *Facts) { offline(f); f.Dev("vdb").Sector = 4096 }, "target.present", []string{"/dev/vdb", "4096", "planned 512"}},
		{"swap made again", Live, func(_ *Plan, f *Facts) { f.Dev("vda3").Contents[0].UUID = other }, "source.present", []string{"source swap", "no device carries it", "new plan"}},
		{"swap elsewhere", Live, func(_ *Plan, f *Facts) { f.Dev("vda3").GUID = other }, "source.present", []string{"source swap", "/dev/vda3", "planned on"}},
		{"partition added since", Live, func(_ *Plan, f *Facts) { added(f, fsOf("ext4", "44", 0)).MountedAt = []string{"/data"} }, "source.whole", []string{"/dev/vda4", "ext4, mounted at /data", "finish would erase it", "new plan"}},
		{"partition filled since", Offline, func(_ *Plan, f *Facts) { added(f, Content{Kind: ContentLVM, Type: "LVM2_member"}); offline(f) }, "source.whole", []string{"/dev/vda4", "LVM2_member"}},
		{"partition used since", Live, func(_ *Plan, f *Facts) { added(f).Holders = []string{"dm-0"} }, "source.whole", []string{"/dev/vda4", "held by dm-0"}},
		{"partition unseen since", Offline, func(_ *Plan, f *Facts) { added(f); f.Devices = f.Devices[:len(f.Devices)-1]; offline(f) }, "source.whole", []string{"partition 4", "does not show it like that"}},
		{"filled since, by files", Offline, func(p *Plan, f *Facts) {
			p.Moves[0].Engine = EngineTree
			f.Dev("vda2").Contents[0].Used, f.Dev("vda2").Contents[0].Size = 18*gib+700*mib, 19*gib
			offline(f)
		}, "target.room", []string{"filesystem at /", "19 GiB are now in use", "free space"}},
		{"filled beyond all", Live, func(p *Plan, f *Facts) { p.Moves[0].Engine, f.Dev("vda2").Contents[0].Used = EngineTree, 1<<63-1 }, "target.room", []string{"are now in use"}},
		{"grown since, by blocks", Live, func(_ *Plan, f *Facts) { f.Dev("vda2").Contents[0].Size = 19 * gib }, "target.room", []string{"filesystem at /", "grown to 19 GiB", "new plan"}},
		{"grown beyond all", Live, func(_ *Plan, f *Facts) { f.Dev("vda2").Contents[0].Size = 1<<63 - 1 }, "target.room", []string{"grown to"}},
		{"errors noted since", Live, func(_ *Plan, f *Facts) { f.Dev("vda2").Contents[0].Damage = "the kernel recorded errors in it (1)" }, "source.clean", []string{"/dev/vda2", "recorded errors"}},
		{"list of mounts unreadable", Live, func(_ *Plan, f *Facts) { f.Problems = []Problem{{Subject: "/proc/self/mountinfo", Err: "EOF"}} }, "survey.complete", []string{"/proc/self/mountinfo"}},
		{"setting changed", Live, func(_ *Plan, f *Facts) { f.Boot.Own = bootxFacts{Place: "/srv"}.own() }, "boot.one-shot", []string{`its place is "/srv"`, `planned "/boot"`}},
		{"boot moved", Live, func(_ *Plan, f *Facts) { f.Boot.Device = "vda3" }, "boot.one-shot", []string{"its filesystem is", "planned"}},
		{"setting missing", Live, func(p *Plan, _ *Facts) { p.Boot.Own = nil }, "boot.one-shot", []string{"place is missing", "new plan"}},
		{"mounted elsewhere by now", Live, func(_ *Plan, f *Facts) { f.Fstab[0].Target = "/old" }, "fstab.same", []string{"/dev/vda2", "/old", "planned at /"}},
		{"not in fstab by now", Live, func(_ *Plan, f *Facts) { f.Fstab = f.Fstab[1:] }, "fstab.same", []string{"/dev/vda2", "no line refers to it", "new plan"}},
		{"target gone", Offline, func(_ *Plan, f *Facts) { f.Dev("vdb").WWN = "w" }, "target.present", []string{"no disk with serial NEW1"}},
		{"target resized", Offline, func(_ *Plan, f *Facts) { f.Dev("vdb").Size-- }, "target.present", []string{"no disk with serial NEW1, 21474836480 bytes"}},
		{"plan past the end", Live, func(p *Plan, _ *Facts) { p.Target.Parts("disk:new1")[4].Size += 2 * mib }, "target.present", []string{"too small", "larger disk"}},
		{"target filled since", Offline, func(_ *Plan, f *Facts) { offline(f); f.Dev("vdb").Contents = []Content{fsOf("ext4", other, 0)} }, "target.empty", []string{other, "--wipe /dev/vdb"}},
		{"target with another table", Live, func(_ *Plan, f *Facts) { f.Dev("vdb").Table = &Table{Scheme: "gpt", ID: other} }, "target.empty", []string{other}},
		{"own array mounted", Live, func(p *Plan, f *Facts) { begun(p, f); f.Dev("md127").MountedAt = []string{"/mnt"} }, "target.unused", []string{"/dev/md127", "umount /mnt"}},
		{"own array swaps", Live, func(p *Plan, f *Facts) { begun(p, f); f.Dev("md127").Swapping = true }, "target.unused", []string{"swapoff /dev/md127"}},
		{"carried out already", Live, func(p *Plan, f *Facts) { begun(p, f); f.Dev("md127").MountedAt = []string{"/"} }, "target.unused", []string{"carried out", "migrate-init status"}},
		{"own partition mounted", Live, func(p *Plan, f *Facts) { begun(p, f); f.Dev("vdb5").MountedAt = []string{"/x"} }, "target.unused", []string{"/dev/vdb5 is mounted at /x"}},
		{"planned filesystem elsewhere", Offline, func(p *Plan, f *Facts) {
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{fsOf("ext4", p.Target.Filesystems()[0].Ref.ID(), 0)}})
		}, "identity.unique", []string{"already in use on /dev/sdz1", "new plan"}},
		{"planned filesystem twice", Offline, func(p *Plan, f *Facts) {
			begun(p, f)
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{fsOf("ext4", p.Target.Filesystems()[0].Ref.ID(), 0)}})
		}, "identity.unique", []string{"it matches /dev/md127 and /dev/sdz1"}},
		{"planned swap elsewhere", Offline, func(p *Plan, f *Facts) {
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{{Kind: ContentSwap, Type: "swap", UUID: p.Target.Swaps()[0].Ref.ID()}}})
		}, "identity.unique", []string{"planned swap", "/dev/sdz1"}},
		{"planned array elsewhere", Offline, func(p *Plan, f *Facts) {
			f.Arrays = append(f.Arrays, Array{UUID: p.Target.Arrays()[0].Ref.ID(), Members: []Member{{Device: "sdz1"}}})
		}, "identity.unique", []string{"planned array", "/dev/sdz1"}},
		{"planned partition elsewhere", Offline, func(p *Plan, f *Facts) {
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, GUID: p.Target.Parts("disk:new1")[0].Ref.ID()})
		}, "identity.unique", []string{"planned partition", "/dev/sdz1"}},
		{"planned partition twice", Offline, func(p *Plan, f *Facts) {
			begun(p, f)
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, GUID: p.Target.Parts("disk:new1")[0].Ref.ID()})
		}, "identity.unique", []string{"ambiguous"}},
		{"planned table elsewhere", Offline, func(p *Plan, f *Facts) {
			f.Devices = append(f.Devices, Device{Name: "sdz", Path: "/dev/sdz", Kind: KindDisk, Table: &Table{ID: p.Target.Disks()[0].Disk.Table}})
		}, "identity.unique", []string{"planned partition table", "/dev/sdz"}},
		{"kernel changed its release", Live, func(_ *Plan, f *Facts) { f.Boot.Kernels[0].Release = "6.2" }, "kernel.modules", []string{"release is 6.2, planned 6.1.0-18-amd64"}},
		{"modules gone", Live, func(_ *Plan, f *Facts) { f.Boot.Kernels[0].Modules = false }, "kernel.modules", []string{"no modules of its release", "reinstall"}},
		{"kernel gone", Live, func(_ *Plan, f *Facts) { f.Boot.Kernels = nil }, "kernel.modules", []string{"no longer installed", "new plan"}},
		{"mdadm removed", Live, func(_ *Plan, f *Facts) { f.Distro.Packages[0].Installed = false }, "package.present", []string{"apt-get install mdadm"}},
		{"loader changed", Live, func(_ *Plan, f *Facts) { f.Boot.Loader = "booty" }, "boot.one-shot", []string{"booty", "planned bootx"}},
		{"one-shot gone", Live, func(_ *Plan, f *Facts) { f.Boot.Own = bootxFacts{NoOneShot: "its file does not exist"}.own() }, "boot.one-shot", []string{"does not exist", "repair bootx"}},
		{"another scheduled", Live, func(_ *Plan, f *Facts) { f.Boot.PlanEntries = []string{other} }, "schedule.once", []string{"migrate-init-" + other, "migrate-init cancel"}},
		{"no room", Live, func(_ *Plan, f *Facts) { f.Mounts[0].Free = 1 }, "boot.room", []string{"1 bytes are free", "autoremove"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good()
			p := planned(t, f, wish())
			c.change(p, f)
			found := Check(p, f, c.when)
			want(t, found, Refuse, c.id, c.words...)
			var refused *RefusedError
			if !errors.As(found.Err(), &refused) {
				t.Error("no RefusedError")
			}
		})
	}
}

func TestCheckScheduledTwice(t *testing.T) {
	f := good()
	p := planned(t, f, wish())
	f.Boot.PlanEntries = []string{p.ID}
	want(t, Check(p, f, Live), Warn, "schedule.once", "this plan", "migrate-init cancel")
	f.Boot.PlanEntries, f.Boot.NextEntry = nil, "memtest"
	want(t, Check(p, f, Live), Warn, "schedule.once", "memtest", "cancel")
}

// Ids are an interface: scripts read them.
func TestCheckIDs(t *testing.T) {
	var got []string
	for _, c := range checks() {
		if c.when == 0 || slices.Contains(got, c.id) {
			t.Errorf("check %s: never, or twice", c.id)
		}
		got = append(got, c.id)
	}
	stable := []string{"survey.complete", "user.root", "machine.same", "source.present", "source.whole", "source.arrays", "source.volumes", "source.subvolumes", "table.whole", "source.clean", "swap.hibernation", "target.present", "target.unused", "target.empty", "target.room",
		"identity.unique", "array.name", "filesystem.type", "package.present", "kernel.modules", "array.kernels", "boot.one-shot", "boot.sectors", "boot.room", "memory.room", "schedule.once", "init.confirm", "fstab.same", "fstab.resolves", "names.resolve", "boot.resume"}
	if !slices.Equal(got, stable) {
		t.Errorf("ids are %q", got)
	}
	f := good()
	p := planned(t, f, wish())
	var answered []string
	for _, x := range Check(p, f, Planning|Live|Offline) {
		answered = append(answered, x.ID)
	}
	if !slices.Equal(answered, stable) {
		t.Errorf("answers are %q", answered)
	}
}

// TestCheckMemory: what is surely too little is refused, what may be too little is told, each with both sizes.
func TestCheckMemory(t *testing.T) {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/srv", 0)
	f.Rules.Memory = func(engine string, size, used, inodes int64) (int64, int64) {
		if engine == "" || size == 0 {
			t.Errorf("asked for engine %q and a size of %d", engine, size)
		}
		if used > gib {
			return 100 * mib, gib
		}
		return 300 * mib, 400 * mib
	}
	p := planned(t, f, wish())
	for _, c := range []struct {
		have, image int64
		severity    Severity
		words       []string
	}{
		{0, mib, Warn, []string{"not known"}},
		{384 * mib, 40 * mib, Refuse, []string{"this machine has 384 MiB", "at least 404 MiB"}},
		{404 * mib, 40 * mib, Warn, []string{"this machine has 404 MiB", "may need 1.1 GiB", "the copy of /: up to 1.0 GiB"}},
		{1128 * mib, 40 * mib, OK, []string{"1.1 GiB of memory", "at most 1.1 GiB"}},
		{404 * mib, 41 * mib, Refuse, []string{"at least 405 MiB"}},
	} {
		f.Machine.Memory = c.have
		want(t, Findings{CheckMemory(p, f, c.image)}, c.severity, "memory.room", c.words...)
	}
	f.Machine.Memory = 512 * mib
	want(t, Check(p, f, Live), Warn, "memory.room", "this machine has 512 MiB", "may need 1.1 GiB")
	f.Rules.Memory = nil
	f.Machine.Memory = 100 * mib
	want(t, Check(p, f, Live), Refuse, "memory.room", "this machine has 100 MiB", "at least 128 MiB")
}

// Pages that the command line sets aside are missing for the copy.
func TestKeptParamsKeepNoMemory(t *testing.T) {
	f := good()
	f.Kernel.Params = append(f.Kernel.Params, paramsOf("hugepagesz=1G hugepages=16 crashkernel=512M pci=nomsi")...)
	if got := planned(t, f, wish()).Boot.Params; slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "huge") || strings.Contains(s, "crash") }) || !slices.Contains(got, "pci=nomsi") {
		t.Errorf("%q", got)
	}
}

func TestCheckRoom(t *testing.T) {
	f := good()
	withMount(f, 1, "44", "/boot", 0)
	f.Mounts[2].Free = 100
	if x := CheckRoom(f, 100); x.Severity != OK || x.ID != "boot.room" {
		t.Errorf("100 of 100 bytes: %+v", x)
	}
	if x := CheckRoom(f, 101); x.Severity != Refuse || x.Subject != "filesystem at /boot" || x.Fix == "" {
		t.Errorf("101 of 100 bytes: %+v", x)
	}
	// Mounted on demand: the trigger lies below, and has no room; then something is mounted over the place.
	f.Mounts = append(f.Mounts[:2:2], Mount{Source: "systemd-1", Target: "/boot", Type: "autofs"}, f.Mounts[2])
	if x := CheckRoom(f, 100); x.Severity != OK {
		t.Errorf("automounted: %+v", x)
	}
	f.Mounts = append(f.Mounts, Mount{Target: "/boot", Type: "ext4", Free: 1000})
	if x := CheckRoom(f, 1000); x.Severity != OK {
		t.Errorf("mounted over: %+v", x)
	}
	f.Mounts = f.Mounts[:len(f.Mounts)-1]
	f.Distro.Family = ""
	if x := CheckRoom(f, 101); x.Fix == "" {
		t.Errorf("no fix: %+v", x)
	}
}

// A device with a lower layer's label is no filesystem, whatever magic is there; a remnant claims nothing.
func TestFilesystemOf(t *testing.T) {
	ext := fsOf("ext4", "u", 0)
	for _, c := range []struct {
		kind  string
		ghost bool
		fs    bool
	}{{ContentRaid, false, false}, {ContentLVM, false, false}, {ContentLUKS, false, false}, {ContentZFS, false, false}, {ContentOther, false, false}, {ContentFS, false, false}, {ContentZFS, true, true}, {ContentOther, true, true}, {ContentFS, true, true}, {ContentRaid, true, true}} {
		d := Device{Contents: []Content{ext, {Kind: c.kind, Type: "x", Ghost: c.ghost}}}
		if got := d.Filesystem() != nil; got != c.fs {
			t.Errorf("ext4 beside %s (ghost %v): filesystem %v", c.kind, c.ghost, got)
		}
	}
	if (&Device{Contents: []Content{{Kind: ContentFS, Ghost: true}}}).Filesystem() != nil {
		t.Error("a ghost is a filesystem")
	}
}

func TestFindNothing(t *testing.T) {
	f := &Facts{}
	p := planned(t, good(), wish())
	if (&Node{Layer: Layer{Disk: &Disk{}}}).Matches(nil) {
		t.Error("no device is a disk")
	}
	for _, r := range []Ref{p.Target.Filesystems()[0].Lower(), p.Journal, "disk:new1", "disk:old1"} {
		if d, err := f.Volume(p, r); d != nil || err != nil {
			t.Errorf("volume %s on no machine: %v, %v", r, d, err)
		}
	}
	for _, r := range []Ref{"", "disk:x", "what:ever"} {
		if _, err := good().Volume(p, r); err == nil {
			t.Errorf("volume %q is a reference", r)
		}
	}
	// A plan against a machine of nothing: every answer, no panic.
	found := Check(p, f, Planning|Live|Offline)
	if found.Err() == nil {
		t.Error("a machine of nothing is as planned")
	}
}

// A check that objects to nothing says what it saw.
func TestOKSaysWhatWasSeen(t *testing.T) {
	f := good()
	p := planned(t, f, wish())
	said := map[string]string{}
	for _, x := range Check(p, f, Live) {
		if x.Severity != OK || x.String() == "" || strings.Contains(x.String(), x.ID) || strings.Contains(x.String(), strings.ReplaceAll(x.ID, ".", " ")) {
			t.Errorf("%s %s: %q", x.ID, x.Severity, x)
		}
		if other := said[x.String()]; other != "" {
			t.Errorf("%s and %s both say %q", other, x.ID, x)
		}
		said[x.String()] = x.ID
	}
	for text, id := range map[string]string{
		"running as root":                                       "user.root",
		"no errors recorded in ext4 on /dev/vda2":               "source.clean",
		"/dev/vdb is empty":                                     "target.empty",
		"/: 5.0 GiB used, its new volume has 19 GiB":            "target.room",
		"no other array is called /dev/md/root or /dev/md/swap": "array.name",
		"fstab mounts /dev/vda2 at /, as planned":               "fstab.same",
	} {
		if said[text] != id {
			t.Errorf("%s does not say %q", id, text)
		}
	}
}
