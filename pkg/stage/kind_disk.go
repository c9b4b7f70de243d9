package stage

import (
	"context"
	"fmt"
	"strings"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// diskKind: a new disk gets the planned partition table, and so does an old one at finish.
func diskKind() kind {
	return kind{
		is:     func(n *plan.Node) bool { return n.Disk != nil },
		make:   func(ctx context.Context, e *Env, n *plan.Node) error { return e.prepareTable(ctx, n) },
		remake: func(ctx context.Context, e *Env, n *plan.Node) error { return e.repartition(ctx, n) },
	}
}

// tableOf is the partition table that a graph of the plan wants on a disk.
func tableOf(g plan.Graph, n *plan.Node) (gpt.Table, error) {
	out := gpt.Table{Scheme: n.Disk.Scheme, ID: n.Disk.Table, SectorSize: int(n.Disk.Sector)}
	for _, p := range g.Parts(n.Ref) {
		typ, err := typeOf(n.Disk.Scheme, p.Part.Role)
		if err != nil {
			return out, err
		}
		out.Partitions = append(out.Partitions, gpt.Partition{Number: p.Part.Number, Type: typ, ID: p.Ref.ID(), Name: p.Part.Name, Start: p.Part.Start, Size: p.Size})
	}
	return out, nil
}

func typeOf(scheme, role string) (string, error) {
	if typ := map[string]string{plan.RoleJournal: plan.JournalType, plan.RoleOneShot: plan.OneShotType}[role]; typ != "" && scheme == gpt.SchemeGPT {
		return typ, nil
	}
	return gpt.TypeOf(scheme, role)
}

// same reports whether a disk has the planned table, whole. One of which a copy was torn or lost is written again: without
// the first copy the kernel of the next boot would see no partitions, and without the other nothing could help then.
func same(t *plan.Table, want gpt.Table) bool { return alike(t, want) && len(t.Damage) == 0 }

// alike compares what is on the disk with what is planned, by identity and place.
func alike(t *plan.Table, want gpt.Table) bool {
	if t == nil || t.Scheme != want.Scheme || !strings.EqualFold(t.ID, want.ID) || len(t.Partitions) != len(want.Partitions) {
		return false
	}
	for i, p := range want.Partitions {
		h := t.Partitions[i]
		if h.Number != p.Number || !strings.EqualFold(h.GUID, p.ID) || h.Start != p.Start || h.Size != p.Size {
			return false
		}
	}
	return true
}

func (e *Env) prepareTable(ctx context.Context, t *plan.Node) error {
	d, err := e.Facts.Disk(t)
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("target disk %s: not here", t.Was)
	}
	want, err := tableOf(e.Plan.Target, t)
	if err != nil {
		return fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	var extents []machine.Extent
	for _, p := range want.Partitions {
		extents = append(extents, machine.Extent{Number: p.Number, Start: p.Start, Size: p.Size})
	}
	if !same(d.Table, want) {
		ours := d.Table != nil && strings.EqualFold(d.Table.ID, t.Disk.Table)
		if ours && !alike(d.Table, want) {
			return fmt.Errorf("target disk %s: its partition table is %s, as planned, but its partitions are not: they were changed, and their contents may be wanted; if not: migrate-init plan --wipe %s", d.Path, t.Disk.Table, d.Path)
		}
		e.tell("prepare", "partition table %s on %s", t.Disk.Table, d.Path)
		if !ours {
			if err := e.clearDisk(ctx, d, t); err != nil {
				return err
			}
		}
		// The table's sector 0 comes last: until then an old protective one stays.
		if err := e.makeWait(ctx, d); err != nil {
			return err
		}
		lba0, err := e.waiting(make([]byte, bootSectorSize))
		if err != nil {
			return err
		}
		if err := e.writeTable(ctx, d, want, lba0); err != nil {
			return err
		}
	}
	if err := e.do(ctx, machine.Partitions{Dev: d.Path, Parts: extents}); err != nil {
		return err
	}
	return e.refresh(ctx)
}

// clearDisk wipes what is known to be on a disk that is not ours yet: in its partitions, where the boot loader's will be, and
// on the disk itself. A power cut in between leaves the old table, by which the next try finds the rest.
func (e *Env) clearDisk(ctx context.Context, d *plan.Device, t *plan.Node) error {
	if err := e.wipeParts(ctx, d); err != nil {
		return err
	}
	if err := e.wipePlaces(ctx, d, t); err != nil {
		return err
	}
	return e.wipe(ctx, d)
}

func (e *Env) writeTable(ctx context.Context, d *plan.Device, want gpt.Table, lba0 []byte) error {
	return e.do(ctx, tableEffect(d, want, lba0)...)
}

func tableEffect(d *plan.Device, want gpt.Table, lba0 []byte) []machine.Effect {
	writes, err := gpt.Encode(want, d.Size, lba0)
	if err != nil {
		return []machine.Effect{failing{err}}
	}
	eff := machine.WriteDevice{Dev: d.Path, Why: "partition table " + want.ID}
	for _, w := range writes {
		eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
	}
	return []machine.Effect{eff}
}

// failing is an effect that could not be spelled; carrying it out gives the reason.
type failing struct{ err error }

func (f failing) String() string   { return "fail: " + f.err.Error() }
func (f failing) Writes() []string { return nil }

// repartition gives an old disk its planned table; what it held is wiped.
func (e *Env) repartition(ctx context.Context, m *plan.Node) error {
	d, err := e.disk("old disk", m)
	if err != nil {
		return err
	}
	want, err := tableOf(e.Plan.Final, m)
	if err != nil {
		return fmt.Errorf("old disk %s: %w", d.Path, err)
	}
	if err := e.unlock(ctx, d); err != nil {
		return err
	}
	var parts []machine.Extent
	for _, p := range want.Partitions {
		parts = append(parts, machine.Extent{Number: p.Number, Start: p.Start, Size: p.Size})
	}
	if !alike(d.Table, want) {
		if key := partOf(repartition, m); !e.records.Begun(key) {
			if err := e.Record(ctx, Record{Stage: key, Event: Begin, Text: d.Path}); err != nil {
				return err
			}
		}
		e.tell(repartition, "partition table %s on %s", want.ID, d.Path)
		if err := e.replaceTable(ctx, m, d, want); err != nil {
			return err
		}
	} else if damage := e.tableWhole(d, want); damage != nil {
		// The power failed while it was written. What was on the disk before was wiped by then, and what is on it now stays.
		e.tell(repartition, "%v; it is written again", damage)
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
func (e *Env) proveTable(g plan.Graph, n *plan.Node) error {
	d, err := e.disk("disk", n)
	if err != nil {
		return err
	}
	want, err := tableOf(g, n)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	return e.tableWhole(d, want)
}

// replaceTable wipes what an old disk's partitions hold and gives it the new table; the boot sector's code stays.
func (e *Env) replaceTable(ctx context.Context, n *plan.Node, d *plan.Device, want gpt.Table) error {
	if err := e.commentOutOldLines(ctx, d); err != nil {
		return err
	}
	if err := e.releaseLayers(ctx, d); err != nil {
		return err
	}
	d, err := e.disk("old disk", n)
	if err != nil {
		return err
	}
	if err := e.wipeParts(ctx, d); err != nil {
		return err
	}
	if d.Table == nil {
		if err := e.wipe(ctx, d); err != nil { // a filesystem or a member on the disk itself
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
