package md

import (
	"fmt"
	"strings"
)

// Policy says what the caller allows besides an array that starts as it stopped.
// The zero value starts healthy arrays and those that were already degraded.
type Policy struct {
	NewlyDegraded bool // start without a member that was active when the array last ran
	DirtyDegraded bool // start RAID4/5/6 degraded with a resync due: blocks may read back wrong
	Diverged      bool // use the half with the higher event count if two halves each ran alone
	Reshaping     bool // start in the middle of a reshape
	// KnownEvents is an event count that the array is known to have reached, from a journal; 0: not known. Record it from
	// a clean superblock: a complete array adds one when writes begin and subtracts it when they end.
	KnownEvents uint64
}

// Decision is an answer with its Reason, which is for people, whether or not Start is set.
type Decision struct {
	Start         bool
	Degraded      int      // slots without a complete member
	NewlyDegraded bool     // some of them were active when the array last ran
	Dirty         bool     // a resync is due
	Use           []Member // members for the kernel: fresh ones first, then spares and those being rebuilt
	Leave         []Verdict
	Reason        string
}

// Startable decides whether the array may be started from the set's members alone.
//
// A lone member is judged by its own table. If the table calls the absent slots
// missing, the array was already degraded and starts. If it calls them active,
// they may have continued without this member: that needs Policy.NewlyDegraded.
// Whatever the policy, Startable refuses a member that KnownEvents shows to be
// behind, even by one: the update that it missed may be the one that declared it
// faulty.
func (s Set) Startable(p Policy) Decision {
	f := s.Fresh()
	d := Decision{Leave: f.Stale}
	refuse := func(format string, args ...any) Decision {
		d.Start, d.Use = false, nil
		d.Reason = fmt.Sprintf("array %s: ", s.UUID) + fmt.Sprintf(format, args...)
		return d
	}
	if len(f.Fresh) == 0 {
		return refuse("no member with complete data among %d: %s", len(s.Members), listVerdicts(append(f.Others, f.Stale...)))
	}
	ref := f.Reference.Super
	present := make([]bool, min(max(ref.RaidDisks, 0), maxRoles))
	for _, m := range f.Fresh {
		if int(m.Super.Role()) < len(present) {
			present[m.Super.Role()] = true
		}
		d.Use = append(d.Use, m)
	}
	// After a power cut only the members that were written first may have the feature.
	reshaping := ""
	for _, m := range d.Use {
		if m.Super.Features.Has(FeatureReshape) {
			reshaping = fmt.Sprintf("a reshape stopped at sector %d by %s", m.Super.Reshape.Position, m.Device)
		}
	}
	var absent, lost []string
	for slot, known := range ref.Believes() {
		if present[slot] {
			continue
		}
		d.Degraded++
		absent = append(absent, fmt.Sprint(slot))
		if known && !f.rebuilding(slot) {
			lost = append(lost, fmt.Sprint(slot))
		}
	}
	journal := false
	for _, o := range f.Others {
		d.Use = append(d.Use, o.Member)
		journal = journal || o.Member.Super.Role() == RoleJournal
	}
	d.NewlyDegraded, d.Dirty = len(lost) > 0, !ref.Clean()

	switch {
	case len(f.Conflicts) > 0:
		return refuse("ambiguous: %s", strings.Join(f.Conflicts, "; "))
	case len(f.Diverged) > 0 && !p.Diverged:
		return refuse("%s", strings.Join(f.Diverged, "; "))
	case f.Events < p.KnownEvents:
		return refuse("all members found are stale: event count %d by %s, known to have reached %d", f.Events, f.Reference.Device, p.KnownEvents)
	case ref.Features.Has(FeatureClustered):
		return refuse("clustered: it cannot start without its cluster")
	case reshaping != "" && !p.Reshaping:
		return refuse("%s", reshaping)
	case ref.Features.Has(FeatureJournal) && !journal:
		return refuse("its journal device is absent")
	}
	ok, err := enough(ref.Level, ref.Layout, present)
	if err != nil {
		return refuse("%v", err)
	}
	state := fmt.Sprintf("%s %s", levelName(ref.Level), picture(present))
	if !ok {
		return refuse("%s: too few members: without slot %s%s", state, strings.Join(absent, ", "), also(f))
	}
	parity := ref.Level == 4 || ref.Level == 5 || ref.Level == 6
	if parity && d.Dirty && d.Degraded > 0 && !ref.Features.Has(FeaturePPL|FeatureMultiplePPLs) && !p.DirtyDegraded {
		return refuse("%s: degraded with a resync due: blocks without parity may be wrong", state)
	}
	if d.NewlyDegraded && !p.NewlyDegraded {
		return refuse("%s: slot %s was active when the array last ran (event count %d by %s) and is absent now%s",
			state, strings.Join(lost, ", "), f.Events, f.Reference.Device, also(f))
	}
	d.Start = true
	switch {
	case d.Degraded == 0:
		d.Reason = fmt.Sprintf("array %s: %s: complete%s", s.UUID, state, also(f))
	case d.NewlyDegraded:
		d.Reason = fmt.Sprintf("array %s: %s: newly degraded: slot %s was active when the array last ran, allowed by policy%s",
			s.UUID, state, strings.Join(lost, ", "), also(f))
	default:
		d.Reason = fmt.Sprintf("array %s: %s: degraded as recorded%s", s.UUID, state, also(f))
	}
	return d
}

// rebuilding reports whether a slot's device is present and is being rebuilt. A
// replacement does not count: the device that it replaces held the data.
func (f Freshness) rebuilding(slot int) bool {
	for _, o := range f.Others {
		if o.Member.Super.Role() == Role(slot) && !o.Member.Super.Features.Has(FeatureReplacement) {
			return true
		}
	}
	return false
}

// also lists the members that are left out, to end a Reason.
func also(f Freshness) string {
	if len(f.Stale) == 0 {
		return ""
	}
	return "; left out: " + listVerdicts(f.Stale)
}

func listVerdicts(vs []Verdict) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Member.Device + " (" + v.Reason + ")"
	}
	return strings.Join(out, "; ")
}
