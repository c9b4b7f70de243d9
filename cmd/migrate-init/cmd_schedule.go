package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"migrate-init/pkg/image"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

func cmdSchedule(ctx context.Context, c *call) error {
	release, err := c.exclusive()
	if err != nil {
		return err
	}
	defer release()
	p, text, f, err := c.accepted(ctx, c.args[0], plan.Live)
	if err != nil {
		return err
	}
	if err := notArmed(f); err != nil {
		return err
	}
	name, size, unpacked, err := imageOf(c.opt.image, p)
	if err != nil {
		return err
	}
	if err := (plan.Findings{plan.CheckMemory(p, f, size+unpacked)}).Err(); err != nil {
		return err
	}
	need := scheduledSize(p, f, size)
	if err := (plan.Findings{plan.CheckRoom(f, need)}).Err(); err != nil {
		return err
	}
	root, err := c.inside("/")
	if err != nil {
		return err
	}
	// Everything that can refuse without a rehearsal does so before it.
	open := c.world().Open
	steps, err := stage.Schedule(c.loaders, p, f, root, text, name, nil, open)
	if err != nil {
		return err
	}
	run := func(steps stage.Steps) error {
		e := c.env(p, text, c.effector(), func(x stage.Event) { c.note("schedule: %s", x.Text) })
		e.Facts, e.DryRun = f, c.opt.dryRun
		return steps.Run(ctx, e)
	}
	switch {
	case c.opt.dryRun:
		err = preview(ctx, c, p, root, func() error { return run(steps) })
	case c.opt.skipRehearsal:
		c.note("warning: without a rehearsal the initrds are made during the migration: the downtime is a minute or more longer, and a failure shows only then (the migration stops before its commit and the old system starts again)")
		err = scheduled(run(steps))
	default:
		if err := stage.RoomToKeep(root, f, nil, need); err != nil {
			return err
		}
		err = c.rehearse(ctx, p, text, f, func(made *stage.Kept) error {
			if err := stage.RoomToKeep(root, f, made, need); err != nil {
				return err
			}
			steps, err := stage.Schedule(c.loaders, p, f, root, text, name, made, open)
			if err != nil {
				return err
			}
			return scheduled(run(steps))
		})
	}
	if err != nil {
		return err
	}
	if !c.opt.dryRun {
		fmt.Fprintf(c.out, "The next boot runs the migration, once. Until it commits, nothing on the old disk changes.\nNext: reboot. To undo: migrate-init cancel\n")
	}
	return nil
}

// scheduled says of a failure what it leaves.
func scheduled(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("schedule: %w\nboot loader: only the last step arms it, so the next boot is this system; `migrate-init cancel` removes what was written", err)
}

// preview shows which files of the new system will differ from those of the old one, and what schedule would do.
func preview(ctx context.Context, c *call, p *plan.Plan, root fs.FS, run func() error) error {
	rewrites, err := stage.Rewrites(c.loaders, p, root, stage.TargetDir)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, "# in the copy, during the migration:")
	if err := doAll(ctx, c.effector(), rewrites); err != nil {
		return err
	}
	if !c.opt.skipRehearsal {
		fmt.Fprintf(c.out, "# now, in memory over this system: make the new system's initrds, prove them, and keep them in %s\n", stage.KeptDir)
	}
	fmt.Fprintln(c.out, "# now, on this system:")
	return run()
}

func notArmed(f *plan.Facts) error {
	if f.Boot.Armed != "" {
		return fmt.Errorf("boot entry migrate-init-%s: it is scheduled already and runs at the next boot; to undo: migrate-init cancel", f.Boot.Armed)
	}
	return nil
}

// carriedOut refuses a plan that was carried out: its copy is a system of its own by now, and older than this one.
func carriedOut(c *call, p *plan.Plan, f *plan.Facts) plan.Finding {
	x := plan.Finding{ID: "plan.new", Severity: plan.OK, Subject: "plan " + p.ID, Detail: "it has not been carried out"}
	rs, err := c.journalOf(p, f)
	if err != nil {
		x = plan.Refusal(x.Subject, "disconnect what should not be there, and check again", "whether it has been carried out is not known: %v", err)
	} else if rs.Done("commit") {
		x = plan.Refusal(x.Subject, "boot the migrated system from the boot menu, or run `migrate-init cancel` and make a new plan with --wipe for its disk", "it has already been carried out")
	}
	x.ID = "plan.new"
	return x
}

// imageOf opens an image and looks for the plan inside: an image of another plan would migrate by that one.
func imageOf(name string, p *plan.Plan) (abs string, size, unpacked int64, err error) {
	f, err := os.Open(filepath.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, 0, fmt.Errorf("image %s: no such file; make it with `migrate-init build`, or pass --image FILE", name)
	}
	if err != nil {
		return "", 0, 0, fmt.Errorf("image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", 0, 0, fmt.Errorf("image: %w", err)
	}
	id, unpacked, err := image.PlanOf(f)
	if err != nil {
		return "", 0, 0, fmt.Errorf("image %s: %w; make it again with `migrate-init build`", name, err)
	}
	if id != p.ID {
		return "", 0, 0, fmt.Errorf("image %s: it was built for plan %s, not %s; make it again with `migrate-init build`", name, id, p.ID)
	}
	if abs, err = filepath.Abs(name); err != nil {
		return "", 0, 0, fmt.Errorf("image %s: %w", name, err)
	}
	return abs, st.Size(), unpacked, nil
}

// roomSlack is for the boot loader's own files and the filesystem's bookkeeping.
const roomSlack = 1 << 20

// scheduledSize is the real size of what schedule puts beside the old kernels; check could only estimate it.
func scheduledSize(p *plan.Plan, f *plan.Facts, image int64) int64 {
	need := image + roomSlack
	for _, k := range f.Boot.Kernels {
		if k.Path == p.Boot.Kernel {
			need += k.Size
		}
	}
	return need
}

func cmdCancel(ctx context.Context, c *call) error {
	release, err := c.exclusive()
	if err != nil {
		return err
	}
	defer release()
	root, err := c.inside("/")
	if err != nil {
		return err
	}
	st, err := stage.ReadScheduled(c.loaders, root)
	if err != nil {
		return err
	}
	if st == nil {
		return c.nothingScheduled(ctx)
	}
	f, err := c.look(ctx, survey.Whole)
	if err != nil {
		return err
	}
	// Without the plan nothing was written to the target disk, or no one can tell any more where.
	p, _, err := c.keptPlan()
	var rs stage.Records
	if err != nil || p.ID != st.Plan {
		p = nil
	} else if rs, err = c.journalOf(p, f); err != nil {
		return err
	}
	effs, stays, err := stage.Cancel(c.loaders, st, root, p, f, rs, c.world().Open)
	if err != nil {
		return err
	}
	if err := doAll(ctx, c.effector(), effs); err != nil {
		return err
	}
	if stays != "" {
		c.note("target disk: %s", stays)
	}
	if !c.opt.dryRun {
		fmt.Fprintln(c.out, "The migration is cancelled; the boot loader's files are as they were. The next boot enters this system.")
	}
	return nil
}

// nothingScheduled says why there is nothing to cancel. A migrated system is told how to go back, and what comes if it does not.
func (c *call) nothingScheduled(ctx context.Context) error {
	nothing := errors.New("schedule: nothing is scheduled on this system, so there is nothing to cancel (`migrate-init status` shows more)")
	p, _, f, err := c.kept(ctx)
	if err != nil || !runsMigrated(p, f) {
		return nothing
	}
	rs, err := c.journalOf(p, f)
	if err != nil {
		return nothing
	}
	next, err := c.nextBoot(p, f, rs)
	if err != nil || next == nil {
		return nothing
	}
	if err := stage.Rollbackable(p, rs); err != nil {
		return nothing
	}
	return fmt.Errorf("schedule: this is the migrated system, where nothing is scheduled; the next boot enters %s; to go back to the old system: migrate-init rollback", next.Text)
}
