package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// sound refuses a plan with holes that stages would fall into: a seal says only that nobody edited it.
func (p *Plan) sound() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("plan %s: %s; make a new one with `migrate-init plan`", p.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case len(p.Stages) == 0:
		return bad("no stages")
	case len(p.Source.Disks) == 0, len(p.Source.Filesystems) == 0:
		return bad("no source disk or no source filesystem")
	case len(p.Target.Disks) == 0:
		return bad("no target disk")
	case len(p.Target.Mirrors) > 0 && len(p.Target.Mirrors) != len(p.Source.Disks):
		return bad("%d mirrors for %d old disks", len(p.Target.Mirrors), len(p.Source.Disks))
	case p.FindFS(p.Boot.Root) == nil:
		return bad("root %q: none of its filesystems", p.Boot.Root)
	}
	disks := slices.Concat(p.Target.Disks, p.Target.Mirrors)
	for i := range disks {
		if what := disks[i].unsound(); what != "" {
			return bad("target disk %s: %s", disks[i].Key, what)
		}
	}
	if !slices.ContainsFunc(p.Target.Disks, func(t TargetDisk) bool {
		return slices.ContainsFunc(t.Partitions, func(n NewPart) bool { return p.Journal == Ref("part:"+n.GUID) })
	}) {
		return bad("journal %q: none of its new partitions", p.Journal)
	}
	for _, a := range p.Target.Arrays {
		if a.Devices < 1 || len(a.Members) != a.Devices || len(a.MemberUUIDs) != a.Devices || !slices.ContainsFunc(a.Members, func(r Ref) bool { return r != "" }) {
			return bad("array %s: %d devices, %d members, %d member identities", a.UUID, a.Devices, len(a.Members), len(a.MemberUUIDs))
		}
	}
	for _, c := range p.Copies {
		if p.FindSource(c.From) == nil || p.FindFS(c.To) == nil {
			return bad("copy %s to %s: not a pair of its filesystems", c.From, c.To)
		}
	}
	if id, twice := p.repeated(); twice {
		return bad("identity %q: two things have it, or it is missing", id)
	}
	return nil
}

// unsound tells what is impossible in a disk's layout, "" for nothing.
func (t *TargetDisk) unsound() string {
	if t.Sector < 512 || t.Sector > mib || t.Sector&(t.Sector-1) != 0 {
		return fmt.Sprintf("sectors of %d bytes", t.Sector)
	}
	if len(t.Partitions) == 0 {
		return "no partitions"
	}
	var end int64
	for _, n := range slices.SortedFunc(slices.Values(t.Partitions), func(a, b NewPart) int { return cmp.Compare(a.Start, b.Start) }) {
		if n.Start <= 0 || n.Size <= 0 || n.Start > math.MaxInt64-n.Size {
			return fmt.Sprintf("partition %d starts at byte %d and has %d", n.Number, n.Start, n.Size)
		}
		if n.Start < end {
			return fmt.Sprintf("partition %d starts at byte %d, where another has not ended", n.Number, n.Start)
		}
		end = n.Start + n.Size
	}
	return ""
}

// repeated gives an identity that the plan means to write twice, which would make what carries it ambiguous for ever.
// Every copy, too, has its source and its target for itself.
func (p *Plan) repeated() (id string, twice bool) {
	var ids []string
	for _, t := range slices.Concat(p.Target.Disks, p.Target.Mirrors) {
		ids = append(ids, t.TableID)
		for _, n := range t.Partitions {
			ids = append(ids, n.GUID)
		}
	}
	for _, a := range p.Target.Arrays {
		ids = append(append(ids, a.UUID), a.MemberUUIDs...)
	}
	for _, n := range p.Target.Filesystems {
		ids = append(ids, n.UUID)
	}
	for _, n := range p.Target.Swaps {
		ids = append(ids, n.UUID)
	}
	for _, c := range p.Copies {
		ids = append(ids, "copy from "+c.From, "copy to "+c.To)
	}
	for _, s := range p.Source.Filesystems {
		if s.UUID != "" {
			ids = append(ids, s.UUID)
		}
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if id = strings.ToLower(id); id == "" || seen[id] {
			return id, true
		}
		seen[id] = true
	}
	return "", false
}
