package stage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/gpt"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// proveDisk shows that the firmware can start the boot loader from a disk of a planned graph.
func (e *Env) proveDisk(stage string, g plan.Graph, t *plan.Node) error {
	l, err := e.Loaders.Of(e.Plan)
	if err != nil || l.ProveDisk == nil {
		return err
	}
	d, err := e.disk("target disk", t)
	if err != nil {
		return err
	}
	r, err := e.Open(d.Path)
	if err != nil {
		return fmt.Errorf("disk %s: %w", d.Path, err)
	}
	defer r.Close()
	found, err := l.ProveDisk(e.Plan, g, t, loader.Disk{Path: d.Path, ReaderAt: r})
	if err != nil {
		return err
	}
	e.tell(stage, "disk %s: %s", d.Path, found)
	return nil
}

// newDiskBoots looks at the new disk's boot loader as it is today: it is what both disks start by from here on.
func (e *Env) newDiskBoots() error {
	for _, t := range e.Plan.NewDisks() {
		if err := e.proveDisk("review", e.Plan.Target, t); err != nil {
			return fmt.Errorf("new disk: its boot loader has changed since it was proved, and the old one is needed until then; install it again: %w", err)
		}
	}
	return nil
}

// switchBootSector lets the old disk boot the new array before anything of the old system is destroyed.
func (e *Env) switchBootSector(ctx context.Context, m *plan.Node, d *plan.Device, want gpt.Table) error {
	l, err := e.Loaders.Of(e.Plan)
	if err != nil || l.Takeover == nil {
		return err
	}
	src, err := e.disk("new disk", e.Plan.NewDisks()[0])
	if err != nil {
		return err
	}
	first := want.Partitions[0].Start
	for _, p := range d.Table.Partitions {
		first = min(first, p.Start)
	}
	for _, p := range want.Partitions {
		first = min(first, p.Start)
	}
	t := loader.Takeover{New: loader.Disk{Path: src.Path}, Old: loader.Disk{Path: d.Path}, First: first}
	for _, x := range []*loader.Disk{&t.New, &t.Old} {
		r, err := e.Open(x.Path)
		if err != nil {
			return fmt.Errorf("disk %s: %w", x.Path, err)
		}
		defer r.Close()
		x.ReaderAt = io.ReaderAt(r)
	}
	effs, err := l.Takeover(e.Plan, t)
	if err != nil || len(effs) == 0 {
		return err
	}
	if err := e.Record(ctx, Record{Stage: partOf(takeover, m), Event: Begin, Text: d.Path}); err != nil {
		return err
	}
	if err := e.askNoMore(ctx, l); err != nil {
		return err
	}
	e.tell(takeover, "the boot sector of %s now starts the new system", d.Path)
	return e.do(ctx, effs...)
}

// askNoMore lets the new system's boot loader ask the old disk no more.
func (e *Env) askNoMore(ctx context.Context, l loader.Loader) error {
	if l.Release == nil {
		return nil
	}
	root, err := e.Inside("/")
	if err != nil {
		return err
	}
	effs, err := l.Release(e.Plan, root)
	if err != nil {
		return err
	}
	return e.do(ctx, effs...)
}

// loaders are the programs that give the old disks boot loaders of their own.
func (e *Env) loaders() ([]machine.Effect, error) {
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return nil, err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil || l.Install == nil {
		return nil, err
	}
	var out []machine.Effect
	for _, m := range e.Plan.LaterDisks() {
		d, err := e.disk("old disk", m)
		if err != nil {
			return nil, err
		}
		for _, x := range sys.Run("", []string{d.Path}, l.Install(e.Plan, []string{d.Path})) {
			out = append(out, x)
		}
	}
	return out, nil
}

// runInstall gives the old disks boot loaders of their own, and reads them back.
func runInstall(ctx context.Context, e *Env) error {
	effs, err := e.loaders()
	if err != nil {
		return err
	}
	for _, x := range effs {
		e.tell(install, "%s", x)
	}
	if err := e.do(ctx, effs...); err != nil {
		return err
	}
	if e.DryRun {
		return nil
	}
	for _, m := range e.Plan.LaterDisks() {
		if err := errors.Join(e.proveTable(e.Plan.Final, m), e.proveDisk(install, e.Plan.Final, m)); err != nil {
			return err
		}
	}
	return nil
}
