package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// cloneDisk gives an old disk the new layout.
func (e *Env) cloneDisk(ctx context.Context, m *plan.TargetDisk) error {
	d, err := e.disk("old disk", m.DiskID)
	if err != nil {
		return err
	}
	want, err := tableOf(m)
	if err != nil {
		return fmt.Errorf("old disk %s: %w", d.Path, err)
	}
	for _, x := range append(e.Facts.Parts(d.Name), d) {
		if x.ReadOnly {
			if err := e.do(ctx, machine.SetReadOnly{Dev: x.Path, On: false}); err != nil {
				return err
			}
		}
	}
	var parts []machine.Extent
	for _, p := range want.Partitions {
		parts = append(parts, machine.Extent{Number: p.Number, Start: p.Start, Size: p.Size})
	}
	if !alike(d.Table, want) {
		if !e.records.Begun(cloneBegun) {
			if err := e.switchBootSector(ctx, d, want); err != nil {
				return err
			}
			if err := e.Record(ctx, Record{Stage: cloneBegun, Event: Begin, Text: d.Path}); err != nil {
				return err
			}
		}
		e.tell("finish", "partition table %s on %s", want.ID, d.Path)
		if err := e.retable(ctx, d, want); err != nil {
			return err
		}
	} else if damage := e.tableWhole(d, want); damage != nil {
		// The power failed while it was written. What was on the disk before was wiped by then, and what is on it now stays.
		e.tell("finish", "%v; it is written again", damage)
		if err := e.rewriteTable(ctx, d, want); err != nil {
			return err
		}
	}
	if err := e.do(ctx, machine.Partitions{Dev: d.Path, Parts: parts}); err != nil {
		return err
	}
	return e.refresh(ctx)
}

// tableWhole says what is wrong with a table on a disk that is the planned one by its better copy. At the next boot the
// kernel looks at the first copy alone: a disk where that one is damaged has no partitions then.
func (e *Env) tableWhole(d *plan.Device, want gpt.Table) error {
	r, err := e.Open(d.Path)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	defer r.Close()
	t, err := gpt.Read(r, d.Size, int(d.Sector))
	switch {
	case err != nil:
		return fmt.Errorf("disk %s: partition table: %w", d.Path, err)
	case !strings.EqualFold(t.ID, want.ID):
		return fmt.Errorf("disk %s: partition table is %s, planned %s", d.Path, t.ID, want.ID)
	case len(t.Damage) > 0:
		return fmt.Errorf("disk %s: partition table is damaged: %s", d.Path, t.Damage[0])
	}
	return nil
}

// proveTable shows that the next boot's kernel finds the planned partitions of a disk.
func (e *Env) proveTable(t plan.TargetDisk) error {
	d, err := e.disk("disk", t.DiskID)
	if err != nil {
		return err
	}
	want, err := tableOf(&t)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	return e.tableWhole(d, want)
}

// retable wipes what an old disk's partitions hold and gives it the new table; the boot sector's code stays.
func (e *Env) retable(ctx context.Context, d *plan.Device, want gpt.Table) error {
	if err := e.forget(ctx, d); err != nil {
		return err
	}
	for _, p := range e.Facts.Parts(d.Name) {
		if err := e.wipe(ctx, p); err != nil {
			return err
		}
	}
	return e.rewriteTable(ctx, d, want)
}

func (e *Env) rewriteTable(ctx context.Context, d *plan.Device, want gpt.Table) error {
	lba0, err := e.readAt(d.Path, 0, int(d.Sector))
	if err != nil {
		return err
	}
	return e.writeTable(ctx, d, want, lba0)
}

// forget makes comments of the lines of fstab and crypttab that mean a partition of a disk which is about to lose it:
// one that was left behind, or that somebody mounted to look at the old system. A line without nofail would end the next
// boot in emergency mode.
func (e *Env) forget(ctx context.Context, d *plan.Device) error {
	const why = "migrate-init finish: its partition was on the old disk, which is a mirror now"
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

// means tells whether a spec names a partition of a disk, and nothing else.
func (r *rewriter) means(spec fstab.Spec, f *plan.Facts, disk *plan.Device) bool {
	spec = untangled(spec)
	node := ""
	if spec.Kind == fstab.Device {
		// What cannot be followed is no link of udev's.
		node, _ = throughLinks(r.root, spec.Value)
	}
	here, elsewhere := false, false
	for i := range f.Devices {
		x := &f.Devices[i]
		if !named(spec, node, f, x) {
			continue
		}
		if x.Kind == plan.KindPart && x.Parent == disk.Name {
			here = true
		} else {
			elsewhere = true
		}
	}
	return here && !elsewhere
}

func named(spec fstab.Spec, node string, f *plan.Facts, x *plan.Device) bool {
	switch spec.Kind {
	case fstab.Device:
		return x.Path == spec.Value || x.Path == node
	case fstab.PartUUID:
		return x.GUID != "" && strings.EqualFold(x.GUID, spec.Value)
	case fstab.PartLabel:
		d := f.Dev(x.Parent)
		return x.Kind == plan.KindPart && d != nil && d.Table != nil && slices.ContainsFunc(d.Table.Partitions, func(p plan.Partition) bool {
			return p.Number == x.Number && p.Name == spec.Value
		})
	case fstab.UUID, fstab.Label:
		return slices.ContainsFunc(x.Contents, func(c plan.Content) bool {
			return !c.Ghost && spec.Value != "" && (spec.Kind == fstab.Label && c.Label == spec.Value || spec.Kind == fstab.UUID && strings.EqualFold(c.UUID, spec.Value))
		})
	}
	return false
}
