package stage

import (
	"context"
	"errors"
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// runCheck locks the sources before anything is opened, waits for the planned disks, surveys deeply and refuses on drift.
func runCheck(ctx context.Context, e *Env) error {
	if err := e.waitDisks(ctx); err != nil {
		return err
	}
	if err := e.lockSources(ctx); err != nil {
		return err
	}
	f, err := e.Look(ctx, survey.Deep)
	if err != nil {
		return err
	}
	e.Facts = f
	if err := e.openJournal(); err != nil {
		return err
	}
	if e.records.Done("commit") {
		e.tell("check", "the journal says that the migration was committed: nothing is copied, the new system is entered")
		return nil
	}
	found := plan.Check(e.Plan, f, plan.Offline)
	for _, x := range found {
		if x.Severity == plan.Warn {
			e.tell("check", "warning: %s", x)
		}
	}
	return found.Err()
}

func (e *Env) waitDisks(ctx context.Context) error {
	return e.Wait(ctx, "the planned disks", func() (bool, error) {
		f, err := e.Look(ctx, survey.Shallow)
		if err != nil {
			return false, err
		}
		for _, id := range e.Plan.Disks() {
			d, err := f.Disk(id)
			var many *plan.AmbiguousError
			if errors.As(err, &many) {
				return false, err
			}
			if d == nil || d.Size == 0 {
				return false, nil
			}
		}
		e.Facts = f
		return true, nil
	})
}

// lockSources makes every source disk and partition read-only in the kernel (BLKROSET), partitions first.
func (e *Env) lockSources(ctx context.Context) error {
	for _, id := range e.Plan.Source.Disks {
		d, err := e.Facts.Disk(id)
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("source disk %s: not here", id.Was)
		}
		for _, p := range append(e.Facts.Parts(d.Name), d) {
			if p.ReadOnly {
				continue
			}
			if err := e.do(ctx, machine.SetReadOnly{Dev: p.Path, On: true}); err != nil {
				return err
			}
		}
	}
	return nil
}
