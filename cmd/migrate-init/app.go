package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/rootfs"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

// app is what the commands touch of the outer world. main fills it with this machine, a test with a made-up one.
type app struct {
	// world is what survey reads. Its root is the machine's: state, boot loader, modules. Files that the operator names
	// on the command line are the process's own.
	world func() survey.World
	// loaders are the boot loaders that are known.
	loaders loader.Table
	// direct opens a disk to be measured; nil: as the engines do.
	direct func(path string) (copy.Direct, error)
	// machine carries effects out.
	machine func() machine.Machine
	// inside opens a directory of the machine as a root out of which no symbolic link leads.
	inside func(dir string) (fs.FS, error)
	// place is where this process finds a directory of the machine.
	place func(dir string) string
	// alone keeps other calls of this program out until it is released.
	alone func() (release func(), err error)
	// apart runs f with mounts of its own.
	apart func(f func() error) error
	// self is the path of this program in the machine's root.
	self   func() (string, error)
	now    func() time.Time
	uptime func() float64
	// wait looks at cond again at every uevent, until it holds or the time is over.
	wait func(ctx context.Context, limit time.Duration, cond func() (bool, error)) error
	// kernelLog opens the kernel's log, from now on; nil: it is not read.
	kernelLog func() (*copy.KernelLog, error)
	rand      io.Reader
	// colors reports whether what is written there may have colours.
	colors func(io.Writer) bool
}

// thisMachine is the app of the shipped binary.
func thisMachine() *app {
	return &app{
		world: func() survey.World {
			return survey.World{
				Root:       os.DirFS("/"),
				Open:       func(p string) (survey.Device, error) { return machine.OpenDevice(p) },
				UID:        os.Getuid(),
				Subvolumes: stage.Subvolumes,
				Free: func(p string) int64 {
					free, _, err := machine.FreeBytes(p)
					if err != nil {
						return 0
					}
					return free
				},
				Unused: func(p string) int64 {
					_, n, err := machine.FreeBytes(p)
					if err != nil {
						return -1
					}
					return n
				},
			}
		},
		loaders: loader.Known(),
		machine: func() machine.Machine { return &machine.Real{} },
		inside:  newInside,
		place:   func(dir string) string { return dir },
		alone:   func() (func(), error) { return machine.Lock("/run/migrate-init.lock") },
		apart:   machine.InMountNamespace,
		self:    os.Executable,
		now:     time.Now,
		uptime:  machine.Uptime,
		wait: func(ctx context.Context, limit time.Duration, cond func() (bool, error)) error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			// Without uevents the condition is still looked at, a few times a second.
			events, err := machine.Uevents(ctx)
			if err != nil {
				events = nil
			}
			return machine.WaitUntil(ctx, limit, events, cond)
		},
		kernelLog: func() (*copy.KernelLog, error) {
			l, err := machine.OpenKernelLog() // to the end of the process, which is soon
			if err != nil {
				return nil, err
			}
			return &copy.KernelLog{Read: l.Lines}, nil
		},
		rand:   rand.Reader,
		colors: colored,
	}
}

func (a *app) look(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
	return a.lookAgain(ctx, depth, nil)
}

// lookAgain is look with what earlier looks remember.
func (a *app) lookAgain(ctx context.Context, depth survey.Depth, known *survey.Known) (*plan.Facts, error) {
	w := a.world()
	w.Known = known
	w.Rules = distro.Known().Rules()
	w.Rules.Loaders = a.loaders.Rules()
	w.Rules.Memory = copy.Memory
	return survey.Look(ctx, w, depth)
}

// read reads a file of the machine by its absolute path.
func (a *app) read(name string) ([]byte, error) {
	return fs.ReadFile(a.world().Root, strings.TrimPrefix(name, "/"))
}

// env is what the stages work with, live or as PID 1.
func (a *app) env(p *plan.Plan, text []byte, m machine.Machine, tell func(stage.Event)) *stage.Env {
	m = a.withCut(m, tell)
	known := &survey.Known{}
	return &stage.Env{
		Plan: p, PlanText: text, Machine: m, Tell: tell, Loaders: a.loaders, Known: known,
		Look: func(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
			return a.lookAgain(ctx, depth, known)
		},
		Open:   a.world().Open,
		Root:   a.world().Root,
		Inside: a.inside,
		Copier: &copy.Engines{},
		Clock:  func() (string, float64) { return a.now().UTC().Format(time.RFC3339), a.uptime() },
		Wait: func(ctx context.Context, what string, cond func() (bool, error)) error {
			if err := a.wait(ctx, time.Duration(p.Policy.DeadlineSecs)*time.Second, cond); err != nil {
				return fmt.Errorf("waiting for %s: %w", what, err)
			}
			return nil
		},
		Pause:  pause,
		Load:   stage.Modules(a.world().Root, m),
		Status: machine.StatusOfMapping,
	}
}

// watchKernel opens the log for filesystem errors that the kernel reports nowhere else; nil where it cannot be read, which
// is told.
func (a *app) watchKernel(tell func(error)) *copy.KernelLog {
	if a.kernelLog == nil {
		return nil
	}
	e, err := a.kernelLog()
	if err != nil {
		tell(fmt.Errorf("%w; filesystem errors that appear only in the kernel log will be missed", err))
		return nil
	}
	return e
}

// pause lets a second pass, or the context end.
func pause(ctx context.Context) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// statePlan is where schedule, and later the migration, leave the plan.
const statePlan = stage.StateDir + "/plan.toml"

// keptPlan reads the plan that schedule or the migration left on this machine.
func (a *app) keptPlan() (*plan.Plan, []byte, error) {
	b, err := a.read(statePlan)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("plan %s: not found: nothing is scheduled on this machine, and it was not migrated; start with `migrate-init plan --to raid1 --disk DEV`", statePlan)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	return parsePlan(statePlan, b)
}

// maxText is more than any plan has: plan.Read says so of a longer one.
const maxText = 2 << 20

// namedPlan reads the plan that a command names.
func namedPlan(name string) (*plan.Plan, []byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("plan %s: no such file; make one with `migrate-init plan`", name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	return parsePlan(name, b)
}

// oldFile is what a file of the operator's has now, so that a dry run can tell a new file from a rewritten one; nil when there is
// none, or none to show. What is wrong with it the write tells.
func oldFile(name string) []byte {
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxOld {
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}

// maxOld is more than any image has.
const maxOld = 256 << 20

func parsePlan(name string, b []byte) (*plan.Plan, []byte, error) {
	p, err := plan.Read(strings.NewReader(string(b)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, b, nil
}

// node follows links such as /dev/disk/by-id/... to the device that they name now. A name that leads nowhere stays as
// it is, for the one who looks it up to refuse.
func (a *app) node(name string) string {
	p := path.Clean(name)
	if !path.IsAbs(p) {
		return p
	}
	f, err := rootfs.Resolve(rootfs.Of(a.world().Root), p, rootfs.Options{Missing: true})
	if err != nil {
		return name
	}
	return f.Path
}

func (a *app) nodes(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, a.node(n))
	}
	return out
}

// asRoot refuses anybody else. It is asked before anything that only root can read.
func (a *app) asRoot() error {
	if uid := a.world().UID; uid != 0 {
		return fmt.Errorf("user: uid is %d; run it as root", uid)
	}
	return nil
}

// exclusive is asked for by the commands that change the machine: a second finish, or a rollback beside one, would write the journal's
// next record in the same place and undo what the other does. A dry run changes nothing. It is for root only.
func (c *call) exclusive() (release func(), err error) {
	if err := c.asRoot(); err != nil {
		return nil, err
	}
	if c.opt.dryRun {
		return func() {}, nil
	}
	if release, err = c.alone(); err != nil {
		return nil, fmt.Errorf("migrate-init: another command may be running: %w; wait until it ends", err)
	}
	return release, nil
}

func doAll(ctx context.Context, m machine.Machine, effs []machine.Effect) error {
	for _, e := range effs {
		if _, err := m.Do(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
