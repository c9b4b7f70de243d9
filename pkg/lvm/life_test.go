package lvm

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestJudgeRing writes many texts into a small ring, until some have wrapped around its end.
func TestJudgeRing(t *testing.T) {
	l := newLab(t, 1, 64*mib)
	l.lvm("pvcreate", "--metadatasize", "32k", "--dataalignment", "32k", "--metadatacopies", "2", "@0")
	l.lvm("vgcreate", "--physicalextentsize", "64k", "ring", "@0")
	for i := range 9 {
		l.lvm("lvcreate", "-an", "-Zn", "-Wn", "-l", "1", "-n", fmt.Sprintf("volume%d", i), "ring")
	}
	wrapped := 0
	for i := range 20 {
		names := []string{fmt.Sprintf("volume%d", i/2%9), "other"}
		l.lvm("lvrename", "ring", names[i%2], names[1-i%2])
		d := l.scan()[0]
		if vg := d.VG(); d.Err() != nil || vg == nil || vg.Seqno != int64(11+i) {
			t.Fatalf("rename %d: %v, %+v", i, d.Err(), vg)
		}
		wrapped += l.wrapped(0, d)
	}
	if wrapped < 2 {
		t.Errorf("%d texts went over the end of the ring, want 2 to judge by", wrapped)
	}
	judge(t, l)
}

// wrapped counts the texts of a device that continue at the start of their ring.
func (l *lab) wrapped(i int, d Device) int {
	l.t.Helper()
	f, err := os.Open(l.files[i])
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for _, a := range d.Label.Metadata {
		length, slots, err := readMDA(f, a.Offset, d.Size)
		if err != nil {
			l.t.Fatal(err)
		}
		if slots[0].offset+slots[0].size > length {
			n++
		}
	}
	return n
}

// TestJudgeMissing takes devices away, lets LVM change the group, and brings them back.
func TestJudgeMissing(t *testing.T) {
	l := newLab(t, 3, 64*mib)
	l.lvm("pvcreate", "@0", "@1", "@2")
	l.lvm("vgcreate", "vg", "@0", "@1", "@2")
	for i, on := range []string{"@0", "@1", "@0", "@1"} {
		l.lvm("lvcreate", "-an", "-Zn", "-Wn", "-L", "8m", "-n", fmt.Sprintf("lv%d", i), "vg", on)
	}
	l.lvm("lvcreate", "-an", "-Zn", "-Wn", "-L", "16m", "-i", "2", "-n", "striped", "vg", "@0", "@1")
	judge(t, l)
	one := func(hide ...string) Group {
		t.Helper()
		groups, strays := Assemble(l.scan(hide...))
		if len(groups) != 1 || len(strays) > 0 {
			t.Fatalf("groups %+v, strays %+v", groups, strays)
		}
		return groups[0]
	}
	if g := one(); g.Refused != nil || len(g.Missing) > 0 || g.Read("striped").Refused != nil || len(g.From) != 3 {
		t.Errorf("whole: %+v", g)
	}
	// Absent: what is on it cannot be read, the rest can.
	judge(t, l, l.loops[1])
	g := one(l.loops[1])
	for lv, want := range map[string]string{"lv0": "", "lv1": "partly on the missing PV", "striped": "partly on the missing PV"} {
		refused(t, g.Read(lv), want)
	}
	// Absent while the group was changed: LVM marks it, and it stays missing when it returns with its old text.
	l.without(l.loops[1:2], "lvremove", "-y", "vg/lv2")
	judge(t, l)
	if g = one(); len(g.Missing) != 1 || !slices.Equal(g.Stale, l.loops[1:2]) || len(g.From) != 2 {
		t.Errorf("back: missing %v, stale %v, from %v", g.Missing, g.Stale, g.From)
	}
	refused(t, g.Read("lv1"), "partly on the missing PV")
	l.lvm("vgextend", "--restoremissing", "vg", "@1")
	judge(t, l)
	refused(t, one().Read("lv1"), "")

	// Two devices that were each changed without the other have two texts with one seqno.
	copies := [][]byte{l.image(0), l.image(1), l.image(2)}
	l.without(l.loops[1:2], "lvremove", "-y", "vg/lv0")
	left := l.image(0)
	for i, b := range copies {
		l.put(i, b)
	}
	l.without(l.loops[0:1], "lvremove", "-y", "vg/lv3")
	l.put(0, left)
	if g = one(); g.Refused == nil || !strings.Contains(g.Refused.Detail, "two different texts") {
		t.Errorf("two texts: %+v", g.Refused)
	}
	refused(t, g.Read("lv1"), "two different texts")

	// Removed from the group while it was absent: it is in no group.
	for i, b := range copies {
		l.put(i, b)
	}
	l.without(l.loops[1:2], "vgreduce", "--removemissing", "--force", "vg")
	groups, strays := Assemble(l.scan())
	if len(groups) != 1 || len(groups[0].VG.PVs) != 2 || len(strays) != 1 || strays[0].Device != l.loops[1] || !strings.Contains(strays[0].Why, "does not list it") {
		t.Errorf("removed: %+v, %+v", groups, strays)
	}
}

// put restores the beginning of a device.
func (l *lab) put(i int, b []byte) {
	l.t.Helper()
	f, err := os.OpenFile(l.loops[i], os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		l.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		l.t.Fatal(err)
	}
}

func refused(t *testing.T, r Reading, want string) {
	t.Helper()
	switch {
	case want == "" && r.Refused != nil:
		t.Errorf("refused: %v", r.Refused)
	case want != "" && (r.Refused == nil || !strings.Contains(r.Refused.Detail, want)):
		t.Errorf("refusal %v, want %q", r.Refused, want)
	case r.Refused != nil && r.Refused.Fix == "":
		t.Errorf("refusal without a fix: %v", r.Refused)
	}
}

// TestJudgeNames: two groups with one name, a renamed and an exported one, and a copy of a PV.
func TestJudgeNames(t *testing.T) {
	l := newLab(t, 4, 64*mib)
	for i := range 3 {
		dev := fmt.Sprintf("@%d", i)
		l.lvm("pvcreate", dev)
		l.without(append(slices.Clone(l.loops[:i]), l.loops[i+1:]...), "vgcreate", "twin", dev)
	}
	groups, strays := Assemble(l.scan(l.loops[3]))
	if len(groups) != 3 || len(strays) > 0 {
		t.Fatalf("%+v, %+v", groups, strays)
	}
	if _, err := Named(groups, "twin"); err == nil || !strings.Contains(err.Error(), groups[1].VG.ID.String()) || !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("three twins: %v", err)
	}
	l.lvm("vgrename", groups[0].VG.ID.String(), "first")
	l.lvm("vgrename", groups[1].VG.ID.String(), "second")
	l.lvm("vgexport", "second")
	l.put(3, l.image(0))
	groups, _ = Assemble(l.scan(l.loops[3]))
	judge(t, l, l.loops[3])
	if g, err := Named(groups, "first"); err != nil || g.Refused != nil || g.VG.ID != groups[0].VG.ID {
		t.Errorf("renamed: %+v, %v", g, err)
	}
	if g, err := Named(groups, "second"); err != nil || g.Refused == nil || g.Refused.Detail != "it is exported" {
		t.Errorf("exported: %+v, %v", g.Refused, err)
	}
	if _, err := Named(groups, "third"); err == nil {
		t.Error("a name that no group has")
	}
	groups, _ = Assemble(l.scan())
	if g, err := Named(groups, "first"); err != nil || g.Refused == nil || !strings.Contains(g.Refused.Detail, "is on "+l.loops[0]+" and on "+l.loops[3]) {
		t.Errorf("a copy: %+v, %v", g.Refused, err)
	}
}
