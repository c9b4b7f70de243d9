package md

import (
	"strings"
	"testing"
)

// made returns the members of a new array as the kernel leaves them while it runs:
// clean, all at the same event count.
func made(t *testing.T, v Version, level, disks int, events uint64) []Member {
	t.Helper()
	spec := testSpec(v, level, disks, 0, false)
	spec.AssumeClean = true
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	var out []Member
	for i, im := range images {
		im.Super.Events = events
		im.Super.Roles = append([]Role(nil), im.Super.Roles...)
		out = append(out, Member{Device: "vd" + string(rune('a'+i)), Super: im.Super})
	}
	return out
}

// alone lets members continue without the devices whose numbers are in lost.
func alone(ms []Member, events uint64, lost ...int) []Member {
	for i := range ms {
		ms[i].Super.Events = events
		for _, l := range lost {
			ms[i].Super.Roles[l] = RoleFaulty
		}
	}
	return ms
}

func TestStartable(t *testing.T) {
	all := Policy{NewlyDegraded: true, DirtyDegraded: true, Diverged: true, Reshaping: true}
	newly := Policy{NewlyDegraded: true}
	for _, v := range []Version{V12, V090} {
		two := func() []Member { return made(t, v, 1, 2, 50) }
		with := func(ms []Member, change func([]Member)) []Member { change(ms); return ms }
		for name, c := range map[string]struct {
			members []Member
			policy  Policy
			start   bool
			words   string
			use     int
		}{
			"healthy":                   {two(), Policy{}, true, "[UU]: complete", 2},
			"one behind is fresh":       {with(two(), func(m []Member) { m[1].Super.Events-- }), Policy{}, true, "complete", 2},
			"recorded missing":          {alone(two()[:1], 70, 1), Policy{}, true, "[U_]: degraded as recorded", 1},
			"newly degraded":            {two()[1:], Policy{}, false, "slot 0 was active when the array last ran (event count 50 by vdb)", 0},
			"newly degraded, allowed":   {two()[1:], newly, true, "newly degraded", 1},
			"stale member left":         {append(alone(two()[:1], 70, 1), two()[1]), Policy{}, true, "left out: vdb (event count 50, the array is at 70 according to vda)", 1},
			"stale by table":            {append(alone(two()[:1], 51, 1), two()[1]), Policy{}, true, "left out: vdb (calls itself active device 1", 1},
			"lone, behind the journal":  {two()[1:], Policy{NewlyDegraded: true, KnownEvents: 70}, false, "all members found are stale: event count 50 by vdb, known to have reached 70", 0},
			"lone, one behind":          {two()[1:], Policy{NewlyDegraded: true, KnownEvents: 51}, false, "known to have reached 51", 0},
			"lone, as known":            {two()[1:], Policy{NewlyDegraded: true, KnownEvents: 50}, true, "newly degraded", 1},
			"faulty by its own table":   {with(two(), func(m []Member) { m[1].Super.Roles[1] = RoleFaulty }), Policy{NewlyDegraded: true}, true, "vdb (calls itself faulty)", 1},
			"split brain":               {append(alone(two()[:1], 70, 1), alone(two()[1:], 60, 0)...), newly, false, "each ran without the other (event counts 70 and 60)", 0},
			"split brain, equal counts": {append(alone(two()[:1], 70, 1), alone(two()[1:], 70, 0)...), newly, false, "each ran without the other", 0},
			"split brain, chosen":       {append(alone(two()[:1], 70, 1), alone(two()[1:], 60, 0)...), all, true, "degraded as recorded", 1},
			"one slot twice":            {append(two(), Member{"copy", two()[1].Super}), all, false, "both claim to be active device 1", 0},
			"another geometry": {with(two(), func(m []Member) { m[1].Super.Level = 5 }), all, false,
				"share the UUID but not the geometry", 0},
			"nothing": {nil, all, false, "no member with complete data among 0", 0},
		} {
			t.Run(string(v)+"/"+name, func(t *testing.T) {
				d := Set{UUID: testUUID(1), Members: c.members}.Startable(c.policy)
				if d.Start != c.start || !strings.Contains(d.Reason, c.words) || len(d.Use) != c.use {
					t.Errorf("start %v, %d members: %s", d.Start, len(d.Use), d.Reason)
				}
			})
		}
	}
}

func TestStartableWhileRebuilding(t *testing.T) {
	ms := made(t, V12, 1, 2, 50)
	ms[1].Super.Features |= FeatureRecoveryOffset
	ms[1].Super.RecoveryOffset = 4096
	d := Set{Members: ms}.Startable(Policy{})
	if !d.Start || d.Degraded != 1 || d.NewlyDegraded || len(d.Use) != 2 || d.Use[0].Device != "vda" {
		t.Errorf("%+v", d)
	}
	d = Set{Members: ms[1:]}.Startable(Policy{NewlyDegraded: true, DirtyDegraded: true})
	if d.Start || !strings.Contains(d.Reason, "rebuilt up to sector 4096 only") {
		t.Errorf("half a mirror alone: %+v", d)
	}
}

func TestStartableParity(t *testing.T) {
	for _, c := range []struct {
		level, disks, lost int
		dirty              bool
		features           Feature
		policy             Policy
		start              bool
	}{
		{5, 3, 0, true, 0, Policy{}, true},
		{5, 3, 1, false, 0, Policy{}, true},
		{5, 3, 1, true, 0, Policy{}, false},
		{5, 3, 1, true, 0, Policy{DirtyDegraded: true}, true},
		{5, 3, 1, true, FeaturePPL, Policy{}, true},
		{5, 3, 2, false, 0, Policy{}, false},
		{6, 4, 2, false, 0, Policy{}, true},
		{6, 4, 1, true, 0, Policy{}, false},
		{6, 4, 3, false, 0, Policy{}, false},
		{4, 3, 1, false, 0, Policy{}, true},
		{0, 2, 0, false, 0, Policy{}, true},
		{0, 2, 1, false, 0, Policy{NewlyDegraded: true}, false},
		{10, 4, 1, true, 0, Policy{}, true},
		{10, 4, 2, false, 0, Policy{}, false}, // 2 and 3 are one mirror
		{5, 3, 0, false, FeatureJournal, Policy{}, false},
		{5, 3, 0, false, FeatureReshape, Policy{}, false},
		{1, 2, 0, false, FeatureClustered, Policy{}, false},
	} {
		ms := made(t, V12, c.level, c.disks, 9)
		var lost []int
		for i := range c.lost {
			lost = append(lost, c.disks-1-i)
		}
		ms = alone(ms[:c.disks-c.lost], 9, lost...)
		for i := range ms {
			ms[i].Super.Features |= c.features
			if c.dirty {
				ms[i].Super.ResyncOffset = 0
			}
		}
		if d := (Set{Members: ms}).Startable(c.policy); d.Start != c.start || d.Start && (d.Degraded != c.lost || d.Dirty != c.dirty) {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

func TestEnoughRaid10(t *testing.T) {
	for _, c := range []struct {
		layout  uint32
		present string
		want    bool
	}{
		{0x102, "U_U_", true}, {0x102, "UU__", false}, {0x102, "_UU_", true},
		{0x201, "U_U_", true}, {0x201, "UU__", false}, {0x201, "_UU_", false}, // far=2: neighbours, round the corner
		{0x10201, "U_U_", true}, {0x10201, "U__U", false}, // offset=2
		{0x102, "U_U", true}, {0x102, "U__", false}, // near=2 on three disks
		{0x103, "U__U__", true}, {0x103, "U_____", false},
		{0x40201, "U_U_", true}, {0x40201, "UU__", false}, // improved far: pairs within sets of two
	} {
		var p []bool
		for _, r := range c.present {
			p = append(p, r == 'U')
		}
		if got, err := enough(10, c.layout, p); err != nil || got != c.want {
			t.Errorf("%#x %s: %v, %v", c.layout, c.present, got, err)
		}
	}
	for _, layout := range []uint32{0, 0x100, 0x101, 0x302, 0xffffffff, 0x80102} {
		if _, err := enough(10, layout, make([]bool, 4)); err == nil {
			t.Errorf("layout %#x: no error", layout)
		}
	}
}

func TestGroup(t *testing.T) {
	a, b := made(t, V12, 1, 2, 5), made(t, V10, 1, 2, 6)
	for i := range b {
		b[i].Super.UUID = testUUID(0)
	}
	sets := Group([]Member{a[1], b[0], a[0], b[1]})
	if len(sets) != 2 || sets[0].UUID != testUUID(0) || sets[1].Members[0].Device != "vda" || len(sets[1].Members) != 2 {
		t.Errorf("%+v", sets)
	}
}
