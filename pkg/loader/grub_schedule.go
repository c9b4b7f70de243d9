package loader

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubArm writes the entries first and chooses one of them last, unless the block on the target does.
func grubArm(p *plan.Plan, a Arming) (Armed, error) {
	s, err := grubSettingsOf(p)
	if err != nil {
		return Armed{}, err
	}
	custom, err := readFile(a.Root, s.Custom)
	if err != nil {
		return Armed{}, err
	}
	var env []byte
	if !s.block() {
		if env, err = readFile(a.Root, s.Env); err != nil {
			return Armed{}, err
		}
	}
	was := grubUndo{Custom: custom, Grubenv: env, CustomPath: s.Custom}
	if !s.block() {
		was.EnvPath = s.Env
	}
	if a.Before != nil {
		// A second try of the same plan: what was there before the first is what cancel must bring back.
		if was, err = readGRUBUndo(a.Before); err != nil {
			return Armed{}, err
		}
		if custom, _, err = boot.RemoveSnippet(custom); err != nil {
			return Armed{}, fmt.Errorf("file %s: %w", s.Custom, err)
		}
	}
	snippet, err := grubSnippet(p, s, a)
	if err != nil {
		return Armed{}, err
	}
	full, err := boot.InsertSnippet(custom, snippet)
	if err != nil {
		return Armed{}, fmt.Errorf("file %s: %w", s.Custom, err)
	}
	undo, err := json.Marshal(was)
	if err != nil {
		return Armed{}, fmt.Errorf("undo record of GRUB: %w", err)
	}
	out := Armed{Undo: undo, Effects: []machine.Effect{
		machine.WriteFile{Path: s.Custom, Data: full, Old: custom, Mode: 0o600},
		// GRUB reads the disk without replaying a journal: what the entry names is in its place before it is armed.
		machine.Sync{Path: path.Dir(s.Custom)},
	}}
	if s.block() {
		out.Block = true
		return out, nil
	}
	genv, err := boot.ParseGrubenv(env)
	if err != nil {
		return Armed{}, fmt.Errorf("file %s: %w", s.Env, err)
	}
	genv.Unset(boot.TriedVariable)
	if err := genv.Set("next_entry", boot.MigrateEntryID(p.ID)); err != nil {
		return Armed{}, fmt.Errorf("file %s: %w", s.Env, err)
	}
	out.Effects = append(out.Effects, machine.WriteInPlace{Path: s.Env, Data: genv.Bytes()})
	return out, nil
}

// grubSnippet is what the old GRUB is told.
func grubSnippet(p *plan.Plan, s grubSettings, a Arming) ([]byte, error) {
	was, err := grubFactsOf(a.Facts)
	if err != nil {
		return nil, err
	}
	vol, err := grubVolume(p.Boot.Volume)
	if err != nil {
		return nil, err
	}
	below, hints, err := grubUnder(p.Source, plan.Ref("fs:"+p.Boot.BootFS))
	if err != nil {
		return nil, err
	}
	spec := boot.SnippetSpec{PlanID: p.ID, BootFSUUID: p.Boot.BootFS, BootModules: slices.Concat([]string{"part_gpt", "part_msdos"}, below, []string{p.OldBootFSType().GRUB}), BootHints: hints,
		Kernel: s.seen(a.Kernel), Image: s.seen(a.Image), Cmdline: a.Cmdline,
		Modules: grubModules(p), Volume: vol, Root: grubNewRoot(p), NewPrefix: grubNewPrefix(p, s), CanSaveEnv: !s.block(), Unrestricted: was.Superusers}
	if n := p.Target.Node(p.Boot.Block); n != nil {
		spec.BlockFS, spec.BlockModules, spec.BlockHints = p.Boot.BlockFS, []string{"part_gpt", "part_msdos", boot.BlockModule}, grubHints(n)
	}
	return boot.GRUBSnippet(spec)
}

// grubAskOldModules asks for what the snippet loads in the old GRUB. One that is missing is no more than a message there,
// and the commit is then never seen.
func grubAskOldModules(in plan.Installed) (out plan.Findings) {
	s, err := grubSettingsOf(in.Plan)
	if err != nil {
		return grubFault("boot loader", "", err)
	}
	dirs, err := in.Glob(strings.TrimPrefix(s.Dir, "/") + "/*")
	if err != nil {
		return grubFault("boot loader "+s.Dir, "", err)
	}
	found := false
	there := func(dir, name string) bool {
		st, err := in.Stat(path.Join(dir, name+".mod"))
		return err == nil && st.Mode().IsRegular() && st.Size() > 0
	}
	fix := grubInstallOld(in.Plan)
	for _, d := range dirs {
		if !there(d, "normal") {
			continue
		}
		found = true
		need := append(grubModules(in.Plan), grubOldModules(in.Plan)...)
		if in.Plan.Boot.Block != "" {
			need = append(need, boot.BlockModule)
		}
		for _, n := range append(need, "linux", "search", "search_fs_uuid", "test", "loadenv", "configfile") {
			if !there(d, n) {
				out = append(out, plan.Refusal("boot loader module /"+d+"/"+n+".mod", fix, "missing, and without it the old GRUB cannot start the migration, or cannot see that it was committed"))
			}
		}
		if st, err := in.Stat(path.Join(d, "command.lst")); err != nil || st.Size() == 0 {
			out = append(out, plan.Refusal("boot loader file /"+d+"/command.lst", fix, "missing, and without it the old GRUB does not find the modules of its commands"))
		}
	}
	if !found {
		out = append(out, plan.Refusal("boot loader "+s.Dir, fix, "no directory in it holds GRUB's normal.mod: its modules are not there"))
	}
	return out
}

// grubInstallOld is the command that puts GRUB's modules into the running system.
func grubInstallOld(p *plan.Plan) string {
	if old := p.Source.Disks(); len(old) > 0 {
		return "grub-install " + old[0].Was
	}
	return "grub-install"
}
