package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
	"migrate-init/pkg/tree"
)

// copied is what copy --json prints.
type copied struct {
	Findings []copyFinding `json:"findings"`
	Resumed  bool          `json:"resumed,omitempty"`
	Copied   *counts       `json:"copied,omitempty"`
	Verified *counts       `json:"verified,omitempty"`
	Target   *copyTarget   `json:"target,omitempty"` // of a copy by blocks
	Shared   *sharedCounts `json:"shared,omitempty"`
}

type counts struct {
	Files   int64    `json:"files"`
	Dirs    int64    `json:"dirs"`
	Bytes   int64    `json:"bytes"`
	Resumed int64    `json:"resumed,omitempty"` // names that an earlier run had copied
	Skipped []string `json:"skipped,omitempty"` // what could not be read: the first of it
	Unread  int64    `json:"unread,omitempty"`  // how much of that there is
	Seconds float64  `json:"seconds,omitempty"` // that it took
}

// sharedCounts are bytes of files in extents that something else shares; absent where nothing does.
type sharedCounts struct {
	Source int64 `json:"source"`
	Target int64 `json:"target"`
}

func counted(c copy.Counts, took time.Duration) *counts {
	return &counts{c.Files, c.Dirs, c.Bytes, c.Resumed, c.Skipped, c.Unread, took.Round(time.Millisecond).Seconds()}
}

type copyFinding struct {
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	Count    int64     `json:"count"`
	Detail   string    `json:"detail"`
	Fix      string    `json:"fix,omitempty"`
	Paths    []anyName `json:"paths,omitempty"`
}

// line spells a finding as the tool spells all: subject, detail, fix.
func (f copyFinding) line() string {
	s := f.Severity + " " + f.ID + ": "
	if len(f.Paths) > 0 {
		s += fmt.Sprintf("%q", f.Paths[0])
		if f.Count > 1 {
			s += fmt.Sprintf(" and %d more", f.Count-1)
		}
		s += ": "
	}
	s += f.Detail
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

func cmdCopy(ctx context.Context, c *call) error {
	switch c.opt.engine {
	case plan.EngineTree, plan.EngineExtent:
	default:
		return usageError{fmt.Errorf("option --engine: %q is not an engine; copy has tree and extent", c.opt.engine)}
	}
	switch c.opt.readError {
	case policyStop, policySkip:
	default:
		return usageError{fmt.Errorf("option --read-error: %q is not a policy; use stop or skip-and-list", c.opt.readError)}
	}
	switch c.opt.diskKind {
	case copy.DiskAuto, copy.DiskFlash, copy.DiskHeads:
	default:
		return usageError{fmt.Errorf("disk-kind %q: not known; it is auto, flash or heads", c.opt.diskKind)}
	}
	if c.opt.checkpoint < 0 {
		return usageError{fmt.Errorf("option --checkpoint: %s is negative", c.opt.checkpoint)}
	}
	if c.opt.engine == plan.EngineExtent {
		return copyBlocks(ctx, c)
	}
	if len(c.opt.wipe) > 0 || c.opt.keepUUID || c.opt.noGrow || c.opt.label != "" {
		return usageError{errors.New("options --wipe, --keep-uuid, --no-grow and --label only apply to --engine extent; the tree engine copies into an existing filesystem")}
	}
	src, dst, err := c.directories(ctx, c.args[0], c.args[1])
	if err != nil {
		return err
	}
	log := c.watchKernel(func(err error) { c.note("%v", err) })
	f, err := c.look(ctx, survey.Shallow)
	if err != nil {
		return interrupted(ctx, err, "before anything was copied")
	}
	d, err := copy.OpenDir(src, dst)
	if err != nil {
		return err
	}
	defer d.Close()
	engines := &copy.Engines{Disk: c.direct}
	job := copy.Job{SkipBad: c.skips(), DiskKnown: c.opt.diskKind != copy.DiskAuto, CheckpointEvery: c.opt.checkpoint}
	var why []string
	job.Rotational, why = engines.Heads(ctx, c.opt.diskKind, disksOf(f, src, dst)...)
	for _, w := range why {
		c.note("%s", w)
	}
	out := copied{Resumed: d.Resumed()}
	if out.Findings, err = precheck(ctx, d, job); err != nil {
		return interrupted(ctx, err, "before anything was copied")
	}
	fails := 0
	for _, f := range out.Findings {
		if f.Severity == tree.Fail.String() {
			fails++
		}
		if !c.opt.json {
			c.note("%s", f.line())
		}
	}
	if fails > 0 {
		if c.opt.json {
			err = printJSON(c, out)
		}
		return errors.Join(fmt.Errorf("source %s: %d of the findings make a complete copy impossible; fix them and run the command again; nothing was copied", src, fails), err)
	}
	if c.opt.dryRun {
		if c.opt.json {
			return printJSON(c, out)
		}
		fmt.Fprintf(c.out, "%s can be copied to %s; nothing was copied\n", src, dst)
		return nil
	}
	return transfer(ctx, c, f, dirCopy{d, src, dst, job, engines}, out, log)
}

// directories refuses what is no directory, a target that is the source, and one in it that no mount point parts from
// it: it would be copied into itself.
func (c *call) directories(ctx context.Context, src, dst string) (string, string, error) {
	var real [2]string
	for i, d := range []string{src, dst} {
		what := [...]string{"source ", "target "}[i] + d
		p, err := filepath.EvalSymlinks(d)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", what, err)
		}
		st, err := os.Stat(p)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", what, err)
		}
		if !st.IsDir() {
			return "", "", fmt.Errorf("%s: it is not a directory; mount the filesystem and name the directory", what)
		}
		if real[i], err = filepath.Abs(p); err != nil {
			return "", "", fmt.Errorf("%s: %w", what, err)
		}
	}
	a, b := strings.TrimSuffix(real[0], "/")+"/", strings.TrimSuffix(real[1], "/")+"/"
	if a == b {
		return "", "", fmt.Errorf("target %s: it is the source; name another directory", dst)
	}
	if strings.HasPrefix(b, a) {
		f, err := c.look(ctx, survey.Shallow)
		if err != nil {
			return "", "", err
		}
		parted := false
		for _, m := range f.Mounts {
			at := strings.TrimSuffix(m.Target, "/") + "/"
			parted = parted || at != a && strings.HasPrefix(at, a) && strings.HasPrefix(b, at)
		}
		if !parted {
			return "", "", fmt.Errorf("target %s: it is inside the source, on the same filesystem, and would be copied into itself; name a directory elsewhere", dst)
		}
	}
	return real[0], real[1], nil
}

// precheck lists what the copy will not have. With skip-and-list what cannot be read does not forbid it.
func precheck(ctx context.Context, d *copy.Dir, j copy.Job) ([]copyFinding, error) {
	scan, err := d.Precheck(ctx, j)
	if err != nil {
		return nil, err
	}
	out := []copyFinding{}
	for _, f := range scan.Findings {
		var paths []anyName
		for _, p := range f.Paths {
			paths = append(paths, anyName(p))
		}
		out = append(out, copyFinding{f.ID, f.Severity.String(), f.Count, f.Detail, f.Fix, paths})
	}
	return out, nil
}

// disksOf lists the devices that directories lie on.
func disksOf(f *plan.Facts, dirs ...string) (out []copy.Disk) {
	for _, dir := range dirs {
		if d := deviceOf(f, dir); d != nil {
			out = append(out, copy.Disk{Path: d.Path, Rotational: d.Rotational})
		}
	}
	return out
}

// deviceOf is the device under a directory; nil where it lies on none that is known.
func deviceOf(f *plan.Facts, dir string) *plan.Device {
	device, deepest := "", -1
	for _, m := range f.Mounts {
		at := strings.TrimSuffix(m.Target, "/") + "/"
		if strings.HasPrefix(dir+"/", at) && len(at) >= deepest { // of mounts at one place the last is the one that is seen
			device, deepest = m.Device, len(at)
		}
	}
	return f.Dev(device)
}

// dirCopy is one copy of a directory, and its two sides as they are printed.
type dirCopy struct {
	dir      *copy.Dir
	src, dst string
	job      copy.Job
	engines  *copy.Engines
}

const toResume = "run the same command again to resume it, as long as the source stays unchanged"

func transfer(ctx context.Context, c *call, f *plan.Facts, d dirCopy, out copied, log *copy.KernelLog) error {
	if out.Resumed {
		c.note("target %s: resuming an interrupted copy of %s", d.dst, d.src)
	}
	show, job := newProgress(c), d.job
	job.Tell = func(s string) {
		show.clear()
		c.note("%s", s)
	}
	watch := func(what, dir string) func(copy.Progress) {
		return log.Watch(func(p copy.Progress) { show.event(stage.Event{Stage: what, Text: dir, Progress: &p}) })
	}
	if err := d.dir.Begin(ctx, &job); err != nil {
		return err
	}
	begin := c.now()
	job.Progress = watch("copy", d.src)
	done, err := d.engines.Copy(ctx, job)
	show.clear()
	if errors.Is(err, tree.ErrNotEmpty) {
		d.dir.Abandon()
		return fmt.Errorf("target %s: %w; name an empty directory", d.dst, err)
	}
	if err != nil {
		if tree.Unreadable(err) {
			err = fmt.Errorf("%w; --read-error skip-and-list copies the rest", err)
		}
		return interrupted(ctx, fmt.Errorf("%w; once that is fixed, %s", err, toResume), fmt.Sprintf("after %d files; %s", done.Files, toResume))
	}
	out.Copied = counted(done, c.now().Sub(begin))
	begin = c.now()
	job.Progress = watch("verify", d.dst)
	verified, err := d.engines.Verify(ctx, job)
	show.clear()
	if err != nil {
		err = fmt.Errorf("target %s: %w\nif the source was written to meanwhile: empty the target, and copy from a source that is not in use", d.dst, err)
		return interrupted(ctx, err, "during the verification; run the same command again to resume it")
	}
	if verified.SharedSource > 0 {
		out.Shared = &sharedCounts{verified.SharedSource, verified.SharedTarget}
	}
	if err := c.damage(f, d.src, d.dst, log, &verified); err != nil {
		return err
	}
	out.Verified = counted(verified, c.now().Sub(begin))
	if err := d.dir.Finish(); err != nil {
		return err
	}
	return c.copiedDir(d.src, out, done, verified)
}

// copiedDir prints the result of a finished copy.
func (c *call) copiedDir(src string, out copied, done, verified copy.Counts) error {
	missing := incompleteCopy(src, done, verified)
	if c.opt.json {
		return cmp.Or(printJSON(c, out), missing)
	}
	fmt.Fprintf(c.out, "%d files and %d directories, %d bytes: copied, read back and equal%s\n", done.Files, done.Dirs, done.Bytes, exceptUnread(missing))
	if x := out.Shared; x != nil {
		fmt.Fprintf(c.out, "%d bytes are in shared extents in the source, %d in the target\n", x.Source, x.Target)
	}
	c.list(done, verified)
	return missing
}

// interrupted tells an interrupt from a failure, and when it came.
func interrupted(ctx context.Context, err error, when string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("copy: interrupted %s", when)
	}
	return err
}
