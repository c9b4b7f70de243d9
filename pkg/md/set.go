package md

import (
	"bytes"
	"fmt"
	"sort"
)

// Member is one superblock as found on one device.
type Member struct {
	Device string // the caller's name for it
	Super  Superblock
}

// Set is all members that have one array UUID.
type Set struct {
	UUID    UUID
	Members []Member
}

// Group sorts members into arrays by UUID. It orders sets by UUID, and members by
// device number, then by the caller's order.
func Group(members []Member) []Set {
	at := map[UUID]int{}
	var out []Set
	for _, m := range members {
		i, ok := at[m.Super.UUID]
		if !ok {
			i = len(out)
			at[m.Super.UUID] = i
			out = append(out, Set{UUID: m.Super.UUID})
		}
		out[i].Members = append(out[i].Members, m)
	}
	sort.Slice(out, func(a, b int) bool { return bytes.Compare(out[a].UUID[:], out[b].UUID[:]) < 0 })
	for _, s := range out {
		sort.SliceStable(s.Members, func(a, b int) bool {
			return s.Members[a].Super.DevNumber < s.Members[b].Super.DevNumber
		})
	}
	return out
}

// Verdict is what the other members say about one of them.
type Verdict struct {
	Member Member
	Reason string
}

// Freshness sorts a set's members by their event counts and role tables.
type Freshness struct {
	Events    uint64    // the highest count
	Reference Member    // the freshest member, by which the others are judged
	Fresh     []Member  // agree with the reference and hold a slot's complete data
	Others    []Verdict // current, but without complete data: spares, rebuilding, journals
	Stale     []Verdict // behind the array: must never be started with it
	Conflicts []string  // contradictions that no event count can resolve, such as two devices in one slot
	Diverged  []string  // halves that each ran alone
}

// later reports whether to prefer a over b, two members with the same event count.
// A member whose table says that the other is gone, while the other's table still
// calls it active, continued alone: an interrupted update and a start without the
// other add up to the same count.
func later(a, b Superblock) bool {
	if a.InSync() != b.InSync() {
		return a.InSync()
	}
	return a.roleOf(b.DevNumber) != b.Role() && b.roleOf(a.DevNumber) == a.Role()
}

// Fresh picks the freshest member by event count and judges the others by it.
// A count that is one behind is still fresh, as in the kernel: a power cut between
// the superblock writes of two members has that effect. A member that the reference
// calls faulty, or lists in another role, is stale whatever its count.
func (s Set) Fresh() Freshness {
	var f Freshness
	first := true
	for _, m := range s.Members {
		if m.Super.Role() == RoleSpare && m.Super.Events == 0 {
			continue // just hot-added: the kernel has not updated its superblock yet
		}
		better := m.Super.Events > f.Events || m.Super.Events == f.Events && later(m.Super, f.Reference.Super)
		if first || better {
			f.Reference, f.Events, first = m, m.Super.Events, false
		}
	}
	if first {
		if len(s.Members) > 0 {
			f.Reference = s.Members[0]
		}
		for _, m := range s.Members {
			f.Others = append(f.Others, Verdict{m, "spare that the array has not accepted yet"})
		}
		return f
	}
	for _, m := range s.Members {
		if reason, stale := f.stale(m); stale {
			f.Stale = append(f.Stale, Verdict{m, reason})
		} else if reason, partial := incomplete(m.Super); partial {
			f.Others = append(f.Others, Verdict{m, reason})
		} else {
			f.Fresh = append(f.Fresh, m)
		}
	}
	f.Conflicts = conflicts(s, f)
	f.Diverged = f.diverged()
	return f
}

// behind reports whether an event count is more than one behind the array's.
func (f Freshness) behind(s Superblock) bool { return s.Events < f.Events && s.Events+1 < f.Events }

func (f Freshness) stale(m Member) (string, bool) {
	ref, own := f.Reference.Super, m.Super
	switch own.Role() {
	case RoleSpare:
		if r := ref.roleOf(own.DevNumber); r.Active() {
			return fmt.Sprintf("calls itself spare at event count %d, but %s, at %d, lists device number %d as %s: its contents are not known",
				own.Events, f.Reference.Device, f.Events, own.DevNumber, r), true
		}
		return "", false
	case RoleFaulty:
		return "calls itself faulty", true
	}
	if f.behind(own) {
		return fmt.Sprintf("event count %d, the array is at %d according to %s", own.Events, f.Events, f.Reference.Device), true
	}
	if r := ref.roleOf(own.DevNumber); r != own.Role() {
		return fmt.Sprintf("calls itself %s, but %s, at event count %d, lists device number %d as %s",
			own.Role(), f.Reference.Device, f.Events, own.DevNumber, r), true
	}
	return "", false
}

func incomplete(s Superblock) (string, bool) {
	switch {
	case s.Role() == RoleSpare || s.Role() == RoleFaulty:
		return s.Role().String(), true
	case s.Role() == RoleJournal:
		return "journal", true
	case s.Features.Has(FeatureReplacement):
		return fmt.Sprintf("replacement for %s", s.Role()), true
	case s.Features.Has(FeatureRecoveryOffset):
		return fmt.Sprintf("%s, rebuilt up to sector %d only", s.Role(), s.RecoveryOffset), true
	case int(s.Role()) >= s.RaidDisks:
		return fmt.Sprintf("%s of %d", s.Role(), s.RaidDisks), true
	}
	return "", false
}

// conflicts lists contradictions that no event count can resolve.
func conflicts(s Set, f Freshness) []string {
	var out []string
	ref := f.Reference.Super
	for _, m := range s.Members {
		o := m.Super
		if o.Version != ref.Version || o.Level != ref.Level || o.RaidDisks != ref.RaidDisks || o.Size != ref.Size ||
			o.Layout != ref.Layout || o.ChunkSize != ref.ChunkSize {
			if !f.behind(o) || !o.Role().Active() {
				out = append(out, fmt.Sprintf("%s (%s %s, %d disks of %d bytes) and %s (%s %s, %d disks of %d bytes) share the UUID but not the geometry",
					m.Device, o.Version, levelName(o.Level), o.RaidDisks, o.Size,
					f.Reference.Device, ref.Version, levelName(ref.Level), ref.RaidDisks, ref.Size))
			}
		}
	}
	slot := map[Role]Member{}
	for _, m := range f.Fresh {
		if other, taken := slot[m.Super.Role()]; taken {
			out = append(out, fmt.Sprintf("%s and %s both claim to be %s at event count %d",
				other.Device, m.Device, m.Super.Role(), m.Super.Events))
		}
		slot[m.Super.Role()] = m
	}
	seen := map[UUID]Member{}
	for _, m := range s.Members {
		if m.Super.Version == V090 {
			continue
		}
		if other, dup := seen[m.Super.DeviceUUID]; dup {
			out = append(out, fmt.Sprintf("%s and %s have the same device UUID %s: one is a copy of the other, or both are one device",
				other.Device, m.Device, m.Super.DeviceUUID))
		}
		seen[m.Super.DeviceUUID] = m
	}
	return out
}

// diverged lists stale members whose own tables do not call the reference active:
// each side was written without the other, so the higher event count marks the
// longer history, not the only one.
func (f Freshness) diverged() []string {
	var out []string
	ref := f.Reference.Super
	if !ref.Role().Active() {
		return nil
	}
	for _, v := range f.Stale {
		if m := v.Member.Super; m.roleOf(ref.DevNumber) != ref.Role() && ref.roleOf(m.DevNumber) != m.Role() {
			out = append(out, fmt.Sprintf("%s and %s each ran without the other (event counts %d and %d): each has data that is missing from the other",
				f.Reference.Device, v.Member.Device, f.Events, m.Events))
		}
	}
	return out
}
