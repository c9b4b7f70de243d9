package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

// runsMigrated reports whether the running root is the plan's new one.
func runsMigrated(p *plan.Plan, f *plan.Facts) bool {
	for _, m := range f.Mounts {
		if d := f.Dev(m.Device); m.Target == "/" && d != nil && d.Filesystem() != nil {
			return d.Filesystem().UUID == p.Boot.Root
		}
	}
	return false
}

// kept reads what every command after the migration needs: the plan that was left, and the machine as it is.
func (c *call) kept(ctx context.Context) (*plan.Plan, []byte, *plan.Facts, error) {
	if err := c.asRoot(); err != nil {
		return nil, nil, nil, err
	}
	p, text, err := c.keptPlan()
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := c.look(ctx, survey.Whole)
	return p, text, f, err
}

func cmdFinish(ctx context.Context, c *call) error {
	speed, err := rate(c.opt.syncSpeed)
	if err != nil {
		return usageError{fmt.Errorf("finish: --sync-speed %s: %w", c.opt.syncSpeed, err)}
	}
	release, err := c.exclusive()
	if err != nil {
		return err
	}
	defer release()
	p, text, _, err := c.kept(ctx)
	if err != nil {
		return err
	}
	show := newProgress(c)
	e := c.env(p, text, c.effector(), show.event)
	e.Discard, e.DryRun, e.SyncSpeed = c.opt.discard, c.opt.dryRun, speed
	if e.DryRun {
		return stage.Finish(ctx, e)
	}
	if err := stage.Finish(ctx, e); err != nil {
		show.clear()
		if ctx.Err() != nil {
			return fmt.Errorf("finish: interrupted; a resync that has begun continues by itself, and `migrate-init finish` continues where it stopped: %w", err)
		}
		return err
	}
	fmt.Fprintln(c.out, "Finished: every array is whole, and each disk has a boot loader of its own.")
	return nil
}

// rate reads bytes per second: a number with K, M or G (powers of 1024), or max.
func rate(s string) (int64, error) {
	switch s {
	case "":
		return 0, nil
	case "max":
		return stage.SpeedMost, nil
	}
	number, unit := s, int64(1)
	for suffix, u := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = n, u
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > stage.SpeedMost/unit || n*unit < 1<<10 {
		return 0, errors.New("give a rate per second, such as 50M or 1G, or max")
	}
	return n * unit, nil
}

func cmdRollback(ctx context.Context, c *call) error {
	release, err := c.exclusive()
	if err != nil {
		return err
	}
	defer release()
	p, _, f, err := c.kept(ctx)
	if err != nil {
		return err
	}
	if !runsMigrated(p, f) {
		return errors.New("running system: it is the old one already; `migrate-init cancel` removes the migration from its boot loader")
	}
	rs, err := c.journalOf(p, f)
	if err != nil {
		return err
	}
	if err := stage.Rollbackable(p, rs); err != nil {
		return err
	}
	root, err := c.inside("/")
	if err != nil {
		return err
	}
	l, err := c.loaders.Of(p)
	if err != nil {
		return err
	}
	effs, err := l.Rollback(p, root)
	if err != nil {
		return err
	}
	if err := doAll(ctx, c.effector(), effs); err != nil {
		return err
	}
	if c.opt.dryRun {
		return nil
	}
	fmt.Fprintln(c.out, "The migration is rolled back. Changes made here since the migration stay on the new disk.")
	if next, err := c.nextBoot(p, f, rs); err != nil {
		fmt.Fprintf(c.out, "Which system the next boot enters is not known: %v\n", err)
	} else if next != nil {
		fmt.Fprintf(c.out, "The next boot enters %s.\n", next.Text)
	}
	fmt.Fprintln(c.out, "Next: reboot.")
	return nil
}

func cmdConfirm(ctx context.Context, c *call) error {
	p, text, f, err := c.kept(ctx)
	if err != nil {
		return err
	}
	if !runsMigrated(p, f) {
		return errors.New("running system: it is not the migrated one, so there is nothing to confirm; boot the migrated system first")
	}
	root, err := c.inside("/")
	if err != nil {
		return err
	}
	l, err := c.loaders.Of(p)
	if err != nil {
		return err
	}
	effs, err := l.Confirm(p, root)
	if err != nil {
		return err
	}
	if err := stage.Confirm(ctx, c.env(p, text, c.effector(), newProgress(c).event)); err != nil {
		return err
	}
	switch {
	case c.opt.dryRun:
	case len(effs) == 0:
		fmt.Fprintln(c.out, "Nothing to do: this boot is already confirmed, or the migration was rolled back or finished.")
	default:
		fmt.Fprintln(c.out, "This system is marked as good: from now on the old disk's boot loader starts it.")
	}
	return nil
}
