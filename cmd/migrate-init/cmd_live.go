package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/pkg/image"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

func cmdBuild(ctx context.Context, c *call) error {
	if err := need(c, 1, "one plan"); err != nil {
		return err
	}
	p, text, _, found, err := checked(ctx, c.args[0])
	if err != nil {
		return err
	}
	if err := found.Err(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("this program: %w", err)
	}
	began := time.Now()
	img, err := image.Collect(image.Input{Plan: p, PlanText: text, Root: os.DirFS("/"), Self: self})
	if err != nil {
		return err
	}
	if c.opt.list {
		for _, e := range img.List() {
			fmt.Fprintf(c.out, "%10d  %-60s %s\n", e.Size, e.Path, e.Why)
		}
		return nil
	}
	var b bytes.Buffer
	if err := img.Write(&b); err != nil {
		return err
	}
	abs, err := filepath.Abs(c.opt.output)
	if err != nil {
		return err
	}
	if _, err := (&machine.Real{}).Do(ctx, machine.WriteFile{Path: abs, Data: b.Bytes(), Mode: 0o600}); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "image %s: %d files, %.1f MiB, for kernel %s, made in %.1f s\nNext: migrate-init schedule %s --image %s\n", c.opt.output, len(img.List()), float64(b.Len())/(1<<20), p.Boot.Release, time.Since(began).Seconds(), c.args[0], c.opt.output)
	return nil
}

func cmdSchedule(ctx context.Context, c *call) error {
	if err := need(c, 1, "one plan"); err != nil {
		return err
	}
	p, text, f, found, err := checked(ctx, c.args[0])
	if err != nil {
		return err
	}
	if err := found.Err(); err != nil {
		return err
	}
	if err := notArmed(f); err != nil {
		return err
	}
	if err := imageIsOf(c.opt.image, p); err != nil {
		return err
	}
	root, err := inside("/")
	if err != nil {
		return err
	}
	effs, err := stage.Schedule(p, f, root, text, c.opt.image)
	if err != nil {
		return err
	}
	if c.opt.dryRun {
		if err := preview(ctx, c, p, root); err != nil {
			return err
		}
	}
	if err := doAll(ctx, effector(c), effs); err != nil {
		return err
	}
	if !c.opt.dryRun {
		fmt.Fprintf(c.out, "The next boot runs the migration, once. Nothing of the old disk changes until it is committed.\nNext: reboot. To undo: migrate-init cancel\n")
	}
	return nil
}

// preview shows which files of the new system will differ from those of the old one.
func preview(ctx context.Context, c *call, p *plan.Plan, root fs.FS) error {
	effs, err := stage.Rewrites(p, root, stage.TargetDir)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, "# in the copy, during the migration:")
	if err := doAll(ctx, &machine.Printer{W: c.out}, effs); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "# now, on this system:")
	return nil
}

func notArmed(f *plan.Facts) error {
	if strings.HasPrefix(f.Boot.NextEntry, "migrate-init-") {
		return fmt.Errorf("boot entry %s: it is scheduled already and runs at the next boot; to undo: migrate-init cancel", f.Boot.NextEntry)
	}
	return nil
}

// imageIsOf opens an image and looks for the plan inside: an image of another plan would migrate by that one.
func imageIsOf(name string, p *plan.Plan) error {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return fmt.Errorf("image: %w; make it with `migrate-init build`", err)
	}
	defer f.Close()
	inside, err := image.PlanOf(f)
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	if inside != p.ID {
		return fmt.Errorf("image %s: it was built for plan %s, not %s; build it again", name, inside, p.ID)
	}
	return nil
}

func cmdCancel(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return errors.New("user: not root; run it as root")
	}
	root, err := inside("/")
	if err != nil {
		return err
	}
	st, err := stage.ReadScheduled(root)
	if err != nil {
		return err
	}
	if st == nil {
		return errors.New("schedule: nothing is scheduled on this system")
	}
	effs, err := stage.Cancel(st, root)
	if err != nil {
		return err
	}
	if err := doAll(ctx, effector(c), effs); err != nil {
		return err
	}
	if !c.opt.dryRun {
		fmt.Fprintln(c.out, "The migration is cancelled; the boot loader's files are as they were.")
	}
	return nil
}

// runsMigrated tells whether the running root is the plan's new one.
func runsMigrated(p *plan.Plan, f *plan.Facts) bool {
	for _, m := range f.Mounts {
		if d := f.Dev(m.Device); m.Target == "/" && d != nil && d.Filesystem() != nil {
			return d.Filesystem().UUID == p.Boot.Root
		}
	}
	return false
}

func cmdRollback(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return errors.New("user: not root; run it as root")
	}
	p, _, err := readPlan("")
	if err != nil {
		return err
	}
	f, err := look(ctx, survey.Deep)
	if err != nil {
		return err
	}
	if !runsMigrated(p, f) {
		return errors.New("running system: it is the old one already; `migrate-init cancel` takes the migration out of its boot loader")
	}
	rs, err := journalOf(p, f)
	if err != nil {
		return err
	}
	if rs.Begun("finish") {
		return errors.New("old system: `finish` has begun to make its disk a mirror, so there is no old system to go back to")
	}
	root, err := inside("/")
	if err != nil {
		return err
	}
	effs, err := stage.Rollback(p, root)
	if err != nil {
		return err
	}
	if err := doAll(ctx, effector(c), effs); err != nil {
		return err
	}
	if !c.opt.dryRun {
		fmt.Fprintln(c.out, "The old system is the default again. Next: reboot. What was changed here since the migration stays on the new disk.")
	}
	return nil
}

func cmdConfirm(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return errors.New("user: not root; run it as root")
	}
	p, _, err := readPlan("")
	if err != nil {
		return err
	}
	f, err := look(ctx, survey.Deep)
	if err != nil {
		return err
	}
	if !runsMigrated(p, f) {
		return errors.New("running system: it is not the migrated one; there is nothing to confirm")
	}
	root, err := inside("/")
	if err != nil {
		return err
	}
	effs, err := stage.Confirm(p, root)
	if err != nil {
		return err
	}
	return doAll(ctx, effector(c), effs)
}
