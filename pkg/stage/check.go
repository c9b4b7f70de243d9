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
	if e.records.Begun("finish") {
		return fmt.Errorf("plan %s: finish has begun on the new system, which alone is current; boot that one", e.Plan.ID)
	}
	if e.records.Done("commit") {
		e.tell("check", "the journal says that the migration was committed: nothing is copied, the new system is entered")
		return nil
	}
	found := plan.Check(e.Plan, e.Facts, plan.Offline)
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

// waitParts waits until the kernel shows the partitions that matter: a disk is there before its table has been read, and a
// journal that is not seen is one that is not obeyed. Of a source it only waits; what then lacks is for the checks to tell.
func (e *Env) waitParts(ctx context.Context) error {
	var hidden, failed error
	err := e.Wait(ctx, "the partitions of the planned disks", func() (bool, error) {
		var f *plan.Facts
		if f, failed = e.Look(ctx, survey.Deep); failed != nil {
			return false, failed
		}
		e.Facts, hidden = f, unseen(e.Plan, f)
		for _, s := range e.Plan.Source.Filesystems {
			if d, err := f.Volume(e.Plan, s.On); d == nil && err == nil {
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

// unseen tells what of a target that has the planned table already the kernel does not show. Where the primary copy of the
// table was torn it never will, and there is no journal yet.
func unseen(p *plan.Plan, f *plan.Facts) error {
	for i := range p.Target.Disks {
		t := &p.Target.Disks[i]
		want, err := tableOf(t)
		if err != nil {
			return err
		}
		d, err := f.Disk(t.DiskID)
		if err != nil || d == nil || !same(d.Table, want) {
			continue
		}
		for _, n := range t.Partitions {
			if x, err := f.PartByGUID(n.GUID); x == nil && err == nil {
				return fmt.Errorf("target disk %s: its table has partition %d, and the kernel does not show it", d.Path, n.Number)
			}
		}
	}
	return nil
}

// hold keeps what check found true while the stages run: a disk that left and came back (a reset of its bus) has another node
// perhaps, and its partitions can be written again.
func (e *Env) hold(ctx context.Context) error {
	if e.journal != "" {
		d, err := e.Facts.Volume(e.Plan, e.Plan.Journal)
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("journal %s: its volume is gone", e.journal)
		}
		e.journal = d.Path
	}
	if e.records.Done("commit") {
		return nil
	}
	return e.lockSources(ctx)
}

// lockSources makes every source disk and partition read-only in the kernel (BLKROSET), partitions first.
func (e *Env) lockSources(ctx context.Context) error {
	for _, id := range e.Plan.Source.Disks {
		d, err := e.Facts.Disk(id)
		if err != nil {
			return err
		}
		if d == nil {
			continue // nobody can write to it, and the checks say so
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
