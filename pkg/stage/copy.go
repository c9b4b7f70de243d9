package stage

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Job is one filesystem to copy or verify.
type Job struct {
	From, To string // directories: where both are mounted
	FromDev  string // devices, for an engine that copies blocks
	ToDev    string
	Type     string
	Engine   string
	SkipBad  bool // read errors are listed, not fatal
	Progress func(Progress)
}

// Counts of a finished job.
type Counts struct {
	Files, Dirs, Bytes int64
	Skipped            []string // what could not be read, when the plan allows that
	Hash               string   // over the manifest
}

// Copier is the engine: pkg/tree or pkg/extent, chosen by Job.Engine.
type Copier interface {
	// Copy copies a whole filesystem into an empty one and syncs it.
	Copy(ctx context.Context, j Job) (Counts, error)
	// Verify re-reads the target from its disk and compares data, metadata and counts; a difference is an error that
	// names the file.
	Verify(ctx context.Context, j Job) (Counts, error)
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

// each runs one half of the copying for every planned pair that is not done yet.
func (e *Env) each(ctx context.Context, stage string, run func(context.Context, Job) (Counts, error)) error {
	for _, c := range e.Plan.Copies {
		s, n := e.Plan.FindSource(c.From), e.Plan.FindFS(c.To)
		if s == nil || n == nil {
			return fmt.Errorf("copy %s to %s: not in the plan", c.From, c.To)
		}
		key := stage + ":" + n.UUID
		if e.records.Done(key) {
			continue
		}
		if stage == "copy" && e.records.Begun(key) {
			e.tell(stage, "the copy of %s was cut short: it starts again on a new filesystem", s.Mount)
			if err := e.unmount(ctx, newDir(n.UUID)); err != nil {
				return err
			}
			if err := e.prepareFS(ctx, *n, true); err != nil {
				return err
			}
		}
		from, err := e.mountSource(ctx, s)
		if err != nil {
			return err
		}
		to, err := e.mountNew(ctx, n)
		if err != nil {
			return err
		}
		if err := e.refresh(ctx); err != nil {
			return err
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
			return err
		}
		counts, err := run(ctx, Job{From: sourceDir(s.UUID), To: newDir(n.UUID), FromDev: from.Path, ToDev: to.Path, Type: n.Type, Engine: c.Engine, SkipBad: e.Plan.Policy.ReadError == "skip-and-list",
			Progress: func(p Progress) {
				if p.TotalBytes == 0 {
					p.TotalBytes = s.Used
				}
				e.Tell(Event{Stage: stage, Text: s.Mount, Progress: &p})
			}})
		if err != nil {
			return fmt.Errorf("filesystem at %s: %w", s.Mount, err)
		}
		e.tell(stage, "%s: %d files, %d bytes", s.Mount, counts.Files, counts.Bytes)
		facts := map[string]string{"files": strconv.FormatInt(counts.Files, 10), "dirs": strconv.FormatInt(counts.Dirs, 10), "bytes": strconv.FormatInt(counts.Bytes, 10), "engine": c.Engine}
		if counts.Hash != "" {
			facts["hash"] = counts.Hash
		}
		if len(counts.Skipped) > 0 {
			facts["skipped"] = strings.Join(counts.Skipped, "\n")
		}
		if err := e.Record(ctx, Record{Stage: key, Event: Done, Text: s.Mount, Facts: facts}); err != nil {
			return err
		}
	}
	return nil
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

func runCopy(ctx context.Context, e *Env) error { return e.each(ctx, "copy", e.Copier.Copy) }

func runVerify(ctx context.Context, e *Env) error { return e.each(ctx, "verify", e.Copier.Verify) }
