package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Rehearse does on the old system, in memory, what rewrite will do in the copy, and asks of the result what prove will ask
// of it: a setting that cannot be rewritten is better known before the machine is down for the length of a copy.
func Rehearse(p *plan.Plan, root fs.FS) error {
	effs, err := Rewrites(p, root, "/")
	if err != nil {
		return err
	}
	sys, err := distro.Of(p)
	if err != nil {
		return err
	}
	pr := &prover{p: p, sys: sys, root: root, say: func(string) {}, over: map[string][]byte{}}
	for _, eff := range effs {
		switch x := eff.(type) {
		case machine.WriteFile:
			pr.over[path.Clean(x.Path)] = x.Data
		case machine.Remove:
			pr.over[path.Clean(x.Path)] = nil
		}
	}
	if err := errors.Join(pr.fstab(), pr.mdadm(), pr.search(pr.settingFiles(), uncommented)); err != nil {
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

// loaderModules are what the snippet loads in the old GRUB. One that is missing is no more than a message there, and the
// commit is then never seen.
func loaderModules(p *plan.Plan, root fs.FS, names []string) error {
	dirs, err := glob(root, strings.TrimPrefix(p.Boot.Dir, "/")+"/*")
	if err != nil {
		return err
	}
	found := false
	var errs []error
	there := func(dir, name string) bool {
		at, err := throughLinks(root, path.Join(dir, name+".mod"))
		if err != nil {
			return false
		}
		st, err := fs.Stat(root, nonRoot(at))
		return err == nil && st.Mode().IsRegular() && st.Size() > 0
	}
	mend := "grub-install puts it there"
	if old := p.Source.Disks(); len(old) > 0 {
		mend = "`grub-install " + old[0].Was + "` puts it there"
	}
	for _, d := range dirs {
		if !there(d, "normal") {
			continue
		}
		found = true
		for _, n := range names {
			if !there(d, n) {
				errs = append(errs, fmt.Errorf("boot loader module /%s/%s.mod: missing, and without it the old GRUB cannot see that the migration was committed; %s", d, n, mend))
			}
		}
	}
	if !found {
		errs = append(errs, fmt.Errorf("boot loader %s: no directory in it holds GRUB's normal.mod: its modules are not there; %s", p.Boot.Dir, mend))
	}
	return errors.Join(errs...)
}
