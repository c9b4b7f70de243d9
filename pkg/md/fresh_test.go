package md

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// A power cut between the superblock writes of two members, and a start without the other one, end at the same count.
func TestEqualCountsDoNotHideALoneRun(t *testing.T) {
	for _, v := range []Version{V12, V090} {
		for _, gone := range []Role{RoleFaulty, RoleSpare} { // older and newer kernels record an absent device differently
			ms := made(t, v, 1, 2, 71)
			ms[1].Super.Roles[0] = gone
			for _, order := range [][]Member{{ms[0], ms[1]}, {ms[1], ms[0]}} {
				d := Set{Members: order}.Startable(Policy{})
				if !d.Start || len(d.Use) != 1 || d.Use[0].Device != "vdb" || len(d.Leave) != 1 {
					t.Errorf("%s, %s: %+v", v, gone, d)
				}
			}
		}
	}
}

// The kernel takes roles from the freshest superblock: it would treat a spare that does not know its role as complete.
func TestSpareThatTheArrayHasActivated(t *testing.T) {
	spec := testSpec(V12, 1, 2, 1, false)
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	old := images[0].Super
	s, _, err := Join(old, JoinSpec{Size: spec.Members[1].Size, DeviceUUID: testUUID(9), Time: spec.CTime})
	if err != nil {
		t.Fatal(err)
	}
	now := old
	now.Events = 8
	now.Roles = slices.Clone(old.Roles)
	now.Roles[s.DevNumber] = 1
	for _, events := range []uint64{0, 7} {
		s.Events = events
		d := Set{Members: []Member{{"old", now}, {"new", s}}}.Startable(Policy{NewlyDegraded: true})
		if !d.Start || len(d.Use) != 1 || d.Use[0].Device != "old" || !strings.Contains(d.Reason, "its contents are not known") {
			t.Errorf("at %d: %+v", events, d)
		}
		if d := (Set{Members: []Member{{"old", now}, {"new", s}}}).Startable(Policy{}); d.Start {
			t.Errorf("at %d, zero policy: %+v", events, d)
		}
	}
}

// The device that a replacement replaces held the data, and is absent.
func TestReplacementDoesNotStandForItsOriginal(t *testing.T) {
	ms := made(t, V12, 1, 2, 9)
	ms[1].Super.Features |= FeatureReplacement | FeatureRecoveryOffset
	ms[1].Super.RecoveryOffset = 8
	d := Set{Members: ms}.Startable(Policy{})
	if d.Start || !d.NewlyDegraded || !strings.Contains(d.Reason, "slot 1 was active") {
		t.Errorf("%+v", d)
	}
}

func TestEventCountsWrapAround(t *testing.T) {
	ms := made(t, V12, 1, 2, math.MaxUint64)
	if d := (Set{Members: ms}).Startable(Policy{}); !d.Start || len(d.Use) != 2 {
		t.Errorf("equal counts: %+v", d)
	}
	ms[1].Super.Level = 5
	if d := (Set{Members: ms}).Startable(Policy{}); d.Start || !strings.Contains(d.Reason, "not the geometry") {
		t.Errorf("two geometries at one count: %+v", d)
	}
	ms = made(t, V12, 1, 2, 0)
	ms[0].Super.Events = math.MaxUint64
	if d := (Set{Members: ms}).Startable(Policy{NewlyDegraded: true}); !d.Start || len(d.Use) != 1 || d.Use[0].Device != "vda" {
		t.Errorf("0 is not next to the largest count: %+v", d)
	}
}

// One member whose superblock the reshape reached first is enough.
func TestReshapeOnAnyMember(t *testing.T) {
	for i := range 2 {
		ms := made(t, V12, 1, 2, 9)
		ms[i].Super.Features |= FeatureReshape
		if d := (Set{Members: ms}).Startable(Policy{}); d.Start || !strings.Contains(d.Reason, "reshape") {
			t.Errorf("member %d: %+v", i, d)
		}
	}
}

// The kernel starts a dirty and degraded array for a PPL, not for a journal: a clean journal leaves no resync due.
func TestJournalDoesNotExcuseAResync(t *testing.T) {
	for _, dirty := range []bool{false, true} {
		ms := alone(made(t, V12, 5, 3, 9)[:2], 9, 2)
		j := ms[0]
		j.Device, j.Super.DevNumber, j.Super.DeviceUUID = "journal", 3, testUUID(77)
		ms = append(ms, j)
		for i := range ms {
			s := &ms[i].Super
			s.Features |= FeatureJournal
			s.Roles = append(slices.Clone(s.Roles[:3]), RoleJournal)
			if dirty {
				s.ResyncOffset = 0
			}
		}
		if d := (Set{Members: ms}).Startable(Policy{}); d.Start == dirty || dirty && !strings.Contains(d.Reason, "resync due") {
			t.Errorf("dirty %v: %+v", dirty, d)
		}
	}
}
