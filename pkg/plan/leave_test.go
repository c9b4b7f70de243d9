package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// leaving is onMD with vda as the target, and with or without vdc lent.
func leaving(spare bool) (*Facts, Intent) {
	f, in := onMD()
	in.Disks, in.AcceptDegraded = []string{"/dev/vda"}, !spare
	if spare {
		in.Spare = "/dev/vdc"
		f.Dev("vdc").Size += 64 * mib
	}
	for i := range f.Arrays {
		f.Arrays[i].Bitmap = true
	}
	return f, in
}

// TestLeave: the plan is of what will be: the old arrays without the members of the target disk.
func TestLeave(t *testing.T) {
	for _, level := range []string{"1", "4", "5", "6", "10"} {
		for _, spare := range []bool{false, true} {
			f, in := leaving(spare)
			for i := range f.Arrays {
				f.Arrays[i].Level = level
			}
			if level != "1" {
				f.Arrays[1].Level = "1"
			}
			p := planned(t, f, in)
			var source []string
			for _, n := range p.Source.Disks() {
				source = append(source, string(n.Ref)+" "+n.Was)
			}
			want, slot := "disk:old1 /dev/vdb", Ref("")
			if spare {
				want, slot = "disk:old1 /dev/vdb, disk:spare /dev/vdc", p.Leave.Members[0].Spare
			}
			if got := strings.Join(source, ", "); got != want {
				t.Errorf("raid%s: the source is on %s, want %s", level, got, want)
			}
			root := p.Source.Node("md:33333333-0000-0000-0000-000000000001")
			if root == nil || root.On[0] != slot || root.On[1] != "part:22222222-0000-0000-0000-000000000012" {
				t.Fatalf("raid%s: the array of the root is %+v", level, root)
			}
			if new := p.NewDisks(); len(new) != 1 || new[0].Was != "/dev/vda" || !new[0].Disk.Wipe || !p.Leaves(new[0].Ref) {
				t.Errorf("raid%s: new disks: %v", level, p.NewTargets())
			}
			if later := p.LaterDisks(); len(later) != 1 || later[0].Was != "/dev/vdb" {
				t.Errorf("raid%s: %v join at finish", level, later)
			}
			if p.OldDisks() != "/dev/vdb" {
				t.Errorf("the old disks are called %s", p.OldDisks())
			}
			if len(p.Leave.Members) != 2 || p.Leave.Members[0].Was != "/dev/vda2" {
				t.Errorf("these leave: %+v", p.Leave.Members)
			}
			for _, x := range Check(p, f, Live).Refusals() {
				t.Errorf("raid%s, before it left: %s", level, x)
			}
			then := f.after(p.Leave, p.Source)
			then.asIs = nil
			for _, x := range Check(p, then, Live).Refusals() {
				t.Errorf("raid%s, when it has left: %s", level, x)
			}
			want2 := Check(p, f, Offline)
			if !slices.ContainsFunc(want2, func(x Finding) bool { return x.ID == "source.left" && x.Severity == Refuse }) {
				t.Errorf("raid%s: the image accepts a member that has not left", level)
			}
			if !slices.ContainsFunc(Check(p, then, Offline), func(x Finding) bool { return x.ID == "source.left" && x.Severity == OK }) {
				t.Errorf("raid%s: the image refuses a member that has left", level)
			}
			text := p.Explain(f, stageText)
			if words := map[bool]string{false: "no redundancy", true: "the lent disk has taken its place"}[spare]; !strings.Contains(strings.Join(p.Notes, " ")+text, words) {
				t.Errorf("nothing says %q:\n%s\n%s", words, text, p.Notes)
			}
			b, err := p.Encode()
			if err != nil || !strings.Contains(string(b), "[leave]") {
				t.Errorf("the plan as text: %v\n%s", err, b)
			}
		}
	}
}

// TestLeaveBlock: where the boot loader cannot note what boots once, the block is in the gap before the first partition.
func TestLeaveBlock(t *testing.T) {
	f, in := leaving(false)
	f.Boot.Own = bootxFacts{Place: "/boot", Block: true}.own()
	p := planned(t, f, in)
	if p.Leave.Block != LeaveBlock {
		t.Errorf("the block is at byte %d", p.Leave.Block)
	}
	f, in = leaving(false)
	f.Boot.Own = bootxFacts{Place: "/boot", Block: true}.own()
	f.Dev("vda").Table.Partitions[0].Start = 34 * 512
	f.Dev("vda1").Start = 34 * 512
	_, found, _ := New(in, f)
	want(t, found, Refuse, "plan.boot", "below the first MiB", "--disk /dev/NAME")
}

// TestLeaveRefused: what speaks against a disk's leaving, and against one that is lent.
func TestLeaveRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spare  bool
		change func(f *Facts, in *Intent)
		words  []string
	}{
		"neither":    {false, func(_ *Facts, in *Intent) { in.AcceptDegraded = false }, []string{"it is a source disk", "--spare /dev/NAME", "--accept-degraded"}},
		"both":       {true, func(_ *Facts, in *Intent) { in.AcceptDegraded = true }, []string{"leave one of them out"}},
		"no member":  {false, func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vdc"} }, []string{"--accept-degraded", "leave it out"}},
		"two":        {false, func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vda", "/dev/vdb"} }, []string{"one disk can leave at a time"}},
		"raid0":      {false, func(f *Facts, _ *Intent) { f.Arrays[0].Level = "0" }, []string{"no redundancy"}},
		"degraded":   {false, func(f *Facts, _ *Intent) { f.Arrays[0].Degraded = 1 }, []string{"degraded already", "mdadm /dev/md126 --add"}},
		"rebuilding": {false, func(f *Facts, _ *Intent) { f.Arrays[0].Sync = "recover" }, []string{"recover is in progress", "mdadm --wait /dev/md126"}},
		"external":   {false, func(f *Facts, _ *Intent) { f.Arrays[0].Metadata = "imsm" }, []string{"metadata is imsm"}},
		"a filesystem beside them": {false, func(f *Facts, _ *Intent) {
			f.Dev("vda1").Contents = []Content{fsOf("ext4", "55555555-0000-0000-0000-000000000001", 1)}
			f.Dev("vda").Table.Partitions[0].Role = RoleLinux
		},
			[]string{"beside its members it holds", "--wipe /dev/vda"}},
		"mounted beside them": {false, func(f *Facts, _ *Intent) { f.Dev("vda1").MountedAt = []string{"/x"} }, []string{"take it out of use"}},
		"spare too small":     {true, func(f *Facts, _ *Intent) { f.Dev("vdc").Size = 19 * gib }, []string{"too small", "lend a larger disk"}},
		"spare not empty": {true, func(f *Facts, _ *Intent) {
			f.Dev("vdc").Contents = []Content{fsOf("ext4", "55555555-0000-0000-0000-000000000001", 1)}
		},
			[]string{"not empty", "--wipe /dev/vdc"}},
		"spare in use":      {true, func(f *Facts, _ *Intent) { f.Dev("vdc").MountedAt = []string{"/x"} }, []string{"take it out of use"}},
		"spare is a target": {true, func(_ *Facts, in *Intent) { in.Spare = "/dev/vda" }, []string{"it is a target disk"}},
		"no such spare":     {true, func(_ *Facts, in *Intent) { in.Spare = "/dev/vdx" }, []string{"not a whole disk"}},
		"removable spare":   {true, func(f *Facts, _ *Intent) { f.Dev("vdc").Removable = true }, []string{"removable"}},
		"large sectors":     {true, func(f *Facts, _ *Intent) { f.Dev("vdc").Sector = 4096 }, []string{"4096"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := leaving(c.spare)
			c.change(f, &in)
			_, found, err := New(in, f)
			if err == nil {
				t.Fatal("planned")
			}
			for _, x := range found.Refusals() {
				all := x.Fix != "" && x.Subject != ""
				for _, w := range c.words {
					all = all && strings.Contains(x.String(), w)
				}
				if all {
					return
				}
			}
			t.Errorf("no refusal with %q:\n%v", c.words, fmt.Sprint(found.Refusals()))
		})
	}
}

// TestLeaveDrift: what changes between plan and schedule.
func TestLeaveDrift(t *testing.T) {
	f, in := leaving(true)
	p := planned(t, f, in)
	f.Arrays[0].Degraded = 1
	want(t, Check(p, f, Live), Refuse, "source.leaves", "degraded already")
	f.Arrays[0].Degraded = 0
	f.Dev("vdc").Contents = []Content{fsOf("ext4", "55555555-0000-0000-0000-000000000001", 1)}
	want(t, Check(p, f, Live), Refuse, "source.leaves", "not empty")
	f.Dev("vdc").Contents = nil
	f.Arrays[0].Members[0].Role, f.Arrays[0].Members[1].Role = 1, 0
	want(t, Check(p, f, Live), Refuse, "source.leaves", "has slot 1 of")
}
