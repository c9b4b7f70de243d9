package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

func sourceDir(uuid string) string { return path.Join(SourceDir, uuid) }

// newDir is where a new filesystem is mounted alone while it is filled; TargetDir shows the assembled tree later.
func newDir(uuid string) string { return path.Join("/mnt/new", uuid) }

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
	e.started = append(e.started, started{what: m.Target, there: (*Env).mounted, stop: func(ctx context.Context, e *Env, dir string) error {
		return e.do(ctx, machine.Unmount{Target: dir})
	}})
	return e.do(ctx, machine.Mkdir{Path: m.Target, Mode: 0o755}, m)
}

func (e *Env) mountSource(ctx context.Context, s *plan.Node) (*plan.Device, error) {
	d, err := e.Facts.FS(s.Ref.ID())
	if err == nil && d == nil {
		err = fmt.Errorf("source filesystem %s: not found", s.Ref.ID())
	}
	if err != nil {
		return nil, err
	}
	if err := e.Load(ctx, s.FS.Type); err != nil {
		return nil, err
	}
	t := plan.FSTypeOf(s.FS.Type)
	return d, e.mount(ctx, machine.Mount{Source: d.Path, Target: sourceDir(s.Ref.ID()), Type: s.FS.Type, Flags: machine.ReadOnly, Data: plan.JoinOptions(t.ReadOnly, t.Whole), Quiet: t.Quiet})
}

func (e *Env) mountNew(ctx context.Context, n *plan.Node) (*plan.Device, error) {
	d, err := e.volume(n.Lower())
	if err != nil {
		return nil, err
	}
	if err := e.Load(ctx, n.FS.Type); err != nil {
		return nil, err
	}
	return d, e.mount(ctx, machine.Mount{Source: d.Path, Target: newDir(n.Ref.ID()), Type: n.FS.Type, Data: plan.JoinOptions(n.FS.Options, plan.FSTypeOf(n.FS.Type).Whole)})
}

// dropCaches makes sure that what will be read of a new filesystem comes from its disk: the copy left inodes, directories
// and attributes in the caches as they were meant, and those go only with the mount. No one else uses it at this time.
func (e *Env) dropCaches(ctx context.Context, n *plan.Node, d *plan.Device) error {
	if err := e.unmount(ctx, newDir(n.Ref.ID())); err != nil {
		return err
	}
	return e.do(ctx, machine.Ioctl{Dev: d.Path, Name: "BLKFLSBUF", Req: blkflsbuf, Alters: []string{d.Path}})
}

// blkflsbuf is _IO(0x12, 97) of linux/fs.h: write back and forget what the page cache has of a block device.
const blkflsbuf = 0x1261

// pair finds the two filesystems of a copy.
func (e *Env) pair(c plan.Move) (s, n *plan.Node, err error) {
	s, n = e.Plan.Source.Node(c.From), e.Plan.Target.Node(c.To)
	if s == nil || n == nil {
		return nil, nil, fmt.Errorf("copy %s to %s: not in the plan", c.From, c.To)
	}
	return s, n, nil
}

// each runs one half of the copying for every planned pair that is not done yet.
func (e *Env) each(ctx context.Context, stage string, run func(context.Context, copy.Job) (copy.Counts, error)) error {
	for _, c := range e.Plan.Copies() {
		s, n, err := e.pair(c)
		if err != nil {
			return err
		}
		key := stage + ":" + n.Ref.ID()
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
		j.Progress = e.KernelLog.Watch(j.Progress)
		e.Known.Forget(j.ToDev) // an engine is no effect
		counts, err := run(ctx, j)
		if err == nil {
			err = e.kernelErrors(stage, &counts, j)
		}
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.FS.Mount, withAdvice(err))
		}
		e.tell(stage, "%s: %d files, %d bytes", n.FS.Mount, counts.Files, counts.Bytes)
		e.tellUnread(ctx, stage, key, n.FS.Mount, counts)
		if counts.Unread > 0 && !j.SkipBad {
			return fmt.Errorf("filesystem at %s: %d places could not be read, and the plan's policy is to stop", n.FS.Mount, counts.Unread)
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Done, Text: n.FS.Mount, Facts: copyFacts(counts, c.Engine)}); err != nil {
			return err
		}
	}
	return nil
}

// kernelErrors adds what the kernel logged about the two filesystems of a job.
func (e *Env) kernelErrors(stage string, c *copy.Counts, j copy.Job) error {
	unsure, err := c.AddKernelErrors(e.KernelLog, j.FromDev, j.ToDev)
	if unsure != nil {
		e.tell(stage, "warning: %v; filesystem errors that appear only there may be missed", unsure)
	}
	return err
}

func copyFacts(c copy.Counts, engine string) map[string]string {
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
	if g := splitForSlots(c.Skipped); len(g) > 0 {
		facts["skipped"] = g[0]
	}
	return facts
}

// job prepares one pair for an engine: a copy by files needs both sides mounted, one by blocks neither. A copy that was
// interrupted resumes from its last checkpoint, or starts again on a new filesystem when there is none or the source was
// in use since.
func (e *Env) job(ctx context.Context, stage string, c plan.Move, s, n *plan.Node) (copy.Job, error) {
	key := stage + ":" + n.Ref.ID()
	stamp := fmt.Sprintf("%s; %d", e.stamps()["stamp:"+s.Ref.ID()], e.records.epoch(key))
	j := copy.Job{From: path.Join(sourceDir(s.Ref.ID()), c.Path), Hollow: e.Plan.Hollow(c), Part: c.Path != "", To: newDir(n.Ref.ID()), Type: n.FS.Type, Engine: c.Engine, NewUUID: n.Ref.ID(), NewLabel: n.FS.Label, SkipBad: e.Plan.Policy.ReadError == "skip-and-list",
		Progress: e.noting(ctx, key, func(p copy.Progress) { e.Tell(Event{Stage: stage, Text: n.FS.Mount, Progress: &p}) })}
	if stage == "copy" {
		e.keepCheckpoints(ctx, &j, key, stamp)
		if j.Resume != nil {
			e.tell(stage, "the copy of %s was interrupted; resuming from its last checkpoint", n.FS.Mount)
		}
	}
	if j.Resume == nil && (stage == "copy" || stage == "precheck" && c.Engine != plan.EngineExtent) {
		if err := e.fresh(ctx, c, n); err != nil {
			return j, err
		}
	}
	from, err := e.Facts.FS(s.Ref.ID())
	if err == nil && from == nil {
		err = fmt.Errorf("source filesystem %s: not found", s.Ref.ID())
	}
	if err != nil {
		return j, err
	}
	to, err := e.volume(n.Lower())
	if err != nil {
		return j, err
	}
	j.FromDev, j.ToDev, j.Rotational = from.Path, to.Path, from.Rotational || to.Rotational
	if c.Engine == plan.EngineExtent {
		return j, nil
	}
	j.Tell = func(s string) { e.tell(stage, "%s: %s", n.FS.Mount, s) }
	if m, ok := e.Copier.(copy.Measurer); ok {
		var why []string
		j.Rotational, why = m.Heads(ctx, copy.DiskAuto, copy.Disk{Path: from.Path, Rotational: from.Rotational}, copy.Disk{Path: to.Path, Rotational: to.Rotational})
		for _, w := range why {
			e.tell(stage, "%s", w)
		}
	}
	if stage == "verify" {
		if err := e.dropCaches(ctx, n, to); err != nil {
			return j, err
		}
	}
	if _, err := e.mountSource(ctx, s); err != nil {
		return j, err
	}
	if err := e.isDirectory(s, c.Path); err != nil {
		return j, err
	}
	if _, err := e.mountNew(ctx, n); err != nil {
		return j, err
	}
	if err := e.subvolumes(s, n, &j); err != nil {
		return j, err
	}
	return j, e.refresh(ctx)
}

// isDirectory refuses a part of a source that is none: a symbolic link would lead elsewhere.
func (e *Env) isDirectory(s *plan.Node, part string) error {
	if part == "" {
		return nil
	}
	root, err := e.Inside(sourceDir(s.Ref.ID()))
	if err != nil {
		return err
	}
	for at := strings.TrimPrefix(part, "/"); at != "."; at = path.Dir(at) {
		st, err := fs.Lstat(root, at)
		if err == nil && !st.IsDir() {
			err = errors.New("not a directory")
		}
		if err != nil {
			return fmt.Errorf("source filesystem at %s: %s: %w", s.FS.Mount, part, err)
		}
	}
	return nil
}

// fresh makes sure that a copy from the start finds nothing of an earlier one.
func (e *Env) fresh(ctx context.Context, c plan.Move, n *plan.Node) error {
	if c.Engine == plan.EngineExtent {
		if e.records.open("copy:" + n.Ref.ID()) {
			e.tell("copy", "the copy of %s was interrupted; starting again from the beginning", n.FS.Mount)
		}
		d, err := e.volume(n.Lower())
		if err != nil {
			return err
		}
		return errors.Join(e.wipe(ctx, d), e.refresh(ctx))
	}
	if !e.records.filled(n.Ref.ID()) {
		return nil
	}
	if e.records.Done("copy:" + n.Ref.ID()) {
		return fmt.Errorf("target filesystem %s: the journal says that it is copied, so it is not created again; run `migrate-init cancel` on the old system, and schedule again", n.Ref.ID())
	}
	e.tell("copy", "the copy of %s was interrupted; starting again on a new filesystem", n.FS.Mount)
	if err := e.unmount(ctx, newDir(n.Ref.ID())); err != nil {
		return err
	}
	return e.prepareFS(ctx, n, true)
}

func (e *Env) unmount(ctx context.Context, dir string) error {
	if !e.mounted(dir) {
		return nil
	}
	if err := e.do(ctx, machine.Unmount{Target: dir}); err != nil {
		return err
	}
	e.started = slices.DeleteFunc(e.started, func(s started) bool { return s.what == dir })
	return e.refresh(ctx)
}

func runCopy(ctx context.Context, e *Env) error {
	if err := e.precheck(ctx); err != nil {
		return err
	}
	return e.each(ctx, "copy", e.Copier.Copy)
}

// runVerify verifies the copies and finalizes them: after this a new filesystem carries its planned identity and nothing
// of the engine's own. The journal calls that step "settle".
func runVerify(ctx context.Context, e *Env) error {
	if err := e.each(ctx, "verify", e.Copier.Verify); err != nil {
		return err
	}
	g, ok := e.Copier.(copy.Finalizer)
	if !ok {
		return nil
	}
	for _, c := range e.Plan.Copies() {
		s, n, err := e.pair(c)
		if err != nil {
			return err
		}
		key := "settle:" + n.Ref.ID()
		if e.records.Done(key) {
			continue
		}
		j, err := e.job(ctx, "settle", c, s, n)
		if err != nil {
			return err
		}
		effs, err := g.Finalize(j)
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.FS.Mount, withAdvice(err))
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
			return err
		}
		if err := e.Load(ctx, n.FS.Type); err != nil { // some types are mounted to be grown
			return err
		}
		if err := e.do(ctx, effs...); err != nil {
			return fmt.Errorf("filesystem at %s: %w", n.FS.Mount, err)
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
