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

// ErrOldState says that a target holds the state of an interrupted copy by an older version, which cannot be resumed.
var ErrOldState = errors.New("an interrupted copy by an older migrate-init is there, which this one cannot resume")

// ErrSourceChanged says that the source of an interrupted copy was in use since.
var ErrSourceChanged = errors.New("a copy of this source was interrupted there, and the source was in use since: resuming would mix two states")

// DeviceState returns what an interrupted copy by blocks left on a target, nil for nothing.
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

// Device is a copy of the filesystem on one device to another device in a running system. Its state lies in the first 4096
// bytes of the target.
type Device struct {
	Source, Target string
	Alloc          *extent.Allocation // of the source

	hold  *os.File
	state *stateFile
	kept  Checkpoints
}

// OpenDevice opens the source for as long as the copy takes, so that no one can mount it or start something on it, and
// reads its allocation. Close releases it.
func OpenDevice(source, target string) (*Device, error) {
	hold, err := os.OpenFile(source, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		return nil, fmt.Errorf("source %s: it must not be in use during the copy: %w; fuser -v %s shows who uses it", source, err, source)
	}
	d := &Device{Source: source, Target: target, hold: hold, kept: Checkpoints{Slots: deviceSlots()}}
	size, err := hold.Seek(0, io.SeekEnd)
	if err == nil {
		d.Alloc, err = extent.Read(hold, size)
	}
	if err != nil {
		_ = hold.Close()
		return nil, fmt.Errorf("source %s: %w", source, err)
	}
	return d, nil
}

// Fits refuses a target on which the filesystem could not be mounted.
func (d *Device) Fits(size, sector int64) error {
	if size < d.Alloc.Size {
		return fmt.Errorf("target %s: it has %d bytes, the filesystem on %s has %d and cannot shrink; use a larger device, or --engine tree", d.Target, size, d.Source, d.Alloc.Size)
	}
	if d.Alloc.SectorSize < sector {
		return fmt.Errorf("target %s: its sectors have %d bytes, but the filesystem on %s writes units of %d and could not be mounted there; use --engine tree", d.Target, sector, d.Source, d.Alloc.SectorSize)
	}
	return nil
}

// Load reads what an interrupted copy left on the target. What cannot be resumed is an error; the caller may start again all
// the same.
func (d *Device) Load(r io.ReaderAt) error {
	last, err := DeviceState(r)
	if err != nil {
		return err
	}
	switch {
	case last == nil || last.Stamp == d.Alloc.Identity:
		d.kept.Last = last
		return nil
	case last.Key == d.Alloc.UUID:
		return ErrSourceChanged
	}
	return fmt.Errorf("a copy of %s on %s was interrupted there; name that source to resume it", last.Key, last.Source)
}

// Resumed reports whether there is something to go on with. A copy that was interrupted among its last writes left a state
// that says that nothing counts.
func (d *Device) Resumed() bool { return d.kept.Last.counts() }

func (d *Device) checkpoint() Checkpoint {
	return Checkpoint{Key: d.Alloc.UUID, Stamp: d.Alloc.Identity, Source: d.Source}
}

// Wipe is the first effect of a copy that is not resumed: it removes what chunks say, and an earlier state.
func (d *Device) Wipe(chunks []machine.Chunk) machine.WriteDevice {
	return machine.WriteDevice{Dev: d.Target, Why: "wipe old signatures", Chunks: append(chunks, machine.Chunk{Zero: deviceStateSize})}
}

// Begin makes a job keep its checkpoints on the target. A target that is not resumed has been wiped before.
func (d *Device) Begin(ctx context.Context, j *Job) (err error) {
	if d.state, err = openStateDevice(d.Target); err != nil {
		return fmt.Errorf("target %s: %w", d.Target, err)
	}
	d.kept.Write = d.state.write
	d.kept.Attach(ctx, j, d.checkpoint())
	if d.Resumed() {
		return nil
	}
	return d.Void(ctx)
}

// Void says on the target that nothing on it counts, so that the next copy starts again. It is not interrupted.
func (d *Device) Void(ctx context.Context) error {
	if err := d.kept.Void(context.WithoutCancel(ctx), d.checkpoint()); err != nil {
		return fmt.Errorf("target %s: %w", d.Target, err)
	}
	return nil
}

// Finalize makes a verified copy a filesystem of its own. It is not interrupted, because a tool that is killed while it
// rewrites metadata leaves no filesystem.
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
		_, _ = m.Do(ctx, machine.Unmount{Target: j.To}) // the first error counts; it may not be mounted at all
	}
	_, rm := m.Do(ctx, machine.Remove{Path: j.To})
	return errors.Join(err, rm)
}

// Result reads the finished target, and refuses one that did not become what the job asks for: xfs_admin exits with 0
// even when it did nothing.
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

// Identity is what the target has in the end.
func (d *Device) Identity(j Job) (uuid, label string) {
	if j.NewUUID == "" {
		return d.Alloc.UUID, d.Alloc.Label
	}
	return j.NewUUID, j.NewLabel
}

// Close releases source and state.
func (d *Device) Close() {
	_ = d.hold.Close()
	if d.state != nil {
		d.state.close()
	}
}
