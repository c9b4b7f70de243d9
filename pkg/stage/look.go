package stage

import (
	"context"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// look surveys the machine. In the image it reads only the devices that may have changed since the last look: to read all of
// them after every step is most of the time of a migration of several filesystems. In a system that runs, udev and others
// write too, and everything is read.
func (e *Env) look(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
	if !e.alone {
		e.Known.ForgetAll()
	}
	return e.Look(ctx, depth)
}

// refresh looks at the world again.
func (e *Env) refresh(ctx context.Context) error {
	f, err := e.look(ctx, survey.Deep)
	if err == nil {
		e.Facts = f
	}
	return err
}

// noting is a machine that says which devices an effect changes.
type noting struct {
	machine.Machine
	e *Env
}

// Do implements machine.Machine. The journal's own records and checkpoints are no change: its volume holds nothing that a
// look reads, and they come with every step.
func (m noting) Do(ctx context.Context, eff machine.Effect) (machine.Output, error) {
	for _, w := range eff.Writes() {
		if w != m.e.journal {
			m.e.Known.Forget(w)
		}
	}
	return m.Machine.Do(ctx, eff)
}
