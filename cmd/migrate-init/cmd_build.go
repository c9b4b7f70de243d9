package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"migrate-init/pkg/image"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

func cmdBuild(ctx context.Context, c *call) error {
	p, text, f, err := c.accepted(ctx, c.args[0], plan.Planning)
	if err != nil {
		return err
	}
	self, err := c.self()
	if err != nil {
		return fmt.Errorf("this program: %w", err)
	}
	began := c.now()
	img, err := image.Collect(image.Input{Plan: p, PlanText: text, Root: c.world().Root, Family: f.Rules.Family(p.Machine.Family), Self: self})
	if err != nil {
		return err
	}
	for _, w := range img.Warnings {
		c.note("%s: %s", c.paint(c.err, yellow, "warning"), w)
	}
	if c.opt.list {
		for _, e := range img.List() {
			fmt.Fprintf(c.out, "%v %10d  %-60s %s\n", e.Mode, e.Size, shown(e), e.Why)
		}
		return nil
	}
	var b bytes.Buffer
	if err := img.Write(&b); err != nil {
		return err
	}
	name, err := filepath.Abs(c.opt.output)
	if err != nil {
		return fmt.Errorf("file %s: %w", c.opt.output, err)
	}
	if _, err := c.effector().Do(ctx, machine.WriteFile{Path: name, Data: b.Bytes(), Old: oldFile(name), Mode: 0o600}); err != nil || c.opt.dryRun {
		return err
	}
	fmt.Fprintf(c.out, "image %s: %d files, %.1f MiB, for kernel %s, made in %.1f s\nNext: migrate-init schedule %s --image %s\n",
		c.opt.output, len(img.List()), float64(b.Len())/(1<<20), p.Boot.Release, c.now().Sub(began).Seconds(), c.args[0], c.opt.output)
	return nil
}

func shown(e image.Item) string {
	if e.Link != "" {
		return e.Path + " -> " + e.Link
	}
	return e.Path
}
