package stage

import (
	"context"
	"slices"
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/plan"
)

// commentOutOldLines makes comments of the lines of fstab and crypttab that mean a partition of a disk which is about to lose it, or what lies on one:
// one that was left behind, or that someone mounted to look at the old system. A line without nofail would end the next
// boot in emergency mode.
func (e *Env) commentOutOldLines(ctx context.Context, d *plan.Device) error {
	const why = "migrate-init finish: its partition was on the old disk, which is in the new arrays now"
	root, err := e.Inside("/")
	if err != nil {
		return err
	}
	r := &rewriter{p: e.Plan, root: root, dir: "/"}
	mapped := map[string]bool{}
	if err := r.edit("/etc/crypttab", func(b []byte) ([]byte, error) {
		t, err := fstab.ParseCrypttab(b)
		if err != nil {
			return nil, err
		}
		for _, x := range t.Entries() {
			if r.means(x.Source, e.Facts, d) {
				mapped["/dev/mapper/"+x.Name] = true
				if err := t.CommentOut(x.Line, why); err != nil {
					return nil, err
				}
			}
		}
		return t.Bytes(), nil
	}); err != nil {
		return err
	}
	if err := r.edit("/etc/fstab", func(b []byte) ([]byte, error) {
		t, err := fstab.Parse(b)
		if err != nil {
			return nil, err
		}
		for _, x := range t.Entries() {
			if r.means(x.Spec, e.Facts, d) || x.Spec.Kind == fstab.Device && mapped[x.Spec.Value] {
				if err := t.CommentOut(x.Line, why); err != nil {
					return nil, err
				}
			}
		}
		return t.Bytes(), nil
	}); err != nil {
		return err
	}
	return e.do(ctx, r.out...)
}

// means reports whether a spec names a partition of a disk, and nothing else.
func (r *rewriter) means(spec fstab.Spec, f *plan.Facts, disk *plan.Device) bool {
	node := ""
	if spec.Kind == fstab.Device {
		// A path that cannot be followed is not one of udev's links.
		node, _ = throughLinks(r.root, spec.Value)
	}
	spec = spec.Meaning()
	here, elsewhere := false, false
	layers, _ := f.RunningOn(disk)
	for i := range f.Devices {
		x := &f.Devices[i]
		if !named(spec, node, f, x) {
			continue
		}
		on := slices.ContainsFunc(layers, func(l plan.Running) bool { return l.Device == x })
		if on || x.Kind == plan.KindPart && x.Parent == disk.Name {
			here = true
		} else {
			elsewhere = true
		}
	}
	return here && !elsewhere
}

func named(spec fstab.Spec, node string, f *plan.Facts, x *plan.Device) bool {
	if node != "" && x.Path == node {
		return true
	}
	switch spec.Kind {
	case fstab.Device:
		return x.Path == spec.Value
	case fstab.PartUUID:
		return x.GUID != "" && strings.EqualFold(x.GUID, spec.Value)
	case fstab.PartLabel:
		d := f.Dev(x.Parent)
		return x.Kind == plan.KindPart && d != nil && d.Table != nil && slices.ContainsFunc(d.Table.Partitions, func(p plan.Partition) bool {
			return p.Number == x.Number && p.Name != "" && spec.Same(fstab.Spec{Kind: fstab.PartLabel, Value: p.Name})
		})
	case fstab.UUID, fstab.Label:
		return slices.ContainsFunc(x.Contents, func(c plan.Content) bool {
			return !c.Ghost && (c.Label != "" && spec.Same(fstab.Spec{Kind: fstab.Label, Value: c.Label}) || c.UUID != "" && spec.Same(fstab.Spec{Kind: fstab.UUID, Value: c.UUID}))
		})
	}
	return false
}
