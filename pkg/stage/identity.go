package stage

import (
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/lvm"
	"migrate-init/pkg/plan"
)

// called lists what a filesystem or swap area of the source is called: by its own UUID and label, by its partition, by node
// and links, and by whatever named it when the plan was made.
func called(p *plan.Plan, n *plan.Node) []fstab.Spec {
	out := []fstab.Spec{{Kind: fstab.UUID, Value: n.Ref.ID()}, {Kind: fstab.Device, Value: n.Was}, {Kind: fstab.Device, Value: idLink(p, n.Was)}}
	if guid, ok := strings.CutPrefix(string(n.Lower()), "part:"); ok {
		out = append(out, fstab.Spec{Kind: fstab.PartUUID, Value: guid})
	}
	spelled := n.Also
	if n.FS != nil {
		out = append(out, fstab.Spec{Kind: fstab.Label, Value: n.FS.Label})
		spelled = append([]string{n.FS.Spec}, spelled...)
	} else if n.Swap != nil {
		spelled = append([]string{n.Swap.Spec}, spelled...)
	}
	for _, s := range spelled {
		out = append(out, fstab.ParseSpec(s))
	}
	return out
}

// sources are the filesystems and swap areas that move.
func sources(p *plan.Plan) []*plan.Node { return append(p.Source.Filesystems(), p.Source.Swaps()...) }

// oldNode is the source that a spec means, nil for none.
func oldNode(p *plan.Plan, spec fstab.Spec) *plan.Node {
	for _, n := range sources(p) {
		for _, s := range called(p, n) {
			if s.Value != "" && s.Same(spec) {
				return n
			}
		}
	}
	return nil
}

// oldContainer is the encrypted container of the source that a line of crypttab means, nil for none: by its own UUID, or by
// what it lies on. One that stays is not meant.
func oldContainer(p *plan.Plan, spec fstab.Spec) *plan.Node {
	for i := range p.Source {
		n := &p.Source[i]
		if n.LUKS == nil || p.Target.Node(n.Ref) != nil {
			continue
		}
		names := []fstab.Spec{{Kind: fstab.UUID, Value: n.Ref.ID()}}
		if low := p.Source.Node(n.Lower()); low != nil {
			names = append(names, fstab.Spec{Kind: fstab.Device, Value: low.Was}, fstab.Spec{Kind: fstab.Device, Value: idLink(p, low.Was)})
			switch {
			case low.Part != nil:
				names = append(names, fstab.Spec{Kind: fstab.PartUUID, Value: low.Ref.ID()}, fstab.Spec{Kind: fstab.PartLabel, Value: low.Part.Name})
			case low.MD != nil:
				names = append(names, fstab.Spec{Kind: fstab.Device, Value: low.MD.Path()})
			case low.LV != nil:
				names = append(names, fstab.Spec{Kind: fstab.Device, Value: low.LV.Path()}, fstab.Spec{Kind: fstab.Device, Value: "/dev/mapper/" + lvm.MapperName(low.LV.Group, low.LV.Name)})
			}
		}
		for _, s := range names {
			if s.Value != "" && s.Same(spec) {
				return n
			}
		}
	}
	return nil
}

// oldIdentity finds a name of the old system in a text of any syntax, "" when there is none.
func oldIdentity(p *plan.Plan, b []byte) string {
	text := fstab.TextOf(b)
	for _, n := range sources(p) {
		for _, s := range called(p, n) {
			if !text.Mentions(s) {
				continue
			}
			if s.Kind == fstab.Label || s.Kind == fstab.PartLabel {
				return s.String()
			}
			return s.Value
		}
	}
	return ""
}

// idLink is the link in /dev/disk/by-id of a partition of the old disk, by the one of that disk which the plan knows.
func idLink(p *plan.Plan, dev string) string {
	for _, d := range p.Source.Disks() {
		number, ok := strings.CutPrefix(dev, d.Was)
		if !ok || d.Disk.ByID == "" || d.Was == "" {
			continue
		}
		if number = strings.TrimPrefix(number, "p"); number != "" && strings.Trim(number, "0123456789") == "" {
			return d.Disk.ByID + "-part" + number
		}
	}
	return ""
}
