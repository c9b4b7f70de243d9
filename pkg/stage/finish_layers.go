package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"migrate-init/pkg/plan"
)

// tableID is the identity of a disk's partition table, "" for none.
func tableID(d *plan.Device) string {
	if d.Table == nil {
		return ""
	}
	return d.Table.ID
}

// inUse lists what keeps an old disk from being given another table. Layers that only run on it, as the new system's udev may
// have started them, do not: they are stopped first.
func inUse(f *plan.Facts, d *plan.Device) []*plan.Device {
	layers, ends := f.RunningOn(d)
	runs := map[string]bool{}
	var devices []*plan.Device
	for _, l := range layers {
		if l.Device != nil {
			runs[l.Device.Name] = true
			devices = append(devices, l.Device)
		}
	}
	devices = slices.Concat(f.Parts(d.Name), []*plan.Device{d}, devices, ends)
	var out []*plan.Device
	for i, x := range devices {
		held := slices.ContainsFunc(x.Holders, func(h string) bool { return !runs[h] })
		if (len(x.MountedAt) > 0 || x.Swapping || held) && !slices.Contains(devices[:i], x) {
			out = append(out, x)
		}
	}
	return out
}

// unknownContents lists what an old disk carries that the plan knows nothing of. It was not there when the plan was made, for
// then it would have been moved, left by --leave, or refused; swap and an idle ESP are let pass, as they were.
func unknownContents(p *plan.Plan, f *plan.Facts, d *plan.Device) []string {
	var out []string
	role := map[int]string{}
	if d.Table != nil {
		for _, t := range d.Table.Partitions {
			role[t.Number] = t.Role
		}
	}
	_, ends := f.RunningOn(d)
	for _, x := range ends {
		if r := role[x.Number]; x.Parent == d.Name && (r == plan.RoleBIOSGrub || r == plan.RoleESP) || p.Dropped(f, x) {
			continue
		}
		for _, c := range x.Contents {
			if !knownContent(p, f, x, c) {
				out = append(out, strings.Join(strings.Fields(x.Path+" carries "+c.Type+" "+c.Label+" "+c.UUID), " "))
			}
		}
	}
	return out
}

// knownContent reports whether a signature is nothing that could be lost, or one of the plan's sources.
func knownContent(p *plan.Plan, f *plan.Facts, x *plan.Device, c plan.Content) bool {
	if c.Ghost {
		return true
	}
	node := func(kind string) bool { return p.Source.Node(plan.Ref(kind+":"+c.UUID)) != nil }
	switch c.Kind {
	case plan.ContentFS:
		return node("fs")
	case plan.ContentRaid:
		return slices.ContainsFunc(f.Arrays, func(a plan.Array) bool {
			return p.Source.Node(plan.Ref("md:"+a.UUID)) != nil && slices.ContainsFunc(a.Members, func(m plan.Member) bool { return m.Device == x.Name })
		})
	case plan.ContentLUKS:
		return node("luks")
	case plan.ContentLVM:
		return slices.ContainsFunc(p.Source, func(n plan.Node) bool {
			return n.VG != nil && slices.ContainsFunc(n.VG.PVs, func(pv string) bool { return strings.EqualFold(pv, c.UUID) })
		})
	case plan.ContentZFS:
		return false
	}
	return true
}

// stopped reports whether a source lies on layers that do not run, so that it cannot be looked at.
func stopped(p *plan.Plan, f *plan.Facts, s *plan.Node) bool {
	low := p.Source.Node(s.Lower())
	return low != nil && low.Disk == nil && (low.Part == nil || p.Source.Node(low.Lower()) != nil && p.Source.Node(low.Lower()).Disk == nil) &&
		!slices.ContainsFunc(p.Source.DisksUnder(s.Ref), func(n *plan.Node) bool { d, err := f.Disk(n); return d == nil || err != nil })
}

// stale says why a source on layers that do not run may have changed since it was copied; nothing where it has not. An array
// tells by its superblocks; what else there is has to run.
func stale(p *plan.Plan, f *plan.Facts, rs Records, s *plan.Node) plan.Findings {
	var out plan.Findings
	refuse := func(subject, fix, format string, args ...any) {
		out = append(out, plan.Finding{Severity: plan.Refuse, Subject: subject, Fix: fix, Detail: fmt.Sprintf(format, args...)})
	}
	for _, n := range p.Source.Under(s.Ref) {
		switch a := f.Array(n.Ref.ID()); {
		case n.Disk != nil || n.Part != nil:
		case n.MD == nil && (n.VG != nil || runs(p, f, n) || len(out) > 0): // a group is as present as its volumes; one reason is enough
		case n.MD == nil:
			refuse("old "+n.Called(), startCommand(p, n)+"; or pass --discard-changes", "it does not run, so it is not known whether what is on it changed since it was copied")
		case a == nil:
			refuse("old array "+n.Ref.ID(), "copy what you want to keep of it, then pass --discard-changes", "its members are no longer on the old disks")
		case rs.Fact(arrayStamp(n.Ref.ID())) != a.Stamp():
			refuse("old array "+n.Was, "start it and copy what is new, or pass --discard-changes", "it was written to since it was copied: then %s, now %s", orDash(rs.Fact(arrayStamp(n.Ref.ID()))), a.Stamp())
		}
	}
	return out
}

// runs reports whether a node has a device now.
func runs(p *plan.Plan, f *plan.Facts, n *plan.Node) bool {
	d, err := f.Volume(p, n.Ref)
	return err == nil && d != nil
}

// startCommand is what starts a layer of the old system, so that it can be looked at.
func startCommand(p *plan.Plan, n *plan.Node) string {
	low := p.Source.Node(n.Lower())
	switch {
	case n.LUKS != nil && low != nil:
		return fmt.Sprintf("open it: cryptsetup open --readonly %s %s", low.Was, n.LUKS.Name)
	case n.LV != nil:
		return "activate it: lvchange -ay " + n.LV.Group + "/" + n.LV.Name
	}
	return "start it"
}

// releaseLayers stops what runs on an old disk, the highest first: the new system's udev may have assembled an old array, or
// activated a volume group, and the kernel does not read the table of a disk again while something on it is in use.
func (e *Env) releaseLayers(ctx context.Context, d *plan.Device) error {
	if used := inUse(e.Facts, d); len(used) > 0 {
		x := used[0]
		return fmt.Errorf("old disk %s: %s is in use: %s; unmount or stop it, then run `migrate-init finish` again", d.Path, x.Path, strings.Join(append(x.MountedAt, x.Holders...), ", "))
	}
	layers, _ := e.Facts.RunningOn(d)
	some := false
	for _, l := range layers {
		if l.Device == nil {
			continue
		}
		k := kindOf(l.Node)
		if k.stop == nil {
			return fmt.Errorf("old disk %s: nothing can stop %s, which runs on it", d.Path, l.Device.Path)
		}
		e.tell(repartition, "stop %s, of the old system", l.Device.Path)
		if err := k.stop(ctx, e, l.Device.Path); err != nil {
			return fmt.Errorf("old disk %s: %s: %w", d.Path, l.Device.Path, err)
		}
		some = true
	}
	if !some {
		return nil
	}
	return e.refresh(ctx)
}
