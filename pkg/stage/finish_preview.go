package stage

import (
	"context"
	"fmt"
)

// later is a step that depends on what an earlier one makes, and is therefore named in words.
type later string

func (l later) String() string { return string(l) }

// Writes returns nil: nothing carries it out.
func (later) Writes() []string { return nil }

// PreviewFinish prints, through a machine that only prints, what Finish would do, in its order.
func PreviewFinish(ctx context.Context, e *Env) error {
	if err := e.refresh(ctx); err != nil {
		return err
	}
	if err := e.openJournal(); err != nil {
		return err
	}
	e.boot = e.Facts.Machine.BootID
	if err := e.newDiskBoots(); err != nil {
		return err
	}
	if err := e.Record(ctx, Record{Stage: "finish", Event: Begin}); err != nil {
		return err
	}
	for i := range e.Plan.Target.Mirrors {
		if err := e.cloneDisk(ctx, &e.Plan.Target.Mirrors[i]); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Arrays {
		for _, r := range n.Later {
			d, err := e.Facts.Volume(e.Plan, r)
			if err != nil {
				return err
			}
			if d != nil && e.holds(n, d) {
				continue
			}
			if err := e.do(ctx, later(fmt.Sprintf("add the new member %s to array %s, and wait until it is resynced", r, n.Name))); err != nil {
				return err
			}
		}
	}
	effs, err := e.loaders()
	if err != nil {
		return err
	}
	if err := e.do(ctx, effs...); err != nil {
		return err
	}
	if err := e.removeLeftovers(ctx); err != nil {
		return err
	}
	return e.Record(ctx, Record{Stage: "finish", Event: Done})
}
