package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

// copyTarget is what a copy by blocks has become.
type copyTarget struct {
	Device string `json:"device"`
	Type   string `json:"type"`
	UUID   string `json:"uuid"`
	Label  string `json:"label,omitempty"`
	Size   int64  `json:"size"` // bytes of the filesystem
}

// blockCopy is the command for one copy by blocks: what pkg/copy does of it, and what is printed.
type blockCopy struct {
	*call
	dst     *plan.Device
	dev     *copy.Device
	engines copy.Engines
	job     copy.Job
	wipe    machine.WriteDevice
}

// copyBlocks copies the filesystem on a device to another device by its used blocks.
func copyBlocks(ctx context.Context, c *call) error {
	if c.opt.keepUUID && (c.opt.label != "" || c.opt.noGrow) {
		return usageError{errors.New("option --keep-uuid: the copy then has the source's label and size as well; leave out --label and --no-grow")}
	}
	if err := c.asRoot(); err != nil {
		return err
	}
	f, err := c.look(ctx, survey.Deep)
	if err != nil {
		return interrupted(ctx, err, "before anything was copied")
	}
	src, err := c.blockSource(f, c.args[0])
	if err != nil {
		return err
	}
	b := &blockCopy{call: c}
	if b.dst, err = c.blockTarget(f, src, c.args[1]); err != nil {
		return err
	}
	if b.dev, err = copy.OpenDevice(src.Path, b.dst.Path); err != nil {
		return unable(err, "mount it and an empty filesystem, and copy with --engine tree")
	}
	defer b.dev.Close()
	if err := b.prepare(); err != nil {
		return err
	}
	effs, err := b.engines.Finalize(b.job)
	if err != nil {
		return unable(fmt.Errorf("source %s: %w", src.Path, err), "--no-grow keeps its size, --keep-uuid also its identity")
	}
	if c.opt.dryRun {
		return b.preview(ctx, effs)
	}
	return b.carryOut(ctx)
}

// prepare checks what an earlier run left on the target, and fills the job.
func (b *blockCopy) prepare() error {
	if err := b.dev.Fits(b.dst.Size, b.dst.Sector); err != nil {
		return err
	}
	r, err := b.world().Open(b.dst.Path)
	if err != nil {
		return fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	defer r.Close()
	if err := b.dev.Load(r); err != nil && len(b.opt.wipe) == 0 {
		return b.startAgain(fmt.Errorf("target %s: %w", b.dst.Path, err))
	}
	var old []machine.Chunk
	for _, s := range b.dst.Contents {
		for _, w := range s.Wipe {
			old = append(old, machine.Chunk{Offset: w.Offset, Zero: w.Length})
		}
	}
	b.wipe = b.dev.Wipe(old)
	b.job = copy.Job{FromDev: b.dev.Source, ToDev: b.dev.Target, Type: b.dev.Alloc.Type, Engine: copy.Extent, NewLabel: b.opt.label,
		NoGrow: b.opt.noGrow, SkipBad: b.skips(), CheckpointEvery: b.opt.checkpoint}
	if b.opt.keepUUID {
		return nil
	}
	if b.job.NewUUID, err = plan.NewUUID(b.rand); err != nil {
		return err
	}
	b.job.To = path.Join("/run/migrate-init", b.job.NewUUID)
	return nil
}

// startAgain says how to give up what is on the target.
func (b *blockCopy) startAgain(err error) error {
	return fmt.Errorf("%w; to start again, add --wipe %s", err, b.dst.Path)
}

// unable says what else can be done about a filesystem that this engine refuses.
func unable(err error, instead string) error {
	if errors.Is(err, extent.ErrUnsupported) {
		return fmt.Errorf("%w; %s", err, instead)
	}
	return err
}

func (b *blockCopy) preview(ctx context.Context, effs []machine.Effect) error {
	a := b.dev.Alloc
	if b.opt.json {
		return printJSON(b.call, copied{Findings: []copyFinding{}, Resumed: b.dev.Resumed(), Target: b.becomes(0)})
	}
	m := machine.Printer{W: b.out}
	if !b.dev.Resumed() {
		if err := doAll(ctx, m, []machine.Effect{b.wipe}); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "copy %d bytes of used blocks of %s %s from %s to %s, all but the first block\n", a.CopyBytes(), a.Type, a.UUID, b.dev.Source, b.dev.Target)
	fmt.Fprintf(b.out, "read them back from %s and compare\n", b.dev.Target)
	return doAll(ctx, m, effs)
}

// becomes is the target in the end; a size of 0 is not known yet.
func (b *blockCopy) becomes(size int64) *copyTarget {
	uuid, label := b.dev.Identity(b.job)
	return &copyTarget{Device: b.dst.Path, Type: b.dev.Alloc.Type, UUID: uuid, Label: label, Size: size}
}

func (b *blockCopy) carryOut(ctx context.Context) error {
	out := copied{Findings: []copyFinding{}, Resumed: b.dev.Resumed()}
	m := b.machine()
	if out.Resumed {
		b.note("target %s: resuming an interrupted copy of %s", b.dev.Target, b.dev.Source)
	} else if err := doAll(ctx, m, []machine.Effect{b.wipe}); err != nil {
		return interrupted(ctx, fmt.Errorf("target %s: %w", b.dev.Target, err), "before anything was copied")
	}
	if err := b.dev.Begin(ctx, &b.job); err != nil {
		return err
	}
	done, read, err := b.transfer(ctx)
	if err != nil {
		return err
	}
	out.Copied, out.Verified = counted(done, 0), &counts{Bytes: read.Bytes}
	if err := b.dev.Invalidate(ctx); err != nil { // from here on the target is no longer what was verified
		return err
	}
	if err := b.dev.Finalize(ctx, m, &b.engines, b.job); err != nil {
		return fmt.Errorf("target %s: the copy is verified, but setting its identity and size failed: %w\nto start again, add --wipe %s", b.dev.Target, err, b.dev.Target)
	}
	a, err := b.dev.Result(b.job, b.dst.Size)
	if err != nil {
		return b.startAgain(err)
	}
	out.Target = b.becomes(a.Size)
	missing := incompleteCopy(b.dev.Source, done, read)
	if b.opt.json {
		return cmp.Or(printJSON(b.call, out), missing)
	}
	fmt.Fprintf(b.out, "%d bytes of used blocks: copied, read back and equal%s; %s is %s %s of %d bytes\n", read.Bytes, exceptUnread(missing), b.dev.Target, a.Type, a.UUID, a.Size)
	if was := b.dev.Alloc.Label; was != "" && a.Label == "" {
		b.note("label: the source's is %q, the copy has none; --label gives it one", was)
	}
	b.list(done, read)
	return missing
}

// transfer copies and verifies, with progress.
func (b *blockCopy) transfer(ctx context.Context) (done, read copy.Counts, err error) {
	show := newProgress(b.call)
	watch := func(what, dev string) {
		b.job.Progress = func(p copy.Progress) { show.event(stage.Event{Stage: what, Text: dev, Progress: &p}) }
	}
	watch("copy", b.dev.Source)
	done, err = b.engines.Copy(ctx, b.job)
	show.clear()
	if err != nil {
		if bad := (*extent.ReadError)(nil); errors.As(err, &bad) && bad.Side == "source" {
			err = fmt.Errorf("%w; --read-error skip-and-list copies the rest", err)
		}
		return done, read, interrupted(ctx, fmt.Errorf("%w; once that is fixed, %s", err, toResume), fmt.Sprintf("after %d bytes; %s", done.Resumed+done.Bytes, toResume))
	}
	watch("verify", b.dev.Target)
	read, err = b.engines.Verify(ctx, b.job)
	show.clear()
	if err == nil {
		return done, read, nil
	}
	err = fmt.Errorf("target %s: %w", b.dev.Target, err)
	if errors.Is(err, extent.ErrDiffers) {
		const how = "%w\nif the source was written to meanwhile: copy from a source that is not in use; the same command starts again"
		return done, read, errors.Join(fmt.Errorf(how, err), b.dev.Invalidate(ctx))
	}
	return done, read, interrupted(ctx, err, "during the verification; "+toResume)
}
