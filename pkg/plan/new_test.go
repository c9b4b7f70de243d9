package plan

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNewGoodMachine(t *testing.T) {
	p := planned(t, good(), wish())
	if len(p.Target.Disks()) != 1 || len(p.Target.Arrays()) != 2 || len(p.Target.Filesystems()) != 1 || len(p.Target.Swaps()) != 1 || len(p.Copies()) != 1 {
		t.Fatalf("plan has %d disks, %d arrays, %d filesystems, %d swaps, %d copies", len(p.Target.Disks()), len(p.Target.Arrays()), len(p.Target.Filesystems()), len(p.Target.Swaps()), len(p.Copies()))
	}
	var roles []string
	for _, n := range p.Target.Parts("disk:new1") {
		roles = append(roles, n.Part.Role+" "+n.Part.Name)
	}
	if d := cmp.Diff([]string{"bios_grub BIOS boot", "one-shot migrate-init boot block", "journal migrate-init journal", "raid root", "raid swap"}, roles); d != "" {
		t.Error(d)
	}
	if n := p.Target.Arrays()[0]; n.MD.Name != "host1:root" || n.MD.Metadata != "1.2" || n.MD.Level != 1 || len(n.MD.Devices) != 2 || len(n.On) != 2 || n.On[1] != "" || n.MD.Node != "md0" {
		t.Errorf("first array: %+v", n)
	}
	c := Diff(p.Target, p.Final)
	if len(c.Gone) != 0 || len(c.Fill) != 2 || len(c.New) != 6 || c.New[0].Ref != "disk:old1" || c.Fill[1].Index != 1 || p.Final.Node(c.Fill[1].Member).Part.Name != "swap" {
		t.Errorf("finish: %+v", c)
	}
	b := p.Boot
	if b.Root != p.Target.Filesystems()[0].Ref.ID() || b.Volume != p.Target.Filesystems()[0].Lower() || b.Mount != "/" || b.Kernel != "/boot/vmlinuz-6.1.0-18-amd64" || b.BootFS != p.Source.Filesystems()[0].Ref.ID() || b.Loader != "bootx" || b.Own["place"] != "/boot" {
		t.Errorf("boot: %+v", b)
	}
	if d := cmp.Diff([]string{"console=tty0", "console=ttyS0,115200"}, b.Params); d != "" {
		t.Error(d)
	}
	if p.Created.Nanosecond() != 0 {
		t.Errorf("created %v: not whole seconds", p.Created)
	}
	if m := p.MoveTo(p.Target.Swaps()[0].Ref); m == nil || m.From != p.Source.Swaps()[0].Ref || m.Engine != EngineMake || m.From == m.To {
		t.Errorf("swap: %+v", m)
	}
}

func TestNewIsDeterministic(t *testing.T) {
	a, b := planned(t, good(), wish()), planned(t, good(), wish())
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("same facts, same randomness, another plan:\n%s", d)
	}
	in := wish()
	in.Rand = seeded{rand.New(rand.NewPCG(3, 4))}
	if c := planned(t, good(), in); c.ID == a.ID || c.Target.Arrays()[0].Ref.ID() == a.Target.Arrays()[0].Ref.ID() {
		t.Error("other randomness, the same identities")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNewWithoutRandomness(t *testing.T) {
	in := wish()
	in.Rand = broken{}
	if p, _, err := New(in, good()); err == nil || p != nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("New: %v", err)
	}
}

// Every identity of a plan is its own: nothing is ever recognised by position.
func TestNewIdentitiesDiffer(t *testing.T) {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/var", gib/4)
	p, seen := planned(t, f, wish()), map[string]string{}
	add := func(what, id string) {
		if was, ok := seen[id]; ok || id == "" {
			t.Errorf("%s has the identity %q of %s", what, id, was)
		}
		seen[id] = what
	}
	add("plan", p.ID)
	for _, d := range p.Final.Disks() {
		add("table", d.Disk.Table)
		for _, n := range p.Final.Parts(d.Ref) {
			add("partition", n.Ref.ID())
		}
	}
	for _, a := range p.Final.Arrays() {
		add("array", a.Ref.ID())
		for _, m := range a.MD.Devices {
			add("member", m)
		}
	}
	for _, x := range p.Final.Filesystems() {
		add("filesystem", x.Ref.ID())
		add("hash seed", x.FS.HashSeed)
	}
	for _, x := range p.Final.Swaps() {
		add("swap", x.Ref.ID())
	}
}

// checkLayout asserts what holds for every layout, on the new disk and later on the old one.
func checkLayout(t interface {
	Helper()
	Errorf(string, ...any)
}, p *Plan, f *Facts) {
	t.Helper()
	smaller := min(f.Dev("vda").Size, f.Dev("vdb").Size)
	for _, d := range p.Final.Disks() {
		end := mib
		for i, n := range p.Final.Parts(d.Ref) {
			if n.Part.Number != i+1 || n.Part.Start != end || n.Part.Start%mib != 0 || n.Size%mib != 0 || n.Size <= 0 {
				t.Errorf("%s: partition %d starts at %d with %d bytes after %d", d.Ref, n.Part.Number, n.Part.Start, n.Size, end)
			}
			end = n.Part.Start + n.Size
		}
		if gap := smaller - end; gap < endGap || gap >= endGap+mib {
			t.Errorf("%s: ends at %d, %d bytes before the end of the smaller disk", d.Ref, end, gap)
		}
	}
	for i, n := range p.Target.Parts("disk:new1") {
		if p.Final.Node("disk:old1") == nil {
			break // it stays as it is
		}
		m := p.Final.Parts("disk:old1")[i]
		if *m.Part != *n.Part || m.Size != n.Size || m.Ref == n.Ref {
			t.Errorf("mirror's partition %+v of %+v", m, n)
		}
	}
}

func TestNewLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := good()
		withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/boot", rapid.Int64Range(0, gib).Draw(t, "boot used"))
		withMount(f, rapid.Int64Range(1, 30).Draw(t, "var"), "11111111-0000-0000-0000-000000000005", "/var", rapid.Int64Range(0, gib).Draw(t, "var used"))
		f.Boot.Device = "vda4"
		f.Dev("vdb").Size += rapid.Int64Range(-10*gib, 10*gib).Draw(t, "difference") / 512 * 512
		f.Dev("vda2").Contents[0].Used = rapid.Int64Range(0, 18*gib).Draw(t, "root used")
		p, found, err := New(wish(), f)
		if err != nil {
			for _, x := range found.Refusals() {
				if x.ID != "plan.target" || !strings.Contains(x.Detail, "too small") {
					t.Fatalf("refused: %v", x)
				}
			}
			return
		}
		checkLayout(t, p, f)
		for i, s := range p.Source.Filesystems() {
			if room := p.Target.Room(p.Target.Node(p.MoveFrom(s.Ref).To).Lower()); room < s.FS.Used+s.FS.Used/10 {
				t.Fatalf("filesystem %d at %s uses %d, its volume has %d", i, s.FS.Mount, s.FS.Used, room)
			}
		}
	})
}

func TestNewSeveralFilesystems(t *testing.T) {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/boot", gib/4)
	withMount(f, 30, "11111111-0000-0000-0000-000000000005", "/var", gib/4)
	f.Boot.Device = "vda4"
	p := planned(t, f, wish())
	checkLayout(t, p, f)
	var mounts []string
	for _, s := range p.Source.Filesystems() {
		mounts = append(mounts, s.FS.Mount)
	}
	if d := cmp.Diff([]string{"/", "/boot", "/var"}, mounts); d != "" {
		t.Errorf("copies are not parents first: %s", d)
	}
	if p.Boot.Mount != "/boot" || p.Boot.Own["place"] != "/boot" || p.Boot.BootFS != "11111111-0000-0000-0000-000000000004" || p.Boot.Volume == p.Target.Filesystems()[0].Lower() {
		t.Errorf("boot: %+v", p.Boot)
	}
	// The largest takes the rest; the others keep their size, and get what md needs.
	for _, n := range p.Target.Parts("disk:new1") {
		if n.Part.Name == "root" && (n.Size < 18*gib || n.Size > 18*gib+64*mib) || n.Part.Name == "var" && n.Size < 29*gib {
			t.Errorf("partition %s has %d bytes", n.Part.Name, n.Size)
		}
	}
}

// A small filesystem that is full gets room for md's own bytes and the margin.
func TestNewFullSmallFilesystem(t *testing.T) {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/srv", gib-8*mib)
	p := planned(t, f, wish())
	checkLayout(t, p, f)
	for _, n := range p.Target.Parts("disk:new1") {
		if n.Part.Name == "srv" && n.Size <= gib {
			t.Errorf("partition for a full filesystem of 1 GiB has %d bytes", n.Size)
		}
	}
}

// As many inodes as before, as far as a smaller volume has blocks for them.
func TestNewInodes(t *testing.T) {
	f := good()
	f.Dev("vdb").Size = 8 * gib
	for have, want := range map[int64]int64{100000: 100000, 1 << 20: 1 << 20, 1 << 22: 1830912, 1 << 32: 1 << 32} {
		f.Dev("vda2").Contents[0].Inodes = have
		p := planned(t, f, wish())
		if n := p.Target.Filesystems()[0].FS.Inodes; n != want {
			t.Errorf("%d inodes before, %d planned, want %d", have, n, want)
		}
	}
}

func TestNewNames(t *testing.T) {
	f := good()
	withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/root", 0)
	withMount(f, 1, "11111111-0000-0000-0000-000000000005", "/srv/a b", 0)
	withMount(f, 1, "11111111-0000-0000-0000-000000000006", "/srv/a-b", 0)
	withMount(f, 1, "11111111-0000-0000-0000-000000000007", "/srv/a/very/long/way/down", 0)
	f.Machine.Hostname = "a-rather-long-host-name"
	p := planned(t, f, wish())
	seen := map[string]bool{}
	for _, a := range p.Target.Arrays() {
		if seen[a.MD.Name] || len(a.MD.Name) > 31 || strings.ContainsAny(a.MD.Name, " /") {
			t.Errorf("array name %q", a.MD.Name)
		}
		seen[a.MD.Name] = true
	}
	for _, w := range []string{"a-rather-long-host-name:root", "a-rather-long-host-name:root2", "srv-a-b", "srv-a-b2"} {
		if !seen[w] && !seen["a-rather-long-host-name:"+w] {
			t.Errorf("no array is called %q: %v", w, seen)
		}
	}
	if arrayName("", "root") != "any:root" {
		t.Errorf("array of a host without a name: %q", arrayName("", "root"))
	}
}

// The old system may find a partition by its name, and boots beside the new disk until finish.
func TestNewPartitionNamesAreNew(t *testing.T) {
	name := func(f *Facts) string { return planned(t, f, wish()).Target.Parts("disk:new1")[3].Part.Name }
	for what, use := range map[string]func(f *Facts){
		"fstab":        func(f *Facts) { f.Fstab[0].Name = Name{TagPartLabel, "root"} },
		"command line": func(f *Facts) { f.Uses = []Use{{Name: Name{TagPartLabel, "root"}}} },
	} {
		f := good()
		f.Dev("vda").Table.Partitions[1].Name = "root"
		if n := name(f); n != "root" {
			t.Errorf("a name that nothing looks for: %q", n)
		}
		use(f)
		if n := name(f); n != "root2" {
			t.Errorf("a name that is looked for by %s: %q", what, n)
		}
	}
}

func TestNewNodesInUse(t *testing.T) {
	f := good()
	f.Devices = append(f.Devices, Device{Name: "md0", Path: "/dev/md0", Kind: KindArray, Size: gib})
	if p := planned(t, f, wish()); p.Target.Arrays()[0].MD.Node != "md1" || p.Target.Arrays()[1].MD.Node != "md2" {
		t.Errorf("nodes %s and %s beside a running md0", p.Target.Arrays()[0].MD.Node, p.Target.Arrays()[1].MD.Node)
	}
}

func TestNewLabels(t *testing.T) {
	for name, use := range map[string]func(*Facts){
		"fstab":        func(f *Facts) { f.Fstab[0].Name = Name{TagLabel, "sys"} },
		"command line": func(f *Facts) { f.Uses = []Use{{Name: Name{TagLabel, "sys"}}} },
	} {
		f := good()
		f.Dev("vda2").Contents[0].Label = "sys"
		if p := planned(t, f, wish()); p.Target.Filesystems()[0].FS.Label != "sys" {
			t.Errorf("a label that nothing uses is lost")
		}
		use(f)
		p, found, err := New(wish(), f)
		if err != nil {
			t.Fatal(err)
		}
		if p.Target.Filesystems()[0].FS.Label != "" || p.Source.Filesystems()[0].FS.Label != "sys" {
			t.Errorf("%s: two filesystems would have the label", name)
		}
		want(t, found, Warn, "plan.target", "label sys", "e2label")
		if len(p.Notes) != 1 {
			t.Errorf("%s: notes %q", name, p.Notes)
		}
	}
}

func TestNewSpecsAreKept(t *testing.T) {
	for _, spec := range []string{"LABEL=sys", "PARTUUID=22222222-0000-0000-0000-000000000002", "/dev/vda2", "/dev/disk/by-path/x"} {
		f := good()
		f.Fstab[0].Spec = spec
		if p := planned(t, f, wish()); p.Source.Filesystems()[0].FS.Spec != spec || p.Source.Filesystems()[0].Was != "/dev/vda2" {
			t.Errorf("source by %s: %+v", spec, p.Source.Filesystems()[0].FS)
		}
	}
}

// TestNamesTaken: what the old system came to find by a name after the plan was made keeps the new disk from having it.
func TestNamesTaken(t *testing.T) {
	f := good()
	f.Dev("vda2").Contents[0].Label = "sys"
	p := planned(t, f, wish())
	for _, n := range []Name{{TagLabel, "sys"}, {TagPartLabel, "root"}, {TagPartLabel, "migrate-init journal"}} {
		f.Uses = []Use{{Where: "/etc/crypttab line 1", Spec: n.Tag + "=" + n.Value, Name: n}}
		want(t, Check(p, f, Live), Refuse, "names.resolve", n.Value, "make a new plan")
		for _, x := range Check(planned(t, f, wish()), f, Live).Refusals() {
			if x.ID == "names.resolve" {
				t.Errorf("a new plan: %s", x)
			}
		}
	}
}

// TestAlsoCalled: a source keeps every name that leads to it alone and that its node, UUID and GUID do not say.
func TestAlsoCalled(t *testing.T) {
	f := good()
	d := f.Dev("vda2")
	d.Links = []string{"/dev/disk/by-path/x-part2"}
	f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/vda2", Name: Name{"", "/dev/vda2"}, Target: "/b", Options: "bind", Device: "vda2"})
	f.Uses = []Use{
		{Spec: "LABEL=sys", Name: Name{TagLabel, "sys"}, Device: "vda2"}, {Spec: "8:2", Name: Name{"", "8:2"}, Device: "vda2"}, {Spec: "/dev/vda2", Name: Name{"", "/dev/vda2"}, Device: "vda2"},
		{Spec: "PARTUUID=" + strings.ToUpper(d.GUID), Name: Name{TagPartUUID, d.GUID}, Device: "vda2"}, {Spec: "PARTUUID=x/PARTNROFF=1", Name: Name{TagPartUUID, "x/partnroff=1"}, Device: "vda2"},
		{Spec: "LABEL=sys", Name: Name{TagLabel, "sys"}, Device: "vda2"}, {Spec: "LABEL=x", Name: Name{TagLabel, "x"}}, {Spec: "LABEL=swap", Name: Name{TagLabel, "swap"}, Device: "vda3"},
	}
	p := planned(t, f, wish())
	if d := cmp.Diff([]string{"/dev/disk/by-path/x-part2", "LABEL=sys", "8:2", "PARTUUID=x/PARTNROFF=1"}, p.Source.Filesystems()[0].Also); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"LABEL=swap"}, p.Source.Swaps()[0].Also); d != "" {
		t.Error(d)
	}
}

func TestNewDiskWithoutSerial(t *testing.T) {
	f := good()
	f.Dev("vdb").Serial = ""
	p := planned(t, f, wish())
	if id := p.Target.Disks()[0].Disk; id.Bus != f.Dev("vdb").Bus || id.Serial != "" {
		t.Errorf("disk without a serial: %+v", id)
	}
	if p.Source.Disks()[0].Disk.Bus != "" {
		t.Error("a disk with a serial is bound to its bus address")
	}
	if d, err := f.Disk(p.Target.Disks()[0]); err != nil || d != f.Dev("vdb") {
		t.Errorf("found again: %v, %v", d, err)
	}
}

func TestNewSwapOfResume(t *testing.T) {
	f := good()
	f.Kernel.Params = paramsOf("resume=UUID=11111111-0000-0000-0000-000000000003")
	if p := planned(t, f, wish()); len(p.Target.Swaps()) != 1 || p.MoveFrom("swap:11111111-0000-0000-0000-000000000003") == nil {
		t.Errorf("swap that resume= names: %+v", p.Moves)
	}
}

func TestNewExtent(t *testing.T) {
	f, in := good(), wish()
	in.Engine = EngineExtent
	f.Dev("vda2").Contents[0].Size = 18 * gib
	p := planned(t, f, in)
	if p.Moves[0].Engine != EngineExtent {
		t.Errorf("engine %s", p.Moves[0].Engine)
	}
	f.Dev("vdb").Size = 18 * gib
	_, found, err := New(in, f)
	if err == nil {
		t.Fatal("an extent copy into less was planned")
	}
	want(t, found, Refuse, "plan.target", "too small")
}

func TestNewWipe(t *testing.T) {
	f, in := good(), wish()
	in.Wipe = []string{"/dev/vdb"}
	f.Dev("vdb").Contents = []Content{{Kind: ContentFS, Type: "xfs", UUID: "x", Label: "precious"}}
	if p := planned(t, f, in); !p.Target.Disks()[0].Disk.Wipe {
		t.Error("--wipe is lost")
	}
	if p := planned(t, good(), wish()); p.Target.Disks()[0].Disk.Wipe {
		t.Error("wipe without --wipe")
	}
}

func TestKeptParams(t *testing.T) {
	got := keptParams(paramsOf(`BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet pci=nomsi nvme_core.default_ps_max_latency_us=0 nomodeset console=ttyS1,57600n8 systemd.unit=x rd.break resume=/dev/sda2 iommu=pt "noapic"`))
	got = append(got, keptParams([]Param{{Key: "dyndbg", Value: "file a.c nousb +p", Raw: `dyndbg="file a.c nousb +p"`}})...)
	want := []string{"pci=nomsi", "nvme_core.default_ps_max_latency_us=0", "nomodeset", "console=ttyS1,57600n8", "iommu=pt"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestNewKernelOfSeveral: of several images of the running release the one that has an initrd is taken, wherever it stands.
func TestNewKernelOfSeveral(t *testing.T) {
	for _, other := range []string{".bak", ".efi.signed", ""} {
		f := good()
		good := f.Boot.Kernels[0]
		second := good
		second.Path, second.Initrd = good.Path+other, ""
		if other == "" {
			second.Path = "/boot/vmlinuz"
		}
		for _, list := range [][]Image{{good, second}, {second, good}} {
			f.Boot.Kernels = list
			p, _, err := New(wish(), f)
			if err != nil {
				t.Fatal(err)
			}
			if p.Boot.Kernel != good.Path {
				t.Errorf("%s is planned, want %s", p.Boot.Kernel, good.Path)
			}
		}
	}
}

// A disk whose sectors the boot loader may not read gets no block: then a power cut boots the old system, and where only the
// block can start the migration, there is no plan.
func TestNewBlockSectors(t *testing.T) {
	f := good()
	p := planned(t, f, wish())
	if n := p.Target.Node(p.Boot.Block); n == nil || n.Part.Role != RoleOneShot || p.Boot.BlockFS == "" || !p.resumes() {
		t.Errorf("boot block %q with filesystem %q", p.Boot.Block, p.Boot.BlockFS)
	}
	for name, needs := range map[string]bool{"next_entry": false, "block": true} {
		f := good()
		f.Dev("vdb").Sector = 4096
		for i := range f.Rules.Loaders {
			f.Rules.Loaders[i].NeedsBlock = func(*Facts) bool { return needs }
		}
		in := wish()
		p, found, err := New(in, f)
		switch {
		case needs && (err == nil || !strings.Contains(err.Error(), "logical sectors have 4096 bytes")):
			t.Errorf("%s: %v", name, err)
		case !needs && (err != nil || p.Boot.Block != "" || p.resumes()):
			t.Errorf("%s: %v, %v", name, err, found)
		}
	}
}
