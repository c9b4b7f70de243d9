package stage

import (
	"errors"
	"io/fs"
	"path"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// possible asks whether the changes that rewrite, rebuild and commit make meet what they expect: a directory where one is
// made or written into, and no directory where a file is written.
func (pr *prover) possible() (out plan.Findings) {
	effs := pr.changes
	commit, err := pr.loader.Commit(pr.p, func(name string) (string, error) { return throughLinks(pr.root, name) })
	if err != nil {
		out = append(out, fault("commit", "", err)...)
	}
	effs = append(append(effs[:len(effs):len(effs)], commit...), machine.Mkdir{Path: StateDir})
	for _, f := range pr.sys.Generator.Overlay(pr.p) {
		effs = append(effs, machine.Mkdir{Path: path.Dir(f.Path)}, machine.WriteFile{Path: f.Path})
	}
	told := map[string]bool{}
	kind := func(name string, dir bool) {
		st, err := pr.stat(name)
		switch {
		case told[name] || errors.Is(err, fs.ErrNotExist) || err == nil && st.IsDir() == dir:
			return
		case err != nil:
			out = append(out, fault("file "+name, "", err)...)
		case dir:
			out = append(out, plan.Refusal("file "+name, "mv "+name+" "+name+".old", "it is not a directory, and the migration needs one of this name"))
		default:
			out = append(out, plan.Refusal("directory "+name, "mv "+name+" "+name+".old", "it is a directory, and the migration writes a file of this name"))
		}
		told[name] = true
	}
	for _, eff := range effs {
		switch x := eff.(type) {
		case machine.Mkdir:
			kind(path.Clean(x.Path), true)
		case machine.WriteFile:
			kind(path.Clean(x.Path), false)
			kind(path.Dir(path.Clean(x.Path)), true)
		case machine.WriteInPlace:
			kind(path.Clean(x.Path), false)
		}
	}
	return out
}

// schedules asks whether schedule can be spelled: what it refuses is refused here first.
func (pr *prover) schedules() plan.Findings {
	if pr.asking.Facts == nil {
		return nil
	}
	if _, err := Schedule(pr.loaders, pr.p, pr.asking.Facts, pr.root, nil, "", nil, nil); err != nil {
		return fault("schedule", "correct what it names", err)
	}
	return nil
}
