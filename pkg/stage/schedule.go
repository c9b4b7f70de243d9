package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// ScheduleFile is what schedule remembers on the old system, so that cancel can undo it to the byte.
const ScheduleFile = StateDir + "/scheduled.json"

// Scheduled is the content of ScheduleFile.
type Scheduled struct {
	Plan    string `json:"plan"`
	Boot    string `json:"boot"`               // boot id of the system that scheduled
	Custom  []byte `json:"custom"`             // custom.cfg as it was; nil when there was none, which is not the same as an empty one
	Grubenv []byte `json:"grubenv"`            // the environment block as it was
	PlanWas []byte `json:"plan_was,omitempty"` // the plan of an earlier migration, which StateDir remembers; nil for none
	Kernel  string `json:"kernel"`
	Image   string `json:"image"`
	CustomP string `json:"custom_path"`
	EnvP    string `json:"env_path"`
	Dir     string `json:"made_dir,omitempty"` // "1" when the state directory was made by schedule
}

// ReadScheduled reads what schedule left; nil when nothing is scheduled.
func ReadScheduled(root fs.FS) (*Scheduled, error) {
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
	return &s, nil
}

// Cmdline is the kernel command line of the migration: the consoles and hardware words of the running system, and a panic that reboots.
func Cmdline(p *plan.Plan) string {
	words := append([]string(nil), p.Boot.Words...)
	words = append(words, fmt.Sprintf("panic=%d", p.Policy.Panic), "oops=panic", "raid=noautodetect", "migrate.mode=migrate", "migrate.plan="+p.ID)
	return strings.Join(words, " ")
}

// Snippet is what the old boot loader is told.
func Snippet(p *plan.Plan, f *plan.Facts) ([]byte, error) {
	vol, err := grubVolume(p.Boot.Volume)
	if err != nil {
		return nil, err
	}
	modules := snippetModules(p)
	seen := func(pth string) string { return p.Boot.Prefix + "/" + path.Base(pth) }
	spec := boot.SnippetSpec{PlanID: p.ID, BootFSUUID: p.Boot.BootFS, BootModules: []string{"part_gpt", "part_msdos", p.OldBootFSType().GRUB},
		Kernel: seen(ScheduledKernel(p)), Image: seen(ScheduledImage(p)), Cmdline: Cmdline(p),
		Modules: modules, Volume: vol, NewPrefix: "/" + strings.TrimPrefix(strings.TrimPrefix(p.Boot.Dir, p.Boot.Mount), "/"), CanSaveEnv: true, Unrestricted: f.Boot.Superusers}
	return boot.GRUBSnippet(spec)
}

// snippetModules read the planned volumes and the old /boot.
func snippetModules(p *plan.Plan) []string {
	modules := []string{"part_gpt", "part_msdos", "diskfilter"}
	for _, a := range p.Target.Arrays() {
		if m := grubMetadata(a.MD.Metadata); !slices.Contains(modules, m) {
			modules = append(modules, m)
		}
	}
	return append(modules, p.BootFSType().GRUB)
}

// Schedule spells how the migration is put into the old boot loader: remembered first, armed last. A power cut before
// the last effect leaves entries that nothing chooses.
func Schedule(p *plan.Plan, f *plan.Facts, root fs.FS, planText []byte, image string) ([]machine.Effect, error) {
	read := func(name string) ([]byte, error) {
		b, err := fs.ReadFile(root, strings.TrimPrefix(name, "/"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", name, err)
		}
		return b, nil
	}
	custom, err := read(p.Boot.Custom)
	if err != nil {
		return nil, err
	}
	env, err := read(p.Boot.Env)
	if err != nil {
		return nil, err
	}
	before, err := ReadScheduled(root)
	if err != nil {
		return nil, err
	}
	st := Scheduled{Plan: p.ID, Boot: f.Machine.BootID, Custom: custom, Grubenv: env, Kernel: ScheduledKernel(p), Image: ScheduledImage(p), CustomP: p.Boot.Custom, EnvP: p.Boot.Env}
	// An empty one is what a try left that was cut short.
	if in, err := fs.ReadDir(root, strings.TrimPrefix(StateDir, "/")); len(in) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		st.Dir = "1"
	}
	if st.PlanWas, err = read(StateDir + "/plan.toml"); err != nil {
		return nil, err
	}
	if before != nil {
		if before.Plan != p.ID {
			return nil, fmt.Errorf("plan %s: it is scheduled, or was, and its files are in %s; take them away first: migrate-init cancel", before.Plan, path.Dir(before.Kernel))
		}
		// A second try of the same plan: what was there before the first is what cancel must bring back.
		st.Custom, st.Grubenv, st.PlanWas, st.Dir = before.Custom, before.Grubenv, before.PlanWas, before.Dir
		if custom, _, err = boot.RemoveSnippet(custom); err != nil {
			return nil, fmt.Errorf("file %s: %w", p.Boot.Custom, err)
		}
	}
	if err := errors.Join(Rehearse(p, root), loaderModules(p, root, snippetModules(p))); err != nil {
		return nil, err
	}
	snippet, err := Snippet(p, f)
	if err != nil {
		return nil, err
	}
	full, err := boot.InsertSnippet(custom, snippet)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", p.Boot.Custom, err)
	}
	genv, err := boot.ParseGrubenv(env)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", p.Boot.Env, err)
	}
	genv.Unset(boot.TriedVariable)
	if err := genv.Set("next_entry", boot.MigrateEntryID(p.ID)); err != nil {
		return nil, fmt.Errorf("file %s: %w", p.Boot.Env, err)
	}
	state, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", ScheduleFile, err)
	}
	return []machine.Effect{
		machine.Mkdir{Path: StateDir, Mode: 0o700},
		machine.WriteFile{Path: ScheduleFile, Data: append(state, '\n'), Mode: 0o600},
		machine.WriteFile{Path: StateDir + "/plan.toml", Data: planText, Mode: 0o600},
		machine.CopyFile{From: p.Boot.Kernel, To: st.Kernel, Mode: 0o600},
		machine.CopyFile{From: image, To: st.Image, Mode: 0o600},
		machine.WriteFile{Path: p.Boot.Custom, Data: full, Old: custom, Mode: 0o600},
		// GRUB reads the disk without replaying a journal: what the entry names is in its place before it is armed.
		machine.Sync{Path: path.Dir(p.Boot.Custom)},
		machine.WriteInPlace{Path: p.Boot.Env, Data: genv.Bytes()},
	}, nil
}

// Cancel spells how Schedule is undone to the byte: disarmed first, forgotten last. What others wrote into the files
// meanwhile stays.
func Cancel(st *Scheduled, root fs.FS) ([]machine.Effect, error) {
	var out []machine.Effect
	env, err := fs.ReadFile(root, strings.TrimPrefix(st.EnvP, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Somebody removed it: nothing is armed by what is not there.
	case err != nil:
		return nil, fmt.Errorf("file %s: %w", st.EnvP, err)
	default:
		back, err := disarmed(env, st)
		if err != nil {
			return nil, fmt.Errorf("file %s: the migration may still be armed; `grub-editenv %s unset next_entry` disarms it: %w", st.EnvP, st.EnvP, err)
		}
		if !bytes.Equal(back, env) {
			out = append(out, machine.WriteInPlace{Path: st.EnvP, Data: back})
		}
	}
	custom, err := fs.ReadFile(root, strings.TrimPrefix(st.CustomP, "/"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("file %s: %w", st.CustomP, err)
	default:
		rest, found, err := boot.RemoveSnippet(custom)
		if err != nil {
			return nil, fmt.Errorf("file %s: nothing was cancelled, and the migration may still be armed; remove the lines of migrate-init there by hand, and cancel again: %w", st.CustomP, err)
		}
		if found && len(rest) == 0 && st.Custom == nil {
			out = append(out, machine.Remove{Path: st.CustomP})
		} else if found {
			out = append(out, machine.WriteFile{Path: st.CustomP, Data: rest, Old: custom, Mode: 0o600})
		}
	}
	if len(out) > 0 {
		// GRUB replays no journal: what it is told no more has to be in its place before the files go.
		out = append(out, machine.Sync{Path: path.Dir(st.CustomP)})
	}
	out = append(out, machine.Remove{Path: st.Image}, machine.Remove{Path: st.Kernel})
	if st.PlanWas != nil {
		out = append(out, machine.WriteFile{Path: StateDir + "/plan.toml", Data: st.PlanWas, Mode: 0o600})
	} else {
		out = append(out, machine.Remove{Path: StateDir + "/plan.toml"})
	}
	out = append(out, machine.Remove{Path: ScheduleFile})
	if st.Dir != "" {
		out = append(out, machine.Remove{Path: StateDir})
	}
	return out, nil
}

// disarmed is the environment block without what schedule (and GRUB, on its behalf) put there: the very bytes of
// before, unless something else changed meanwhile.
func disarmed(env []byte, st *Scheduled) ([]byte, error) {
	now, err := boot.ParseGrubenv(env)
	if err != nil {
		return nil, err
	}
	was, err := boot.ParseGrubenv(st.Grubenv)
	if err != nil {
		return nil, err
	}
	if v, _ := now.Get("next_entry"); v == boot.MigrateEntryID(st.Plan) || v == "" {
		now.Unset("next_entry")
		if v, ok := was.Get("next_entry"); ok {
			if err := now.Set("next_entry", v); err != nil {
				return nil, err
			}
		}
	}
	now.Unset(boot.TriedVariable)
	if sameEnv(now, was) {
		return st.Grubenv, nil
	}
	return now.Bytes(), nil
}

func sameEnv(a, b boot.Grubenv) bool {
	if len(a.Keys()) != len(b.Keys()) {
		return false
	}
	for _, k := range a.Keys() {
		va, _ := a.Get(k)
		if vb, ok := b.Get(k); !ok || va != vb {
			return false
		}
	}
	return true
}

// Rollback spells how the commit is taken back from inside the new system: the old boot loader finds no file. It is
// idempotent.
func Rollback(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	file := path.Join(p.Boot.Mount, boot.CommittedFile(p.ID))
	var out []machine.Effect
	if there, err := exists(root, file); err != nil {
		return nil, err
	} else if there {
		out = append(out, machine.Rename{From: file, To: file + ".rolled-back"})
	}
	return append(out, machine.Remove{Path: path.Join(p.Boot.Mount, boot.ConfirmedFile(p.ID))}, machine.Sync{Path: p.Boot.Mount}), nil
}

// runConfirm marks this boot of the new system as good; after a rollback there is nothing to mark.
func runConfirm(ctx context.Context, e *Env) error {
	root, err := e.Inside("/")
	if err != nil {
		return err
	}
	effs, err := Confirmation(e.Plan, root)
	if err != nil {
		return err
	}
	return e.do(ctx, effs...)
}

// Confirmation spells how this boot of the new system is marked as good: nothing where it was before, or after a rollback.
func Confirmation(p *plan.Plan, root fs.FS) ([]machine.Effect, error) {
	there, err := exists(root, path.Join(p.Boot.Mount, boot.CommittedFile(p.ID)))
	if err != nil || !there {
		return nil, err
	}
	file := path.Join(p.Boot.Mount, boot.ConfirmedFile(p.ID))
	if there, err = exists(root, file); err != nil || there {
		return nil, err
	}
	return []machine.Effect{
		machine.WriteFile{Path: file + ".new", Data: CommittedText(p), Mode: 0o644},
		machine.Rename{From: file + ".new", To: file},
		machine.Sync{Path: p.Boot.Mount},
	}, nil
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
