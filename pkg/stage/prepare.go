package stage

import (
	"context"
	"errors"
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// runPrepare makes the target, the lowest layers first, and starts what has to run. Each node is first looked for by its
// planned identity; only what is missing is made, and only inside a disk that is empty, released by --wipe, or already
// ours.
func runPrepare(ctx context.Context, e *Env) error {
	// A run that is continued is armed at once; a new one only when nothing speaks against it, on its new journal.
	if e.journal != "" {
		if err := e.arm(ctx); err != nil {
			return err
		}
	}
	for i := range e.Plan.Target {
		n := &e.Plan.Target[i]
		if n.Disk != nil && e.Plan.Source.Node(n.Ref) != nil {
			continue
		}
		k := kindOf(n)
		if k.make != nil {
			if err := k.make(ctx, e, n); err != nil {
				return err
			}
		}
		if k.start != nil && k.idle(e, n) {
			if err := k.start(ctx, e, n); err != nil {
				return err
			}
		}
		if n.Ref.Is(e.Plan.Journal) {
			if err := e.prepareJournal(ctx); err != nil {
				return err
			}
			if err := e.arm(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Env) prepareJournal(ctx context.Context) error {
	if e.journal != "" {
		if err := e.newDisksWait(ctx); err != nil {
			return err
		}
		return e.invalidateStale(ctx)
	}
	// It may have appeared with the table: someone had wiped that, and what lies behind it is still there.
	if err := e.openJournal(); err != nil {
		return err
	}
	old := e.records
	if old.last("commit") != "" {
		return fmt.Errorf("journal %s: the partition table was gone, and the journal records a commit, so this may be a migrated system; make a new plan, with --wipe if nothing there is wanted", e.journal)
	}
	e.journal, e.records, e.checkpoints.Last = "", nil, nil
	d, err := e.Facts.Volume(e.Plan, e.Plan.Journal)
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("journal %s: its volume was not found", e.Plan.Journal)
	}
	if err := e.startIdle(ctx, e.Plan.Target); err != nil {
		return err
	}
	// The journal is older than every filesystem: one without it is not a first try, and may be a system in use.
	for _, n := range e.Plan.Target.Filesystems() {
		if x, err := e.Facts.FS(n.Ref.ID()); len(old) == 0 && (err != nil || x != nil) {
			return errors.Join(fmt.Errorf("journal %s: it is missing, but filesystem %s of this plan exists, which may be a migrated system; make a new plan, with --wipe if nothing there is wanted", d.Path, n.Ref.ID()), err)
		}
	}
	if err := e.wipe(ctx, d); err != nil {
		return err
	}
	// The records of an earlier try of this plan would verify, and go on where the new ones end: all of them go, while no
	// head says that there is a journal.
	if err := e.do(ctx, machine.WriteDevice{Dev: d.Path, Why: "journal of plan " + e.Plan.ID, Chunks: []machine.Chunk{
		{Offset: 0, Zero: slotSize}, {Offset: slotSize, Zero: d.Size - slotSize}, {Offset: 0, Data: JournalHead(e.Plan.ID)}}}); err != nil {
		return err
	}
	e.journal, e.size = d.Path, d.Size
	if err := e.recordStamps(ctx, Record{Stage: "check", Event: Done, Text: "every check passed before the first write"}, e.stamps()); err != nil {
		return err
	}
	return e.Record(ctx, Record{Stage: "prepare", Event: Begin})
}

// volume finds a planned volume that must be there by now.
func (e *Env) volume(r plan.Ref) (*plan.Device, error) {
	d, err := e.Facts.Volume(e.Plan, r)
	if err == nil && d == nil {
		err = fmt.Errorf("volume %s: not here", r)
	}
	return d, err
}

func (e *Env) make(ctx context.Context, key string, d *plan.Device, argv []string) error {
	if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
		return err
	}
	if err := e.wipe(ctx, d); err != nil {
		return err
	}
	if err := e.do(ctx, machine.Exec{Argv: argv, Alters: []string{d.Path}}); err != nil {
		return err
	}
	if err := e.Record(ctx, Record{Stage: key, Event: Done}); err != nil {
		return err
	}
	return e.refresh(ctx)
}
