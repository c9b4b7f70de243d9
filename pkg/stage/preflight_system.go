package stage

import (
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// modules asks whether each kernel that has an initrd also has, on the disk, the modules that its next initrd needs.
func (pr *prover) modules() (out plan.Findings) {
	list, _ := pr.kernels()
	want := slices.Clone(pr.p.Drivers)
	for _, n := range pr.sys.Generator.Needs(pr.p) {
		if n.Module != "" {
			want = append(want, n.Module)
		}
	}
	for _, k := range list {
		if _, bad := pr.without(k); bad {
			continue
		}
		have := pr.modulesOf(k.release)
		for _, m := range want {
			if have[kmodName(m)] || pr.core[kmodName(m)] {
				continue
			}
			x := plan.Refusal("kernel /"+k.path, "reinstall its package", "its module %s is not in /lib/modules/%s, and its initrd could not start the new root", m, k.release)
			if !k.planned {
				x.Severity, x.Detail = plan.Warn, x.Detail+"; it does not count"
			}
			out = append(out, x)
		}
	}
	return out
}

// modulesOf are the modules of a release, those that are built in too.
func (pr *prover) modulesOf(release string) map[string]bool {
	out := map[string]bool{}
	for _, table := range []string{"modules.dep", "modules.builtin"} {
		b, err := pr.read("/lib/modules/" + release + "/" + table)
		if err != nil {
			continue // one that is missing is refused elsewhere
		}
		for line := range strings.Lines(string(b)) {
			file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			name, _, _ := strings.Cut(path.Base(file), ".ko")
			out[kmodName(name)] = true
		}
	}
	return out
}

// places asks whether what is rebuilt is where the copy will have it. While it is rebuilt only the planned filesystems are
// mounted: what a bind mount, a memory filesystem or another disk shows there now is then not there.
func (pr *prover) places() (out plan.Findings) {
	f := pr.asking.Facts
	if f == nil {
		return nil
	}
	told := map[string]bool{}
	for _, dir := range slices.Concat([]string{"/etc", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/lib/modules", StateDir, path.Dir(pr.p.Boot.Kernel)}, pr.sys.Family.State, pr.loaderDirs(), pr.changed()) {
		at, err := throughLinks(pr.root, dir)
		if err != nil {
			continue
		}
		m := shows(f, at)
		if m == nil || told[m.Target] || pr.moves(f, m) {
			continue
		}
		told[m.Target] = true
		what := m.Source + " (" + m.Type + ")"
		if m.Root != "" && m.Root != "/" {
			what = m.Root + " of " + m.Source + ", a bind mount"
		}
		out = append(out, plan.Refusal("directory "+m.Target, "umount "+m.Target+", and move what is needed to where it is mounted",
			"it shows %s, which is not mounted there while the new system is made; %s is needed then", what, dir))
	}
	return out
}

func (pr *prover) loaderDirs() (out []string) {
	for _, pattern := range slices.Concat(pr.loader.Made, pr.loader.Written) {
		out = append(out, "/"+path.Dir(pattern))
	}
	return out
}

// changed are the directories of what rewrite changes.
func (pr *prover) changed() (out []string) {
	for _, eff := range pr.changes {
		switch x := eff.(type) {
		case machine.WriteFile:
			out = append(out, path.Dir(path.Clean(x.Path)))
		case machine.WriteInPlace:
			out = append(out, path.Dir(path.Clean(x.Path)))
		}
	}
	return out
}

// shows is the mount that is seen at a path: the last of those whose place is the longest.
func shows(f *plan.Facts, at string) *plan.Mount {
	var best *plan.Mount
	for i, m := range f.Mounts {
		if in := m.Target == "/" || at == m.Target || strings.HasPrefix(at, m.Target+"/"); in && (best == nil || len(m.Target) >= len(best.Target)) {
			best = &f.Mounts[i]
		}
	}
	return best
}

// moves reports whether a mount is a filesystem of the plan at its planned place.
func (pr *prover) moves(f *plan.Facts, m *plan.Mount) bool {
	d := f.Dev(m.Device)
	if d == nil || d.Filesystem() == nil {
		return false
	}
	x := pr.p.Source.PlaceAt(m.Target)
	return x.Node != nil && x.Node.Ref.Is(plan.Ref("fs:"+d.Filesystem().UUID)) && x.Shown(m)
}

// frozen asks for files that the copy will not let anyone change: chattr's attributes are kept.
func (pr *prover) frozen() (out plan.Findings) {
	if pr.locked == nil {
		return nil
	}
	var names []string
	add := func(list ...string) {
		for _, n := range list {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	for _, eff := range pr.changes {
		switch x := eff.(type) {
		case machine.WriteFile:
			add(path.Clean(x.Path), path.Dir(path.Clean(x.Path)))
		case machine.WriteInPlace:
			add(path.Clean(x.Path))
		case machine.Remove:
			add(path.Clean(x.Path), path.Dir(path.Clean(x.Path)))
		case machine.Mkdir:
			add(path.Dir(path.Clean(x.Path)))
		case machine.Symlink:
			add(path.Clean(x.Path), path.Dir(path.Clean(x.Path)))
		}
	}
	for _, f := range pr.sys.Generator.Overlay(pr.p) {
		add(f.Path, path.Dir(f.Path))
	}
	list, _ := pr.kernels()
	for _, k := range list {
		add("/"+k.initrd, path.Dir("/"+k.initrd))
	}
	for _, pattern := range slices.Concat(pr.loader.Made, pr.loader.Programs) {
		if found, err := glob(pr.root, pattern); err == nil {
			for _, n := range found {
				add("/"+n, path.Dir("/"+n))
			}
		}
	}
	for _, n := range append(names, StateDir, path.Dir(StateDir), pr.p.Boot.Mount) {
		at, err := throughLinks(pr.root, n)
		if err != nil {
			continue
		}
		if why := pr.locked(at); why != "" {
			out = append(out, plan.Refusal("file "+at, "chattr -"+why+" "+at, "its attribute %s (chattr) forbids changes, and its copy must be changed", why))
		}
	}
	return out
}
