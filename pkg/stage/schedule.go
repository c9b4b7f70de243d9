package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// ScheduleFile is what schedule remembers on the old system, so that cancel can undo it to the byte.
const ScheduleFile = StateDir + "/scheduled.json"

// Scheduled is the content of ScheduleFile.
type Scheduled struct {
	Plan    string          `json:"plan"`
	Boot    string          `json:"boot"`               // boot id of the system that scheduled
	PlanWas []byte          `json:"plan_was,omitempty"` // the plan of an earlier migration, which StateDir remembers; nil for none
	Kernel  string          `json:"kernel"`
	Image   string          `json:"image"`
	Dir     string          `json:"made_dir,omitempty"` // "1" when the state directory was made by schedule
	Loader  string          `json:"loader"`             // the row of pkg/loader that armed it
	Undo    json.RawMessage `json:"undo"`               // how that one disarms; no one else reads it
	// Target is what was written to a target disk; nil for nothing.
	Target *ScheduledTarget `json:"target,omitempty"`
}

// Steps are those of schedule. Between the two it gives the target disk what the boot loader needs there.
type Steps struct {
	Remember []machine.Effect // what cancel has to know
	Arm      []machine.Effect // the last of them arms
}

// Run carries them out.
func (s Steps) Run(ctx context.Context, e *Env) error {
	if err := e.do(ctx, s.Remember...); err != nil {
		return err
	}
	if err := e.scheduleTarget(ctx); err != nil {
		return err
	}
	return e.do(ctx, s.Arm...)
}

// ReadScheduled reads what schedule left; nil when nothing is scheduled.
func ReadScheduled(loaders loader.Table, root fs.FS) (*Scheduled, error) {
	b, err := fs.ReadFile(root, strings.TrimPrefix(ScheduleFile, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", ScheduleFile, err)
	}
	var s Scheduled
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("file %s: %w", ScheduleFile, err)
	}
	if s.Loader == "" {
		var ok bool
		if s.Loader, s.Undo, ok = loaders.Adopt(b); !ok {
			return nil, fmt.Errorf("file %s: it names no boot loader; run `migrate-init cancel` with the version that scheduled", ScheduleFile)
		}
	}
	return &s, nil
}

// Cmdline is the kernel command line of the migration: the consoles and hardware words of the running system, and a panic that reboots.
func Cmdline(p *plan.Plan) string {
	words := append([]string(nil), p.Boot.Params...)
	words = append(words, fmt.Sprintf("panic=%d", p.Policy.Panic), "oops=panic", "raid=noautodetect", "migrate.mode=migrate", "migrate.plan="+p.ID)
	return strings.Join(words, " ")
}

// Schedule spells how the migration is put into the old boot loader: remembered first, armed last. A power cut before
// the last effect leaves entries that nothing chooses. made is what a rehearsal made; nil without one. open reads the target disk.
func Schedule(loaders loader.Table, p *plan.Plan, f *plan.Facts, root fs.FS, planText []byte, image string, made *Kept, open func(string) (survey.Device, error)) (Steps, error) {
	var none Steps
	row, err := loaders.Of(p)
	if err != nil {
		return none, err
	}
	before, err := ReadScheduled(loaders, root)
	if err != nil {
		return none, err
	}
	st := Scheduled{Plan: p.ID, Boot: f.Machine.BootID, Kernel: ScheduledKernel(p), Image: ScheduledImage(p), Loader: row.Name}
	// An empty one is what a try left that was cut short.
	if in, err := fs.ReadDir(root, strings.TrimPrefix(StateDir, "/")); len(in) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		st.Dir = "1"
	}
	st.PlanWas, err = fs.ReadFile(root, strings.TrimPrefix(StateDir+"/plan.toml", "/"))
	if errors.Is(err, fs.ErrNotExist) {
		st.PlanWas = nil
	} else if err != nil {
		return none, fmt.Errorf("file %s: %w", StateDir+"/plan.toml", err)
	}
	if st.Target, err = targetBefore(p, f, open); err != nil {
		return none, err
	}
	arming := loader.Arming{Facts: f, Root: root, Kernel: st.Kernel, Image: st.Image, Cmdline: Cmdline(p)}
	if before != nil {
		if before.Plan != p.ID {
			return none, fmt.Errorf("plan %s: it is or was scheduled, and its files are in %s; remove them first: migrate-init cancel", before.Plan, path.Dir(before.Kernel))
		}
		// A second try of the same plan: what was there before the first is what cancel must bring back.
		st.PlanWas, st.Dir, arming.Before = before.PlanWas, before.Dir, before.Undo
		if before.Target != nil {
			st.Target = before.Target
		}
	}
	armed, err := row.Arm(p, arming)
	if err != nil {
		return none, err
	}
	st.Undo = armed.Undo
	state, err := json.Marshal(st)
	if err != nil {
		return none, fmt.Errorf("file %s: %w", ScheduleFile, err)
	}
	keep, err := made.keep(root)
	if err != nil {
		return none, err
	}
	out := Steps{Remember: []machine.Effect{
		machine.Mkdir{Path: StateDir, Mode: 0o700},
		machine.WriteFile{Path: ScheduleFile, Data: append(state, '\n'), Mode: 0o600},
		machine.WriteFile{Path: StateDir + "/plan.toml", Data: planText, Mode: 0o600},
	}, Arm: slices.Concat(keep, []machine.Effect{
		machine.CopyFile{From: p.Boot.Kernel, To: st.Kernel, Mode: 0o600},
		machine.CopyFile{From: image, To: st.Image, Mode: 0o600},
	}, armed.Effects)}
	if !armed.Block {
		return out, nil
	}
	at, err := bootBlock(loaders, p, f)
	if err != nil {
		return none, err
	}
	if at == nil {
		return none, fmt.Errorf("plan %s: its boot loader starts the migration by a block on the target, and none is planned", p.ID)
	}
	eff, err := blockEffect(p, at, loader.Block{Armed: true, Whole: true}, "boot block: the next boot starts the migration")
	if err != nil {
		return none, err
	}
	out.Arm = append(out.Arm, eff)
	return out, nil
}

// Cancel spells how Schedule is undone to the byte: disarmed first, forgotten last. What others wrote into the files
// meanwhile stays. p is the plan that was scheduled, nil where it is not known, rs its journal. A target disk on which there is
// more than schedule wrote is left as it is; stays says so.
func Cancel(loaders loader.Table, st *Scheduled, root fs.FS, p *plan.Plan, f *plan.Facts, rs Records, open func(string) (survey.Device, error)) (out []machine.Effect, stays string, err error) {
	out, err = loaders.Disarm(st.Loader, st.Plan, st.Undo, root)
	if err != nil {
		return nil, "", fmt.Errorf("file %s: %w", ScheduleFile, err)
	}
	wait := loaders.Waiting(st.Loader)
	cleared, stays, err := clearTarget(p, f, st, rs, wait, open)
	if err != nil {
		return nil, "", err
	}
	out = append(out, cleared...)
	left, err := removeKept(root, "/")
	if err != nil {
		return nil, "", err
	}
	out = append(append(out, left...), machine.Remove{Path: st.Image}, machine.Remove{Path: st.Kernel})
	if st.PlanWas != nil {
		out = append(out, machine.WriteFile{Path: StateDir + "/plan.toml", Data: st.PlanWas, Mode: 0o600})
	} else {
		out = append(out, machine.Remove{Path: StateDir + "/plan.toml"})
	}
	out = append(out, machine.Remove{Path: ScheduleFile})
	if st.Dir != "" {
		out = append(out, machine.Remove{Path: StateDir})
	}
	return out, stays, nil
}

// ScheduledKernel and ScheduledImage are where schedule puts its two files.
func ScheduledKernel(p *plan.Plan) string {
	return path.Join(path.Dir(p.Boot.Kernel), "migrate-init-"+p.ID[:8]+".vmlinuz")
}

// ScheduledImage is the image's place; see ScheduledKernel.
func ScheduledImage(p *plan.Plan) string {
	return path.Join(path.Dir(p.Boot.Kernel), "migrate-init-"+p.ID[:8]+".img")
}

// runConfirm marks this boot of the new system as good; after a rollback there is nothing to mark.
func runConfirm(ctx context.Context, e *Env) error {
	root, err := e.Inside("/")
	if err != nil {
		return err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	effs, err := l.Confirm(e.Plan, root)
	if err != nil {
		return err
	}
	return e.do(ctx, effs...)
}

func exists(root fs.FS, name string) (bool, error) {
	at, err := throughLinks(root, name)
	if err != nil {
		return false, err
	}
	_, err = fs.Stat(root, nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("file %s: %w", name, err)
	}
	return true, nil
}
