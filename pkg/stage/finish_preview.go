package stage

import (
	"context"
)

// PreviewFinish prints, through a machine that only prints, what Finish would do. What depends on what earlier steps make
// is named in words.
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
			if d, err := e.Facts.Volume(e.Plan, r); err == nil && d != nil && e.holds(n, d) {
				continue
			}
			e.tell("finish", "%s would join array %s and be resynced", r, n.Name)
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
