package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

// world is this machine, for survey.
func world() survey.World {
	return survey.World{
		Root: os.DirFS("/"),
		Open: func(p string) (survey.Device, error) { return machine.OpenDevice(p) },
		UID:  os.Getuid(),
		Free: func(p string) int64 {
			free, _, err := machine.FreeBytes(p)
			if err != nil {
				return 0
			}
			return free
		},
	}
}

func look(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
	return survey.Look(ctx, world(), depth)
}

// inside opens a directory as a root out of which no symbolic link leads.
func inside(dir string) (fs.FS, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return r.FS(), nil
}

// env is what the stages work with on this machine, live or as PID 1.
func env(p *plan.Plan, text []byte, m machine.Machine, tell func(stage.Event)) *stage.Env {
	return &stage.Env{
		Plan: p, PlanText: text, Machine: m, Tell: tell, Look: look,
		Open:   func(p string) (survey.Device, error) { return machine.OpenDevice(p) },
		Root:   os.DirFS("/"),
		Inside: inside,
		Copier: engines{},
		Clock:  func() (string, float64) { return time.Now().UTC().Format(time.RFC3339), machine.Uptime() },
		Wait: func(ctx context.Context, what string, cond func() (bool, error)) error {
			events, err := machine.Uevents(ctx)
			if err != nil {
				return err
			}
			if err := machine.WaitUntil(ctx, time.Duration(p.Policy.DeadlineSecs)*time.Second, events, cond); err != nil {
				return fmt.Errorf("waiting for %s: %w", what, err)
			}
			return nil
		},
		Pause: pause,
		Load:  loader(m),
	}
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

// readPlan reads the plan that a command names, or the one that schedule or the migration left on this machine.
func readPlan(name string) (*plan.Plan, []byte, error) {
	if name == "" {
		name = stage.StateDir + "/plan.toml"
	}
	b, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, stage.StateDir) {
			return nil, nil, fmt.Errorf("plan %s: not here: nothing was scheduled on this machine, and it was not migrated; start with `migrate-init plan`", name)
		}
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	p, err := plan.Read(strings.NewReader(string(b)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, b, nil
}

// effector is the machine that a command uses: the real one, or one that prints.
func effector(c *call) machine.Machine {
	if c.opt.dryRun {
		return &machine.Printer{W: c.out}
	}
	return &machine.Real{}
}

func doAll(ctx context.Context, m machine.Machine, effs []machine.Effect) error {
	for _, e := range effs {
		if _, err := m.Do(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
