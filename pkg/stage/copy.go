package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/tree"
)

// Job is one filesystem to copy or verify.
type Job struct {
	From, To string // directories: where both are mounted
	FromDev  string // devices, for an engine that copies blocks
	ToDev    string
	Type     string
	Engine   string
	NewUUID  string // identity of the new filesystem, and its label: a copy by blocks brings the old ones; "": they stay
	NewLabel string
	NoGrow   bool // a copy by blocks keeps its size
	SkipBad  bool // read errors are listed, not fatal
	// Rotational says that a disk with heads is involved.
	Rotational bool
	Progress   func(Progress)
	Checkpoint func(data any) error // says that what data (JSON) tells is on the target's medium; nil: nobody asks
	// CheckpointEvery is the time between two checkpoints of a copy by blocks; 0: the engine's own.
	CheckpointEvery time.Duration
	Resume          json.RawMessage // what the last checkpoint of an interrupted copy said; nil: from the start
}

// Counts of a finished job.
type Counts struct {
	Files, Dirs, Bytes int64
	Resumed            int64    // bytes or names that an earlier boot had copied already
	Skipped            []string // what could not be read, when the plan allows that: the first of it
	Unread             int64    // how much of that there is
	Hash               string   // over the manifest
}

// Copier is the engine: pkg/tree or pkg/extent, chosen by Job.Engine.
type Copier interface {
	// Precheck says, before anything is copied, what of a source its target will not hold. The target is a new
	// filesystem; what is tried out there is gone when it returns.
	Precheck(ctx context.Context, j Job) (tree.Scan, error)
	// Copy copies a whole filesystem into an empty one and syncs it.
	Copy(ctx context.Context, j Job) (Counts, error)
	// Verify re-reads the target from its disk and compares data, metadata and counts; a difference is an error that
	// names the file.
	Verify(ctx context.Context, j Job) (Counts, error)
}

// Settler is a Copier that has something to put right once a copy has been verified.
type Settler interface {
	Settle(j Job) ([]machine.Effect, error)
}

func sourceDir(uuid string) string { return path.Join(SourceDir, uuid) }

// newDir is where a new filesystem is mounted alone while it is filled; TargetDir shows the assembled tree later.
func newDir(uuid string) string { return path.Join("/mnt/new", uuid) }

// readOnlyData are the options that keep a read-only mount from replaying a journal (failures.md, 40).
func readOnlyData(typ string) string {
	switch typ {
	case "ext3", "ext4":
		return "noload"
	case "xfs":
		return "norecovery"
	}
	return ""
}

func (e *Env) mounted(dir string) bool {
	for _, m := range e.Facts.Mounts {
		if m.Target == dir {
			return true
		}
	}
	return false
}

func (e *Env) mount(ctx context.Context, m machine.Mount) error {
	if e.mounted(m.Target) {
		return nil
	}
	return e.do(ctx, machine.Mkdir{Path: m.Target, Mode: 0o755}, m)
}

func (e *Env) mountSource(ctx context.Context, s *plan.SourceFS) (*plan.Device, error) {
	d, err := e.Facts.FS(s.UUID)
	if err == nil && d == nil {
		err = fmt.Errorf("source filesystem %s: not here", s.UUID)
	}
	if err != nil {
		return nil, err
	}
	if err := e.Load(ctx, s.Type); err != nil {
		return nil, err
	}
	return d, e.mount(ctx, machine.Mount{Source: d.Path, Target: sourceDir(s.UUID), Type: s.Type, Flags: machine.ReadOnly, Data: readOnlyData(s.Type)})
}

func (e *Env) mountNew(ctx context.Context, n *plan.NewFS) (*plan.Device, error) {
	d, err := e.volume(n.On)
	if err != nil {
		return nil, err
	}
	if err := e.Load(ctx, n.Type); err != nil {
		return nil, err
	}
	return d, e.mount(ctx, machine.Mount{Source: d.Path, Target: newDir(n.UUID), Type: n.Type})
}

// uncache makes sure that what will be read of a new filesystem comes from its disk: the copy left inodes, directories
// and attributes in the caches as they were meant, and those go only with the mount. Nobody else uses it at this time.
func (e *Env) uncache(ctx context.Context, n *plan.NewFS, d *plan.Device) error {
	if err := e.unmount(ctx, newDir(n.UUID)); err != nil {
		return err
	}
	return e.do(ctx, machine.Ioctl{Dev: d.Path, Name: "BLKFLSBUF", Req: blkflsbuf, Alters: []string{d.Path}})
}

// blkflsbuf is _IO(0x12, 97) of linux/fs.h: write back and forget what the page cache has of a block device.
const blkflsbuf = 0x1261

// pair finds the two filesystems of a copy.
func (e *Env) pair(c plan.Copy) (*plan.SourceFS, *plan.NewFS, error) {
	s, n := e.Plan.FindSource(c.From), e.Plan.FindFS(c.To)
	if s == nil || n == nil {
		return nil, nil, fmt.Errorf("copy %s to %s: not in the plan", c.From, c.To)
	}
	return s, n, nil
}

// each runs one half of the copying for every planned pair that is not done yet.
func (e *Env) each(ctx context.Context, stage string, run func(context.Context, Job) (Counts, error)) error {
	for _, c := range e.Plan.Copies {
		s, n, err := e.pair(c)
		if err != nil {
			return err
		}
		key := stage + ":" + n.UUID
		if e.records.Done(key) {
			continue
		}
		j, err := e.job(ctx, stage, c, s, n)
		if err != nil {
			return err
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
			return err
		}
		j.Progress = e.Ear.Listening(j.Progress)
		counts, err := run(ctx, j)
		if err == nil {
			err = e.complaints(stage, &counts, j)
		}
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", s.Mount, mended(err))
		}
		e.tell(stage, "%s: %d files, %d bytes", s.Mount, counts.Files, counts.Bytes)
		e.tellUnread(ctx, stage, key, s.Mount, counts)
		if counts.Unread > 0 && !j.SkipBad {
			return fmt.Errorf("filesystem at %s: %d places could not be read, and the plan's policy is to stop", s.Mount, counts.Unread)
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Done, Text: s.Mount, Facts: counts.facts(c.Engine)}); err != nil {
			return err
		}
	}
	return nil
}

func (c Counts) facts(engine string) map[string]string {
	facts := map[string]string{"files": strconv.FormatInt(c.Files, 10), "dirs": strconv.FormatInt(c.Dirs, 10), "bytes": strconv.FormatInt(c.Bytes, 10), "engine": engine}
	if c.Hash != "" {
		facts["hash"] = c.Hash
	}
	if c.Resumed > 0 {
		facts["resumed"] = strconv.FormatInt(c.Resumed, 10)
	}
	if c.Unread > 0 {
		facts["unread"] = strconv.FormatInt(c.Unread, 10)
	}
	if g := slotfuls(c.Skipped); len(g) > 0 {
		facts["skipped"] = g[0]
	}
	return facts
}

// job prepares one pair for an engine: a tree wants both sides mounted, blocks want neither. A copy that was cut short
// goes on from its last checkpoint, or starts again on a new filesystem when there is none or the source was in use.
func (e *Env) job(ctx context.Context, stage string, c plan.Copy, s *plan.SourceFS, n *plan.NewFS) (Job, error) {
	key := stage + ":" + n.UUID
	stamp := fmt.Sprintf("%s; %d", e.stamps()["stamp:"+s.UUID], e.records.epoch(key))
	j := Job{From: sourceDir(s.UUID), To: newDir(n.UUID), Type: n.Type, Engine: c.Engine, NewUUID: n.UUID, NewLabel: n.Label, SkipBad: e.Plan.Policy.ReadError == "skip-and-list",
		Progress: e.noting(ctx, key, func(p Progress) { e.Tell(Event{Stage: stage, Text: s.Mount, Progress: &p}) }, s.Used)}
	if stage == "copy" {
		j.Checkpoint, j.Resume = e.checkpointer(ctx, key, stamp), e.resumable(key, stamp)
		if j.Resume != nil {
			e.tell(stage, "the copy of %s was cut short: it goes on from its last checkpoint", s.Mount)
		}
	}
	if j.Resume == nil && (stage == "copy" || stage == "precheck" && c.Engine != plan.EngineExtent) {
		if err := e.fresh(ctx, c, n); err != nil {
			return j, err
		}
	}
	from, err := e.Facts.FS(s.UUID)
	if err == nil && from == nil {
		err = fmt.Errorf("source filesystem %s: not here", s.UUID)
	}
	if err != nil {
		return j, err
	}
	to, err := e.volume(n.On)
	if err != nil {
		return j, err
	}
	j.FromDev, j.ToDev, j.Rotational = from.Path, to.Path, from.Rotational || to.Rotational
	if c.Engine == plan.EngineExtent {
		return j, nil
	}
	if stage == "verify" {
		if err := e.uncache(ctx, n, to); err != nil {
			return j, err
		}
	}
	if _, err := e.mountSource(ctx, s); err != nil {
		return j, err
	}
	if _, err := e.mountNew(ctx, n); err != nil {
		return j, err
	}
	return j, e.refresh(ctx)
}

// fresh makes sure that a copy from the start finds nothing of an earlier one.
func (e *Env) fresh(ctx context.Context, c plan.Copy, n *plan.NewFS) error {
	if c.Engine == plan.EngineExtent {
		d, err := e.volume(n.On)
		if err != nil {
			return err
		}
		return errors.Join(e.wipe(ctx, d), e.refresh(ctx))
	}
	if !e.records.filled(n.UUID) {
		return nil
	}
	if e.records.Done("copy:" + n.UUID) {
		return fmt.Errorf("target filesystem %s: the journal says that it is copied, and it is not made anew; migrate-init cancel on the old system, and schedule again", n.UUID)
	}
	e.tell("copy", "the copy of %s was cut short: it starts again on a new filesystem", n.Mount)
	if err := e.unmount(ctx, newDir(n.UUID)); err != nil {
		return err
	}
	return e.prepareFS(ctx, *n, true)
}

func (e *Env) unmount(ctx context.Context, dir string) error {
	if !e.mounted(dir) {
		return nil
	}
	if err := e.do(ctx, machine.Unmount{Target: dir}); err != nil {
		return err
	}
	return e.refresh(ctx)
}

func runCopy(ctx context.Context, e *Env) error {
	if err := e.precheck(ctx); err != nil {
		return err
	}
	return e.each(ctx, "copy", e.Copier.Copy)
}

// runVerify proves the copies, and then lets the engine settle what it left: after this a new filesystem carries its
// planned identity and nothing else.
func runVerify(ctx context.Context, e *Env) error {
	if err := e.each(ctx, "verify", e.Copier.Verify); err != nil {
		return err
	}
	g, ok := e.Copier.(Settler)
	if !ok {
		return nil
	}
	for _, c := range e.Plan.Copies {
		s, n, err := e.pair(c)
		if err != nil {
			return err
		}
		key := "settle:" + n.UUID
		if e.records.Done(key) {
			continue
		}
		j, err := e.job(ctx, "settle", c, s, n)
		if err != nil {
			return err
		}
		effs, err := g.Settle(j)
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.Mount, mended(err))
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
			return err
		}
		if err := e.do(ctx, effs...); err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.Mount, err)
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Done}); err != nil {
			return err
		}
		if err := e.refresh(ctx); err != nil {
			return err
		}
	}
	return nil
}
