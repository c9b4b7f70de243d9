package main

import (
	"context"
	"fmt"
	"path"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// rehearse does before the reboot what the migration does after its copy, in an overlay of this system, and hands what it made to then,
// which finds it as long as it runs.
func (c *call) rehearse(ctx context.Context, p *plan.Plan, text []byte, f *plan.Facts, then func(*stage.Kept) error) error {
	m := c.machine()
	e := c.env(p, text, m, func(x stage.Event) { c.note("rehearsal: %s", x.Text) })
	e.Facts = f
	c.note("rehearsal: the initrds of the new system are made and proved in an overlay of this one; this usually takes less than a minute")
	above, clean, err := c.above(ctx, p, f)
	if err != nil {
		return err
	}
	defer clean()
	err = c.apart(func() error {
		made, err := stage.Rehearsal(ctx, e, above)
		if err != nil {
			return err
		}
		return then(made)
	})
	// The directory is empty here: what was mounted on it was never seen from outside. It goes also after an interrupt.
	if _, rerr := m.Do(context.WithoutCancel(ctx), machine.Remove{Path: stage.RehearsalDir}); rerr != nil {
		c.note("warning: %s stays: %v", stage.RehearsalDir, rerr)
	}
	return err
}

// rehearsed is the answer of a rehearsal whose result is not kept. It changes nothing, but only one of them fits beside a schedule.
func (c *call) rehearsed(ctx context.Context, p *plan.Plan, text []byte, f *plan.Facts, found plan.Findings) (plan.Finding, error) {
	x := plan.Finding{ID: "rehearsal.made", Severity: plan.Refuse, Subject: "rehearsal", Fix: "fix what the other checks name, and check again"}
	if found.Err() != nil {
		x.Detail = "not made, since other checks refuse"
		return x, nil
	}
	release, err := c.exclusive()
	if err != nil {
		return x, err
	}
	defer release()
	err = c.rehearse(ctx, p, text, f, func(made *stage.Kept) error {
		x.Severity, x.Fix = plan.OK, ""
		x.Detail = fmt.Sprintf("the new system's initrds were made in an overlay and proved; %d bytes, not kept", made.Size())
		return nil
	})
	if err != nil && ctx.Err() == nil {
		x.Severity, x.Detail, x.Fix = plan.Refuse, err.Error(), "fix what it names, and check again"
		err = nil
	}
	return x, err
}

// above makes the directory that a rehearsal writes to instead of memory, "" for none. clean removes it with all that is in it, as it does
// with what an earlier call left there that was cut short.
func (c *call) above(ctx context.Context, p *plan.Plan, f *plan.Facts) (dir string, clean func(), err error) {
	if c.opt.rehearseIn == "" {
		return "", func() {}, nil
	}
	if !path.IsAbs(c.opt.rehearseIn) {
		return "", nil, usageError{fmt.Errorf("directory %s: --rehearse-in wants an absolute path", c.opt.rehearseIn)}
	}
	in := c.node(c.opt.rehearseIn)
	if err := stage.RoomAbove(c.world().Root, p, f, in); err != nil {
		return "", nil, err
	}
	dir = path.Join(in, "migrate-init-rehearsal")
	remove := machine.Exec{Argv: []string{"rm", "-r", "-f", "--one-file-system", "--", dir}, Alters: []string{dir}}
	for _, x := range []machine.Effect{remove, machine.Mkdir{Path: dir, Mode: 0o700}} {
		if _, err := c.machine().Do(ctx, x); err != nil {
			return "", nil, fmt.Errorf("directory %s: %w", dir, err)
		}
	}
	return dir, func() {
		if _, err := c.machine().Do(context.WithoutCancel(ctx), remove); err != nil {
			c.note("warning: %s stays: %v", dir, err)
		}
	}, nil
}
