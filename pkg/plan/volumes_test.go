package plan

import (
	"strings"
	"testing"
)

// layeredFacts is a disk with two partitions: an encrypted container, opened, that is the one physical volume of a group,
// and another physical volume.
func layeredFacts() *Facts {
	return &Facts{
		Devices: []Device{
			{Name: "vda", Path: "/dev/vda", Kind: KindDisk, Size: gib},
			{Name: "vda1", Path: "/dev/vda1", Kind: KindPart, Parent: "vda", GUID: "aaaaaaaa-0000-4000-8000-000000000001", Number: 1, Size: 400 * mib},
			{Name: "vda2", Path: "/dev/vda2", Kind: KindPart, Parent: "vda", GUID: "aaaaaaaa-0000-4000-8000-000000000002", Number: 2, Size: 400 * mib},
			{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM, Mapping: "vda1_crypt", Size: 384 * mib},
			{Name: "dm-1", Path: "/dev/dm-1", Kind: KindDM, Mapping: "vg0-root", Size: 200 * mib, Contents: []Content{{Kind: ContentFS, Type: "ext4", UUID: "ffffffff-0000-4000-8000-000000000001"}}},
			{Name: "dm-2", Path: "/dev/dm-2", Kind: KindDM, Mapping: "vg0-var", Size: 100 * mib},
		},
		Crypts: []Crypt{{UUID: "cccccccc-0000-4000-8000-000000000001", Version: 2, Device: "vda1", Node: "dm-0", Name: "vda1_crypt", Slots: 1, Passphrase: 1}},
		Groups: []VolumeGroup{{UUID: "VGROUP", Name: "vg0", Extent: 4 * mib, PVs: []PhysicalVolume{{UUID: "PV-1", Device: "dm-0"}, {UUID: "PV-2", Device: "vda2", Hint: "/dev/vda2"}},
			Volumes: []LogicalVolume{{UUID: "LV-1", Name: "root", Type: "linear", Size: 200 * mib, Node: "dm-1"}, {UUID: "LV-2", Name: "var", Type: "raid1", Size: 100 * mib, Node: "dm-2", Copies: 2}}}},
	}
}

func TestLayersSeen(t *testing.T) {
	f := layeredFacts()
	g := f.Graph()
	if what := g.unordered(); what != "" {
		t.Error(what)
	}
	for r, want := range map[Ref]string{"fs:ffffffff-0000-4000-8000-000000000001": "lv:LV-1", "lv:LV-1": "vg:VGROUP", "vg:VGROUP": "luks:cccccccc-0000-4000-8000-000000000001",
		"luks:cccccccc-0000-4000-8000-000000000001": "part:aaaaaaaa-0000-4000-8000-000000000001"} {
		n := g.Node(r)
		if n == nil || n.On[0] != Ref(want) {
			t.Errorf("%s: %+v, want it on %s", r, n, want)
		}
	}
	if got := refs(g.DisksUnder("fs:ffffffff-0000-4000-8000-000000000001")); got != "disk:vda" {
		t.Errorf("disks under the root: %s", got)
	}
	for r, want := range map[Ref]string{"lv:LV-1": "/dev/dm-1", "luks:cccccccc-0000-4000-8000-000000000001": "/dev/dm-0"} {
		n := g.Node(r)
		k, _ := kindOf(n)
		if d, err := k.find(f, n); err != nil || d == nil || d.Path != want || n.Was != want {
			t.Errorf("%s is %+v, %v, want %s", r, d, err, want)
		}
	}
	if d := f.Dev("/dev/mapper/vg0-root"); d == nil || d.Name != "dm-1" {
		t.Errorf("by its mapping's name: %+v", d)
	}
	f.Crypts = append(f.Crypts, Crypt{UUID: f.Crypts[0].UUID, Device: "vdb1"})
	if _, err := f.Crypt(f.Crypts[0].UUID); err == nil || !strings.Contains(err.Error(), "/dev/vda1 and /dev/vdb1") {
		t.Errorf("two containers of a UUID: %v", err)
	}
	if _, err := f.Crypt("none"); err == nil {
		t.Error("no container is found")
	}
}

func TestCheckVolumes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts, n *LUKS)
		want   string // a part of the refusal; "" for none
	}{
		"as it should be": {func(*Facts, *LUKS) {}, ""},
		"missing PV":      {func(f *Facts, _ *LUKS) { f.Groups[0].PVs[1].Device = "" }, "physical volume PV-2 (formerly /dev/vda2) is missing"},
		"refused group":   {func(f *Facts, _ *LUKS) { f.Groups[0].Refused = &Unreadable{"it is exported", "vgimport vg0"} }, "it is exported"},
		"two names":       {func(f *Facts, _ *LUKS) { f.Groups = append(f.Groups, VolumeGroup{UUID: "OTHER", Name: "vg0"}) }, "vgrename OTHER"},
		"thin": {func(f *Facts, _ *LUKS) {
			f.Groups[0].Volumes[0].Refused = &Unreadable{"it is a thin volume", ""}
		}, "it is a thin volume"},
		"raid5":    {func(f *Facts, _ *LUKS) { f.Groups[0].Volumes[1].Type = "raid5_ls" }, "its type is raid5_ls"},
		"inactive": {func(f *Facts, _ *LUKS) { f.Groups[0].Volumes[1].Node = "" }, "lvchange -ay vg0/var"},
		"TPM alone": {func(f *Facts, _ *LUKS) {
			f.Crypts[0].Passphrase, f.Crypts[0].Tokens = 0, []string{"systemd-tpm2"}
		}, "only tokens open it (systemd-tpm2)"},
		"TPM and a key file": {func(f *Facts, n *LUKS) { f.Crypts[0].Passphrase, n.KeyFile = 0, "/etc/key" }, ""},
		"no slots":           {func(f *Facts, _ *LUKS) { f.Crypts[0].Slots = 0 }, "no key slot"},
		"re-encryption":      {func(f *Facts, _ *LUKS) { f.Crypts[0].Unusual = "a re-encryption is under way" }, "a re-encryption is under way"},
	} {
		f := layeredFacts()
		p := &Plan{Source: f.Graph()}
		c.change(f, p.Source.Node("luks:cccccccc-0000-4000-8000-000000000001").LUKS)
		a := &answers{id: "source.volumes"}
		checkVolumes(p, f, a)
		err := Findings(a.out).Err()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error()+fixes(a.out), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if got := okVolumes(&Plan{Source: layeredFacts().Graph()}, nil); !strings.Contains(got, "/dev/vg0/root is a linear volume") || !strings.Contains(got, "LUKS2") {
		t.Error(got)
	}
}

func fixes(fs Findings) string {
	var b strings.Builder
	for _, x := range fs {
		b.WriteString(" " + x.Fix)
		if x.Severity == Refuse && x.Fix == "" {
			b.WriteString(" (no fix)")
		}
	}
	return b.String()
}

// What cannot be made is refused when a plan is read.
func TestValidateVolumes(t *testing.T) {
	good := func() Graph { return layeredFacts().Graph() }
	for name, c := range map[string]struct {
		ref    Ref
		change func(n *Node)
		want   string
	}{
		"name of a group":      {"vg:VGROUP", func(n *Node) { n.VG.Name = "a b" }, "does not allow"},
		"no physical volumes":  {"vg:VGROUP", func(n *Node) { n.On = nil }, "0 physical volumes"},
		"a missing one":        {"vg:VGROUP", func(n *Node) { n.On[1] = "" }, "2 physical volumes"},
		"extents":              {"vg:VGROUP", func(n *Node) { n.VG.Extent = 3000 }, "extents of 3000"},
		"size of a volume":     {"lv:LV-1", func(n *Node) { n.Size++ }, "whole extents"},
		"another group's name": {"lv:LV-1", func(n *Node) { n.LV.Group = "vg1" }, "does not allow"},
		"in no group":          {"lv:LV-1", func(n *Node) { n.On = nil }, "in no volume group"},
		"name of a container":  {"luks:cccccccc-0000-4000-8000-000000000001", func(n *Node) { n.LUKS.Name = "a/b" }, "does not allow"},
		"a container nowhere":  {"luks:cccccccc-0000-4000-8000-000000000001", func(n *Node) { n.On = nil }, "on nothing"},
	} {
		g := good()
		n := g.Node(c.ref)
		k, _ := kindOf(n)
		if what := k.validate(g, n); what != "" {
			t.Errorf("%s: %s before the change", name, what)
		}
		c.change(n)
		if what := k.validate(g, n); !strings.Contains(what, c.want) {
			t.Errorf("%s: %q, want %q", name, what, c.want)
		}
		if k.called(n) == "" || k.box(n) == "" || k.overhead(n, 10*mib) < 10*mib {
			t.Errorf("%s: no words, or no room", name)
		}
	}
}

func TestUniqueVolumes(t *testing.T) {
	f := layeredFacts()
	p := &Plan{Target: f.Graph()}
	refused := func(n *Node) string {
		a := &answers{id: "identity.unique"}
		k, _ := kindOf(n)
		k.unique(p, f, n, a)
		if err := Findings(a.out).Err(); err != nil {
			return err.Error()
		}
		return ""
	}
	vg, luks := p.Target.Node("vg:VGROUP"), p.Target.Node("luks:cccccccc-0000-4000-8000-000000000001")
	if got := refused(vg) + refused(luks) + refused(p.Target.Node("lv:LV-1")); got != "" {
		t.Errorf("what is there is as planned: %s", got)
	}
	f.Groups[0].PVs[1].Device = "vda"
	f.Groups = append(f.Groups, VolumeGroup{UUID: "OTHER", Name: "vg0"})
	if got := refused(vg); !strings.Contains(got, "/dev/vda is a physical volume") || !strings.Contains(got, "another group (OTHER)") {
		t.Error(got)
	}
	f.Crypts[0].Device = "vda2"
	if got := refused(luks); !strings.Contains(got, "already in use on /dev/vda2") {
		t.Error(got)
	}
	f.Crypts = append(f.Crypts, f.Crypts[0])
	if got := refused(luks); !strings.Contains(got, "ambiguous") {
		t.Error(got)
	}
}

func TestDescribeVolumes(t *testing.T) {
	f := layeredFacts()
	f.Crypts[0].Tokens = []string{"systemd-tpm2"}
	f.Crypts = append(f.Crypts, Crypt{Device: "vdb", Node: "dm-7", Name: "secret", Unusual: "it is of type plain"})
	f.Groups[0].PVs[1].Device = ""
	f.Groups[0].Volumes[1].Node, f.Groups[0].Volumes[1].Refused = "", &Unreadable{Detail: "a leg is missing"}
	got := strings.Join(strings.Fields(f.DescribeStorage()), " ")
	for _, want := range []string{"Volumes", "vda1_crypt on /dev/vda1, LUKS2, open as /dev/dm-0, 1 key slot (systemd-tpm2)", "secret on /dev/vdb, open as /dev/dm-7, it is of type plain",
		"vg0 volume group on /dev/dm-0, MISSING /dev/vda2", "root 200 MiB linear, /dev/dm-1", "var 100 MiB raid1, not active, a leg is missing"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// What lies on several layers is stopped before each of them.
func TestRunningOrder(t *testing.T) {
	f := layeredFacts()
	f.Devices = append(f.Devices, Device{Name: "dm-3", Path: "/dev/dm-3", Kind: KindDM, Mapping: "vda2_crypt"})
	f.Crypts = append(f.Crypts, Crypt{UUID: "cccccccc-0000-4000-8000-000000000002", Version: 2, Device: "vda2", Node: "dm-3", Name: "vda2_crypt"})
	f.Groups[0].PVs[1].Device = "dm-3"
	layers, ends := f.RunningOn(f.Dev("vda"))
	var got []string
	for _, l := range layers {
		got = append(got, string(l.Node.Ref[:4]))
	}
	if order := strings.Join(got, " "); order != "lv:L lv:L vg:V luks luks" || len(ends) != 2 {
		t.Errorf("%s, %d ends", order, len(ends))
	}
}

// Deriving a key may take more than the copy.
func TestMemoryOfContainers(t *testing.T) {
	f := layeredFacts()
	p := &Plan{Source: f.Graph()}
	for _, c := range []struct {
		key, have int64
		want      Severity
	}{{32 * mib, gib, OK}, {gib, 2 * gib, OK}, {gib, gib, Refuse}} {
		f.Machine.Memory = c.have
		p.Source.Node("luks:cccccccc-0000-4000-8000-000000000001").LUKS.Memory = c.key
		if got := CheckMemory(p, f, 20*mib); got.Severity != c.want {
			t.Errorf("%s for a key, %s of memory: %v", size(c.key), size(c.have), got)
		}
	}
}

// What LVM names and marks as its own parts shows what the whole volume shows.
func TestInternalVolumes(t *testing.T) {
	id := "LVM-" + strings.Repeat("g", 32) + strings.Repeat("v", 32)
	for _, c := range []struct {
		mapping, id string
		want        bool
	}{
		{"vg0-data", id, false},
		{"vg0-data_rimage_0", id, true},
		{"vg0-data_rmeta_1", id, true},
		{"vg0-old_mimage_0", id, true},
		{"vg0-old_mlog", id, true},
		{"vg0-pvmove0", id, true},
		{"vg0-root-real", id + "-real", true},
		{"a--rimage_rimage-b--c", id, false}, // the group's name is free
		{"a--b-c--d_rimage_0", id, true},
		{"vg0-my_pvmove", id, false},
		{"vg0-data_rimage_0", "CRYPT-x", false},
		{"vg0-data_rimage_0", "", false},
	} {
		if d := (&Device{Mapping: c.mapping, MappingID: c.id}); d.Internal() != c.want {
			t.Errorf("%s with %q: %v", c.mapping, c.id, d.Internal())
		}
	}
}
