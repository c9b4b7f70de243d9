package stage

import (
	"context"
	"fmt"
	"io"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// The block on the target starts the migration again after a power cut. Without it the old system would boot, and go on
// changing, so that the copy had to start again. The boot loader clears it before it starts the image; the image arms it
// again as soon as the target has its table, as often as the plan's policy allows, and disarms it before the commit and
// after a failure: from then on the next boot is the old system, or the new one.

// blockAt is the planned place of the block.
type blockAt struct {
	spell *loader.BlockSpeller
	dev   string // the partition; the disk while the kernel does not show that
	start int64  // where it begins on dev
	part  *plan.Node
}

// block finds the place of the block; nil where the plan has none, or its boot loader keeps none.
func (e *Env) block() (*blockAt, error) { return bootBlock(e.Loaders, e.Plan, e.Facts) }

func bootBlock(loaders loader.Table, p *plan.Plan, f *plan.Facts) (*blockAt, error) {
	if p.Boot.Block == "" {
		return nil, nil
	}
	l, err := loaders.Of(p)
	if err != nil || l.Block == nil {
		return nil, err
	}
	d, part, err := p.BlockOn(f)
	if err != nil {
		return nil, err
	}
	at := &blockAt{spell: l.Block, dev: d.Path, start: part.Part.Start, part: part}
	// A disk whose other partitions are in use is not written as a whole.
	if x, err := f.PartByGUID(part.Ref.ID()); err == nil && x != nil && x.Size == part.Size {
		at.dev, at.start = x.Path, 0
	}
	return at, nil
}

func (e *Env) readBlock(at *blockAt) (loader.Block, error) {
	r, err := e.Open(at.dev)
	if err != nil {
		return loader.Block{}, fmt.Errorf("boot block on %s: %w", at.dev, err)
	}
	defer r.Close()
	b, err := at.spell.Read(e.Plan, io.NewSectionReader(r, at.start, at.part.Size))
	if err != nil {
		return b, fmt.Errorf("disk %s: %w", at.dev, err)
	}
	return b, nil
}

// blockEffect writes the block.
func blockEffect(p *plan.Plan, at *blockAt, b loader.Block, why string) (machine.Effect, error) {
	chunks, err := at.spell.Write(p, b)
	if err != nil {
		return nil, err
	}
	for i := range chunks {
		chunks[i].Offset += at.start
	}
	return machine.WriteDevice{Dev: at.dev, Why: why, Chunks: chunks}, nil
}

func (e *Env) writeBlock(ctx context.Context, at *blockAt, b loader.Block, why string) error {
	eff, err := blockEffect(e.Plan, at, b, why)
	if err != nil {
		return err
	}
	return e.do(ctx, eff)
}

// arm makes the next boot start the migration again, once a run. Before the target has its planned table there is no
// place for the block, and nothing happens.
func (e *Env) arm(ctx context.Context) error {
	if e.attempt > 0 {
		return nil
	}
	at, err := e.block()
	if err != nil || at == nil {
		return err
	}
	disk := e.Plan.Target.Node(at.part.Lower())
	want, err := tableOf(e.Plan.Target, disk)
	if err != nil {
		return err
	}
	if d, err := e.Facts.Disk(disk); err != nil || d == nil || !same(d.Table, want) {
		return err
	}
	b, err := e.readBlock(at)
	if err != nil {
		return err
	}
	most := e.Plan.Policy.Most()
	b.Attempt++
	b.Armed = b.Attempt < most
	what := fmt.Sprintf("attempt %d of %d", b.Attempt, most)
	e.attempt, e.armed = b.Attempt, b.Armed
	if err := e.writeBlock(ctx, at, b, "boot block: "+what); err != nil {
		return err
	}
	if b.Armed {
		what += ": if the power fails before the commit, the next boot continues"
	} else {
		what += ": if the power fails before the commit, the next boot is the old system"
	}
	e.tell("prepare", "%s", what)
	return e.Record(ctx, Record{Stage: "prepare", Event: Note, Text: fmt.Sprintf("attempt %d of %d", b.Attempt, most), Facts: map[string]string{"attempt": fmt.Sprint(b.Attempt), "attempts": fmt.Sprint(most)}})
}

// disarm makes the next boot the one that it would be without a block.
func (e *Env) disarm(ctx context.Context) error {
	if !e.armed {
		return nil
	}
	at, err := e.block()
	if err != nil {
		return err
	}
	b, err := e.readBlock(at)
	if err != nil {
		return err
	}
	b.Armed, b.Attempt = false, e.attempt
	if err := e.writeBlock(ctx, at, b, "boot block: the migration is not started again"); err != nil {
		return err
	}
	e.armed = false
	return nil
}

// giveUp disarms after a failure. The disk with the block may be what failed: the boot loader does not find it then either.
func (e *Env) giveUp(ctx context.Context) {
	if err := e.disarm(context.WithoutCancel(ctx)); err != nil {
		e.tell("abandon", "the boot block could not be cleared, so the next boot may start the migration again: %v", err)
	}
}
