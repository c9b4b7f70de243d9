package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

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
	pr := &prover{p: p, root: root, say: func(string) {}, over: map[string][]byte{}}
	for _, eff := range effs {
		switch x := eff.(type) {
		case machine.WriteFile:
			pr.over[path.Clean(x.Path)] = x.Data
		case machine.Remove:
			pr.over[path.Clean(x.Path)] = nil
		}
	}
	if err := errors.Join(pr.fstab(), pr.search(settingFiles(), uncommented)); err != nil {
		return fmt.Errorf("settings of the old system: the copy would be refused before its commit, since migrate-init cannot rewrite them; name the filesystem by UUID there: %w", err)
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
	if len(p.Source.Disks) > 0 {
		mend = "`grub-install " + p.Source.Disks[0].Was + "` puts it there"
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
