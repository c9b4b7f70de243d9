package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

// settled is what a copy by blocks has become.
type settled struct {
	Device string `json:"device"`
	Type   string `json:"type"`
	UUID   string `json:"uuid"`
	Label  string `json:"label,omitempty"`
	Size   int64  `json:"size"` // bytes of the filesystem
}

// blockCopy is one copy by blocks, from looking to the new identity.
type blockCopy struct {
	*call
	src, dst *plan.Device
	alloc    *extent.Allocation
	engines  copy.Engines
	job      copy.Job
	wipe     machine.WriteDevice
	last     *slot // of a copy to go on with
}

// copyBlocks copies the filesystem on a device to another device by its used blocks.
func copyBlocks(ctx context.Context, c *call) error {
	if c.opt.keepUUID && (c.opt.label != "" || c.opt.noGrow) {
		return usageError{errors.New("option --keep-uuid: the copy is then what the source is, in label and size too; leave out --label and --no-grow")}
	}
	if err := c.asRoot(); err != nil {
		return err
	}
	f, err := c.look(ctx, survey.Deep)
	if err != nil {
		return interrupted(ctx, err, "before anything was copied")
	}
	b := &blockCopy{call: c}
	if b.src, err = c.blockSource(f, c.args[0]); err != nil {
		return err
	}
	if b.dst, err = c.blockTarget(f, b.src, c.args[1]); err != nil {
		return err
	}
	// As long as this is open nobody can mount the source, or start something on it.
	hold, err := os.OpenFile(b.src.Path, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		return fmt.Errorf("source %s: nobody else may use it meanwhile: %w; fuser -v %s shows who does", b.src.Path, err, b.src.Path)
	}
	defer hold.Close()
	if err := b.prepare(hold); err != nil {
		return err
	}
	effs, err := b.engines.Finalize(b.job)
	if err != nil {
		return b.unable(err)
	}
	if c.opt.dryRun {
		return b.preview(ctx, effs)
	}
	return b.carryOut(ctx)
}

// prepare reads the source's allocation and what an earlier run left on the target.
func (b *blockCopy) prepare(hold *os.File) error {
	size, err := hold.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("source %s: %w", b.src.Path, err)
	}
	if b.alloc, err = extent.Read(hold, size); err != nil {
		return b.unable(err)
	}
	if b.dst.Size < b.alloc.Size {
		return fmt.Errorf("target %s: it has %d bytes, the filesystem on %s has %d, and cannot shrink; use a larger device, or --engine tree", b.dst.Path, b.dst.Size, b.src.Path, b.alloc.Size)
	}
	if b.alloc.SectorSize < b.dst.Sector {
		return fmt.Errorf("target %s: its sectors have %d bytes, the filesystem on %s writes units of %d, and could not be mounted there; use --engine tree", b.dst.Path, b.dst.Sector, b.src.Path, b.alloc.SectorSize)
	}
	d, err := b.world().Open(b.dst.Path)
	if err != nil {
		return fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	defer d.Close()
	if b.last, err = lastSlot(d); err != nil {
		return fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	if l := b.last; l != nil && l.Checkpoint.Identity != b.alloc.Identity {
		why := fmt.Sprintf("a copy of %s on %s was cut short there; name that source to go on", l.UUID, l.Source)
		if l.UUID == b.alloc.UUID {
			why = "a copy of this source was cut short there, and the source was in use since: going on would mix two states"
		}
		if len(b.opt.wipe) == 0 {
			return fmt.Errorf("target %s: %s; to begin anew, add --wipe %s", b.dst.Path, why, b.dst.Path)
		}
		b.last = nil
	}
	b.wipe = machine.WriteDevice{Dev: b.dst.Path, Why: "wipe old signatures"}
	for _, s := range b.dst.Contents {
		for _, w := range s.Wipe {
			b.wipe.Chunks = append(b.wipe.Chunks, machine.Chunk{Offset: w.Offset, Zero: w.Length})
		}
	}
	b.wipe.Chunks = append(b.wipe.Chunks, machine.Chunk{Zero: slotsEnd})
	b.job = copy.Job{FromDev: b.src.Path, ToDev: b.dst.Path, Type: b.alloc.Type, Engine: plan.EngineExtent, NewLabel: b.opt.label, NoGrow: b.opt.noGrow, SkipBad: b.skips(), CheckpointEvery: b.opt.checkpoint}
	if b.opt.keepUUID {
		return nil
	}
	if b.job.NewUUID, err = plan.NewUUID(b.rand); err != nil {
		return err
	}
	b.job.To = path.Join("/run/migrate-init", b.job.NewUUID)
	return nil
}

// unable says what else can be done about a filesystem that this engine refuses.
func (b *blockCopy) unable(err error) error {
	err = fmt.Errorf("source %s: %w", b.src.Path, err)
	if b.alloc != nil && errors.Is(err, extent.ErrUnsupported) {
		return fmt.Errorf("%w; --no-grow leaves it its size, --keep-uuid its identity too", err)
	}
	if errors.Is(err, extent.ErrUnsupported) {
		return fmt.Errorf("%w; mount it and an empty filesystem, and copy with --engine tree", err)
	}
	return err
}

func (b *blockCopy) preview(ctx context.Context, effs []machine.Effect) error {
	if b.opt.json {
		return printJSON(b.call, copied{Findings: []copyFinding{}, Resumed: b.resumes(), Target: b.becomes(0)})
	}
	m := machine.Printer{W: b.out}
	if !b.resumes() {
		if err := doAll(ctx, m, []machine.Effect{b.wipe}); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "copy %d bytes of used blocks of %s %s from %s to %s, all but the first block\n", b.alloc.CopyBytes(), b.alloc.Type, b.alloc.UUID, b.src.Path, b.dst.Path)
	fmt.Fprintf(b.out, "read them back from %s and compare\n", b.dst.Path)
	return doAll(ctx, m, effs)
}

// becomes is the target in the end; a size of 0 is not known yet.
func (b *blockCopy) becomes(size int64) *settled {
	s := &settled{Device: b.dst.Path, Type: b.alloc.Type, UUID: b.job.NewUUID, Label: b.job.NewLabel, Size: size}
	if s.UUID == "" {
		s.UUID, s.Label = b.alloc.UUID, b.alloc.Label
	}
	return s
}

// resumes tells whether there is something to go on with: after a cut among the last writes there is a state, but it
// says that nothing counts.
func (b *blockCopy) resumes() bool { return b.last != nil && b.last.Checkpoint.Windows > 0 }

func (b *blockCopy) carryOut(ctx context.Context) error {
	const goesOn = "the same command goes on there, as long as the source stays as it is"
	out := copied{Findings: []copyFinding{}, Resumed: b.resumes()}
	m := b.machine()
	from := slot{Source: b.src.Path, UUID: b.alloc.UUID}
	if out.Resumed {
		from = *b.last
		b.note("target %s: a copy of %s was cut short there; it goes on where it was", b.dst.Path, b.src.Path)
	} else if err := doAll(ctx, m, []machine.Effect{b.wipe}); err != nil {
		return interrupted(ctx, fmt.Errorf("target %s: %w", b.dst.Path, err), "before anything was copied")
	}
	st, err := openSlots(b.dst.Path, from)
	if err != nil {
		return fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	defer st.close()
	if !out.Resumed {
		if err := st.anew(b.alloc.Identity); err != nil {
			return fmt.Errorf("target %s: %w", b.dst.Path, err)
		}
	}
	if b.job.Resume, err = st.resume(); err != nil {
		return err
	}
	b.job.Checkpoint = st.checkpoint
	show := newProgress(b.call)
	telling := func(what, dev string) {
		b.job.Progress = func(p copy.Progress) { show.event(stage.Event{Stage: what, Text: dev, Progress: &p}) }
	}
	telling("copy", b.src.Path)
	done, err := b.engines.Copy(ctx, b.job)
	show.clear()
	if err != nil {
		if bad := (*extent.ReadError)(nil); errors.As(err, &bad) && bad.Side == "source" {
			err = fmt.Errorf("%w; --read-error skip-and-list copies the rest", err)
		}
		return interrupted(ctx, fmt.Errorf("%w; once that is mended, %s", err, goesOn), fmt.Sprintf("after %d bytes; %s", st.last.Checkpoint.Bytes, goesOn))
	}
	out.Copied = counted(done)
	telling("verify", b.dst.Path)
	read, err := b.engines.Verify(ctx, b.job)
	show.clear()
	if err != nil {
		err = fmt.Errorf("target %s: %w", b.dst.Path, err)
		if errors.Is(err, extent.ErrDiffers) {
			const how = "%w\nif the source was written to meanwhile: copy from a source that nobody writes to; the same command begins anew"
			return errors.Join(fmt.Errorf(how, err), st.anew(b.alloc.Identity))
		}
		return interrupted(ctx, err, "while it was verified; "+goesOn)
	}
	out.Verified = &counts{Bytes: read.Bytes}
	if err := st.anew(b.alloc.Identity); err != nil { // from here on the target is no longer what was verified
		return fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	if err := b.settle(ctx, m); err != nil {
		return fmt.Errorf("target %s: it was copied and verified, but it did not get its identity and size: %w\nto begin anew, add --wipe %s", b.dst.Path, err, b.dst.Path)
	}
	if out.Target, err = b.result(); err != nil {
		return err
	}
	lacks := incompleteCopy(b.src.Path, done, read)
	if b.opt.json {
		return cmp.Or(printJSON(b.call, out), lacks)
	}
	fmt.Fprintf(b.out, "%d bytes of used blocks: copied, read back and equal%s; %s is %s %s of %d bytes\n", read.Bytes, but(lacks), b.dst.Path, out.Target.Type, out.Target.UUID, out.Target.Size)
	if b.alloc.Label != "" && out.Target.Label == "" {
		b.note("label: the source's is %q, the copy has none; --label gives it one", b.alloc.Label)
	}
	b.list(done, read)
	return lacks
}

// settle is not interrupted: a tool that is killed while it rewrites metadata leaves no filesystem.
func (b *blockCopy) settle(ctx context.Context, m machine.Machine) error {
	ctx = context.WithoutCancel(ctx)
	effs, err := b.engines.Finalize(b.job)
	if err != nil {
		return err
	}
	err = doAll(ctx, m, effs)
	if b.job.To == "" {
		return err
	}
	if err != nil && b.job.Type == "xfs" {
		_, _ = m.Do(ctx, machine.Unmount{Target: b.job.To}) // the first error counts; it may not be mounted at all
	}
	_, rm := m.Do(ctx, machine.Remove{Path: b.job.To})
	return errors.Join(err, rm)
}

// result reads the target again: xfs_admin ends well when it did nothing, too.
func (b *blockCopy) result() (*settled, error) {
	f, err := os.Open(b.dst.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := extent.Read(f, b.dst.Size)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", b.dst.Path, err)
	}
	got, want := settled{b.dst.Path, a.Type, a.UUID, a.Label, a.Size}, b.becomes(a.Size)
	if got != *want {
		return nil, fmt.Errorf("target %s: it should be %s %s with label %q, and is %s %s with label %q; to begin anew, add --wipe %s", b.dst.Path, want.Type, want.UUID, want.Label, got.Type, got.UUID, got.Label, b.dst.Path)
	}
	return &got, nil
}
