package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Rehearse does on the old system, in memory, what rewrite will do in the copy, and asks of the result what prove will ask
// of it: a setting that cannot be rewritten is better known before the machine is down for the length of a copy.
func Rehearse(loaders loader.Table, p *plan.Plan, root fs.FS) error {
	effs, err := Rewrites(loaders, p, root, "/")
	if err != nil {
		return err
	}
	l, err := loaders.Of(p)
	if err != nil {
		return err
	}
	sys, err := distro.Of(p)
	if err != nil {
		return err
	}
	pr := &prover{p: p, sys: sys, loader: l, root: root, say: func(string) {}, over: map[string][]byte{}}
	for _, eff := range effs {
		switch x := eff.(type) {
		case machine.WriteFile:
			pr.over[path.Clean(x.Path)] = x.Data
		case machine.Remove:
			pr.over[path.Clean(x.Path)] = nil
		}
	}
	if err := errors.Join(pr.fstab(), pr.mdadm(), pr.settings()); err != nil {
		return fmt.Errorf("settings of the old system: the copy would be refused before its commit, since migrate-init cannot rewrite them; name the filesystem by UUID there: %w", err)
	}
	return pr.confirms()
}

// confirms shows that the unit which confirms the new system can run the program that is left for it. Where it cannot,
// the old boot loader would go back to the old system after one more boot, unseen.
func (pr *prover) confirms() error {
	if _, err := pr.stat(path.Dir(ConfirmUnit)); err != nil {
		return nil
	}
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return err
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return fmt.Errorf("file /etc/fstab: %w", err)
	}
	var on fstab.Entry
	for _, x := range t.Entries() {
		dir := path.Clean(x.File)
		if path.IsAbs(dir) && (dir == "/" || dir == StateDir || strings.HasPrefix(StateDir, dir+"/")) && len(dir) >= len(path.Clean(on.File)) {
			on = x
		}
	}
	if on.Options.Has("noexec") {
		return fmt.Errorf("file /etc/fstab: line %d: %s is mounted noexec, so the new system could not confirm itself with the program in %s, and the old one would come back; take noexec out of that line until finish", on.Line, on.File, StateDir)
	}
	return nil
}

// filesOf reads a root, with symbolic links followed inside it.
func filesOf(root fs.FS) loader.Files {
	return (&prover{root: root}).files()
}
