package stage

import (
	"context"
	"errors"
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// runReveal locks the sources before anything is opened, waits for the planned disks, covers the sources that need it with
// snapshots in memory, and starts what exists already, the lowest layers first, until nothing new appears: the layers that a
// source lies on, and what an interrupted run began.
func runReveal(ctx context.Context, e *Env) error {
	if err := e.waitDisks(ctx); err != nil {
		return err
	}
	if err := e.lockSources(ctx); err != nil {
		return err
	}
	if err := e.waitParts(ctx); err != nil {
		return err
	}
	// Those that came meanwhile.
	if err := e.lockSources(ctx); err != nil {
		return err
	}
	if err := e.openJournal(); err != nil {
		return err
	}
	if Finishing(e.Plan, e.records) {
		return nil // the arrays belong to the new system now: alone, the member here may be a stale half
	}
	if e.records.Done(commit) {
		return e.startIdle(ctx, e.Plan.Target) // nothing is copied any more
	}
	if err := e.onSources(func() error { return e.cover(ctx) }); err != nil {
		return err
	}
	if err := e.startIdle(ctx, e.Plan.Source, e.Plan.Target); err != nil {
		return err
	}
	return e.onSources(func() error { return e.replay(ctx) })
}

// startIdle starts every node of the graphs that is there and does not run, until a look shows nothing more to start.
func (e *Env) startIdle(ctx context.Context, graphs ...plan.Graph) error {
	for {
		some := false
		for _, g := range graphs {
			for i := range g {
				k := kindOf(&g[i])
				if k.start == nil || !k.idle(e, &g[i]) || k.halfMade != nil && k.halfMade(e, &g[i]) {
					continue
				}
				start := func() error { return k.start(ctx, e, &g[i]) }
				if e.Plan.Source.Node(g[i].Ref) != nil {
					begin := start
					start = func() error { return e.onSources(begin) }
				}
				if err := start(); err != nil {
					return err
				}
				some = true
			}
		}
		if !some {
			return nil
		}
		if err := e.refresh(ctx); err != nil {
			return err
		}
	}
}

// waitDisks waits for the planned disks. The deadline is for the next of them: each one that comes starts it again, as a
// controller may show its disks one after the other.
func (e *Env) waitDisks(ctx context.Context) error {
	for had, have, all := -1, 0, false; !all; had = have {
		if err := e.Wait(ctx, "the planned disks", func() (bool, error) {
			f, err := e.look(ctx, survey.Shallow)
			if err != nil {
				return false, err
			}
			have, all = 0, true
			for _, n := range e.Plan.Disks() {
				d, err := f.Disk(n)
				var many *plan.AmbiguousError
				if errors.As(err, &many) {
					return false, err
				}
				if d == nil || d.Size == 0 {
					all = false
				} else {
					have++
				}
			}
			e.Facts = f
			if had < 0 {
				had = have // those that are there already
			}
			return all || have > had, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// waitParts waits until the kernel shows the partitions that matter: a disk is there before its table has been read, and a
// journal that is not seen is one that is not obeyed. For a source it only waits; the checks report what is still missing.
func (e *Env) waitParts(ctx context.Context) error {
	var hidden, failed error
	err := e.Wait(ctx, "the partitions of the planned disks", func() (bool, error) {
		var f *plan.Facts
		if f, failed = e.look(ctx, survey.Deep); failed != nil {
			return false, failed
		}
		e.Facts, hidden = f, unseen(e.Plan, f)
		for _, n := range e.Plan.Source {
			if disk := e.Plan.Source.Node(n.Lower()); n.Part == nil || disk == nil || disk.Disk == nil {
				continue // it comes when what it lies on has been started
			}
			if d, err := f.Volume(e.Plan, n.Ref); d == nil && err == nil {
				return false, nil
			}
		}
		return hidden == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case failed != nil:
		return failed
	}
	return hidden
}

// unseen says what of a target that has the planned table already the kernel does not show. Where the primary copy of the
// table was torn it never will, and there is no journal yet.
func unseen(p *plan.Plan, f *plan.Facts) error {
	for _, t := range p.NewDisks() {
		want, err := tableOf(p.Target, t)
		if err != nil {
			return err
		}
		d, err := f.Disk(t)
		if err != nil || d == nil || !same(d.Table, want) {
			continue
		}
		for _, n := range p.Target.Parts(t.Ref) {
			if x, err := f.PartByGUID(n.Ref.ID()); x == nil && err == nil {
				return fmt.Errorf("target disk %s: its table has partition %d, and the kernel does not show it", d.Path, n.Part.Number)
			}
		}
	}
	return nil
}

// lockSources makes every source disk and partition read-only in the kernel (BLKROSET), partitions first.
func (e *Env) lockSources(ctx context.Context) error {
	for _, n := range e.Plan.Source.Disks() {
		d, err := e.Facts.Disk(n)
		if err != nil {
			return err
		}
		if d == nil {
			continue // no one can write to it, and the checks report it
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
