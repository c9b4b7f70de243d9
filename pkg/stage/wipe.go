package stage

import (
	"context"
	"fmt"
	"io"
	"slices"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
)

// wipe zeroes every known signature on a device, so that no old one reappears inside what is made there.
func (e *Env) wipe(ctx context.Context, d *plan.Device) error {
	eff := machine.WriteDevice{Dev: d.Path, Why: "wipe old signatures"}
	for _, c := range d.Contents {
		for _, s := range c.Wipe {
			eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: s.Offset, Zero: s.Length})
		}
	}
	if len(eff.Chunks) == 0 {
		return nil
	}
	return e.do(ctx, eff)
}

// wipeParts zeroes the known signatures in a disk's partitions. It comes before the disk gets another table: after that no
// one can tell where they were, and what lies at the same place, or over it, would show them.
func (e *Env) wipeParts(ctx context.Context, d *plan.Device) error {
	for _, p := range e.Facts.Parts(d.Name) {
		if err := e.wipe(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// wipePlaces zeroes the known signatures where no other step would: in places of partitions in which nothing is ever made,
// such as a boot loader's, and where the disk's old table has partitions that the kernel does not show. The other places are
// left alone: behind a table that was lost, they may hold a migrated system, which the journal tells only later.
func (e *Env) wipePlaces(ctx context.Context, d *plan.Device, n *plan.Node) error {
	var places []plan.Span
	for _, p := range e.Plan.Target.Parts(n.Ref) {
		if len(e.Plan.Target.Above(p.Ref)) == 0 && !p.Ref.Is(e.Plan.Journal) {
			places = append(places, plan.Span{Offset: p.Part.Start, Length: p.Size})
		}
	}
	if d.Table != nil {
		for _, p := range d.Table.Partitions {
			shown := slices.ContainsFunc(e.Facts.Parts(d.Name), func(k *plan.Device) bool { return k.Start == p.Start && k.Size == p.Size })
			if !shown {
				places = append(places, plan.Span{Offset: p.Start, Length: p.Size})
			}
		}
	}
	eff, err := e.remnants(d, places)
	if err != nil || len(eff.Chunks) == 0 {
		return err
	}
	return e.do(ctx, eff)
}

// remnants looks at places of a disk as if there were partitions.
func (e *Env) remnants(d *plan.Device, places []plan.Span) (machine.WriteDevice, error) {
	eff := machine.WriteDevice{Dev: d.Path, Why: "wipe old signatures"}
	r, err := e.Open(d.Path)
	if err != nil {
		return eff, fmt.Errorf("disk %s: %w", d.Path, err)
	}
	defer r.Close()
	for _, p := range places {
		res, err := probe.Partition(io.NewSectionReader(r, p.Offset, p.Length), p.Length)
		if err != nil {
			return eff, fmt.Errorf("disk %s: bytes %d-%d: %w", d.Path, p.Offset, p.Offset+p.Length-1, err)
		}
		for _, w := range res.Wipes() {
			eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: p.Offset + w.Offset, Zero: w.Length})
		}
	}
	return eff, nil
}
