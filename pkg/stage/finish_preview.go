package stage

import (
	"context"
)

// PreviewFinish prints, through a machine that only prints, what can be told of Finish in advance. Later steps depend
// on what earlier ones make and are named in words.
func PreviewFinish(ctx context.Context, e *Env) error {
	if err := e.refresh(ctx); err != nil {
		return err
	}
	for i := range e.Plan.Target.Mirrors {
		m := &e.Plan.Target.Mirrors[i]
		d, err := e.disk("old disk", m.DiskID)
		if err != nil {
			return err
		}
		want, err := tableOf(m)
		if err != nil {
			return err
		}
		if same(d.Table, want) {
			continue
		}
		if err := e.switchBootSector(ctx, d, want); err != nil {
			return err
		}
		if err := e.retable(ctx, d, want); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Arrays {
		for _, r := range n.Later {
			e.tell("finish", "%s would join array %s and be resynced", r, n.Name)
		}
	}
	return e.removeLeftovers(ctx)
}
