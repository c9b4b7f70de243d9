package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/machine"
)

// ErrOldState means that the target holds an interrupted copy by an older version, which cannot be resumed.
var ErrOldState = errors.New("an older migrate-init left an interrupted copy there, which this version cannot resume")

// ErrSourceChanged means that the source of an interrupted copy has been in use since.
var ErrSourceChanged = errors.New("a copy of this source was interrupted there, and the source has been in use since: resuming would mix two states")

// DeviceState returns the checkpoint that an interrupted block copy left on a target, or nil if there is none. The error is
// ErrOldState for the state of an older version.
func DeviceState(r io.ReaderAt) (*Checkpoint, error) {
	last, err := deviceSlots().Read(r)
	if last != nil || err != nil {
		return last, err
	}
	const oldMark = "migrate-init copy by blocks\n"
	for _, at := range deviceSlots().At {
		b := make([]byte, len(oldMark))
		if _, err := r.ReadAt(b, at); err == nil && bytes.Equal(b, []byte(oldMark)) {
			return nil, ErrOldState
		}
	}
	return nil, nil
}

// Device is a copy of a filesystem from one device to another in a running system. It keeps its state in the first 4096 bytes
// of the target.
type Device struct {
	Source, Target string
	Alloc          *extent.Allocation // of the source

	src         *os.File // open exclusively
	state       *stateFile
	checkpoints Checkpoints
}

// OpenDevice opens the source exclusively until Close, so that it cannot be mounted or become part of a device stack during
// the copy, and reads its allocation.
func OpenDevice(source, target string) (*Device, error) {
	f, err := os.OpenFile(source, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		return nil, fmt.Errorf("source %s: it must not be in use during the copy: %w; find what uses it: fuser -v %s", source, err, source)
	}
	d := &Device{Source: source, Target: target, src: f, checkpoints: Checkpoints{Slots: deviceSlots()}}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		d.Alloc, err = extent.Read(f, size)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("source %s: %w", source, err)
	}
	return d, nil
}

// Fits returns an error if the filesystem could not be mounted on a target of size bytes whose logical sectors have sector
// bytes.
func (d *Device) Fits(size, sector int64) error {
	if size < d.Alloc.Size {
		return fmt.Errorf("target %s: it has %d bytes, but the filesystem on %s has %d and cannot be shrunk; use a larger device, or --engine tree", d.Target, size, d.Source, d.Alloc.Size)
	}
	if d.Alloc.SectorSize < sector {
		return fmt.Errorf("target %s: its sectors have %d bytes, but the filesystem on %s is written in units of %d and could not be mounted there; use --engine tree", d.Target, sector, d.Source, d.Alloc.SectorSize)
	}
	return nil
}

// Load reads the state that an interrupted copy left on the target. It returns an error if that copy cannot be resumed; the
// caller may still start from the beginning.
func (d *Device) Load(r io.ReaderAt) error {
	last, err := DeviceState(r)
	if err != nil {
		return err
	}
	switch {
	case last == nil || last.Stamp == d.Alloc.Identity:
		d.checkpoints.Last = last
		return nil
	case last.Key == d.Alloc.UUID:
		return ErrSourceChanged
	}
	return fmt.Errorf("a copy of %s on %s was interrupted there; name that source to resume it", last.Key, last.Source)
}

// Resumed reports whether the copy resumes an earlier one. It does not if the earlier one was interrupted during Finalize: its
// checkpoints were invalidated before.
func (d *Device) Resumed() bool { return d.checkpoints.Last.resumable() }

func (d *Device) checkpoint() Checkpoint {
	return Checkpoint{Key: d.Alloc.UUID, Stamp: d.Alloc.Identity, Source: d.Source}
}

// Wipe returns the first effect of a copy that is not resumed. It writes chunks, which erase old signatures, and erases the
// state of an earlier copy.
func (d *Device) Wipe(chunks []machine.Chunk) machine.WriteDevice {
	return machine.WriteDevice{Dev: d.Target, Why: "wipe old signatures", Chunks: append(chunks, machine.Chunk{Zero: deviceStateSize})}
}

// Begin makes j write its checkpoints to the target. Unless the copy is resumed, the caller must have carried out Wipe.
func (d *Device) Begin(ctx context.Context, j *Job) (err error) {
	if d.state, err = openStateDevice(d.Target); err != nil {
		return fmt.Errorf("target %s: %w", d.Target, err)
	}
	d.checkpoints.Write = d.state.write
	d.checkpoints.Attach(ctx, j, d.checkpoint())
	if d.Resumed() {
		return nil
	}
	return d.Invalidate(ctx)
}

// Invalidate records on the target that nothing on it is valid, so that the next copy starts from the beginning. It ignores
// cancellation of ctx.
func (d *Device) Invalidate(ctx context.Context) error {
	if err := d.checkpoints.Invalidate(context.WithoutCancel(ctx), d.checkpoint()); err != nil {
		return fmt.Errorf("target %s: %w", d.Target, err)
	}
	return nil
}

// Finalize turns a verified copy into a filesystem with its own identity. It ignores cancellation of ctx: a tool that is
// killed while it rewrites metadata leaves a broken filesystem.
func (d *Device) Finalize(ctx context.Context, m machine.Machine, f Finalizer, j Job) error {
	ctx = context.WithoutCancel(ctx)
	effs, err := f.Finalize(j)
	if err != nil {
		return err
	}
	for _, e := range effs {
		if _, err = m.Do(ctx, e); err != nil {
			break
		}
	}
	if j.To == "" {
		return err
	}
	if err != nil && extent.GrowsMounted(j.Type) {
		_, _ = m.Do(ctx, machine.Unmount{Target: j.To}) // the first error is reported; it may not even be mounted
	}
	_, rm := m.Do(ctx, machine.Remove{Path: j.To})
	return errors.Join(err, rm)
}

// Result reads the allocation of the finished target. It returns an error if the target does not have the type, UUID and label
// that j asks for: xfs_admin exits with 0 even if it did nothing.
func (d *Device) Result(j Job, size int64) (*extent.Allocation, error) {
	f, err := os.Open(d.Target)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := extent.Read(f, size)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", d.Target, err)
	}
	uuid, label := d.Identity(j)
	if a.Type != d.Alloc.Type || a.UUID != uuid || a.Label != label {
		return nil, fmt.Errorf("target %s: it should be %s %s with label %q, but is %s %s with label %q", d.Target, d.Alloc.Type, uuid, label, a.Type, a.UUID, a.Label)
	}
	return a, nil
}

// Identity returns the UUID and label that the finished target has.
func (d *Device) Identity(j Job) (uuid, label string) {
	if j.NewUUID == "" {
		return d.Alloc.UUID, d.Alloc.Label
	}
	return j.NewUUID, j.NewLabel
}

// Close closes the source and the state on the target.
func (d *Device) Close() {
	_ = d.src.Close()
	if d.state != nil {
		d.state.close()
	}
}
