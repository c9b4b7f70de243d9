package stage

import (
	"context"
	"errors"

	"migrate-init/pkg/machine"
)

// udevKeepsOff locks the old disks against udev before the first of several stages that work on them, and releases them
// before the next one that does not: udev reads the table of a disk again as soon as a writer closes it, and every idle
// partition is gone for a moment then.
func (e *Env) udevKeepsOff(ctx context.Context, s Stage) error {
	if !s.Holds {
		return e.release(ctx)
	}
	if len(e.held) > 0 {
		return nil
	}
	for _, n := range e.Plan.LaterDisks() {
		d, err := e.disk("old disk", n)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.HoldDisk{Dev: d.Path, On: true}); err != nil {
			return err
		}
		e.held = append(e.held, d.Path)
	}
	return nil
}

// release gives the old disks back to udev, whatever became of the stage.
func (e *Env) release(ctx context.Context) error {
	var errs []error
	for _, dev := range e.held {
		errs = append(errs, e.do(context.WithoutCancel(ctx), machine.HoldDisk{Dev: dev}))
	}
	e.held = nil
	return errors.Join(errs...)
}
