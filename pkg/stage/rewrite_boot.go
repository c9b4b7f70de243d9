package stage

import (
	"path"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// bootLoader rewrites the boot loader's own files, and tells its packages of the new disks.
func (r *rewriter) bootLoader() error {
	if r.loader.Rewrite != nil {
		effs, err := r.loader.Rewrite(r.p, r.rewriting())
		if err != nil {
			return err
		}
		r.out = append(r.out, effs...)
	}
	return r.remember(r.p.NewDisks())
}

// rewriting is this rewriter for a row of pkg/loader.
func (r *rewriter) rewriting() loader.Rewriting {
	return loader.Rewriting{To: r.renames(), Read: r.read, Edit: func(name string, change func([]byte) ([]byte, error)) ([]machine.Effect, error) {
		one := *r
		one.out = nil
		err := one.edit(name, change)
		return one.out, err
	}}
}

func (r *rewriter) renames() loader.Renames {
	return loader.Renames{UUIDs: r.successors, Becomes: r.becomes, Params: r.params, Variables: r.variables}
}

// remember names disks to the packages of the boot loader.
func (r *rewriter) remember(disks []*plan.Node) error {
	if r.loader.Remember == nil {
		return nil
	}
	var names []string
	for _, t := range disks {
		name := t.Disk.ByID
		if name == "" {
			// A disk without an identity of its own has no link; its node is the only name there is.
			name = t.Was
		}
		if name != "" {
			names = append(names, name)
		}
	}
	effs, err := r.loader.Remember(r.rewriting(), names)
	r.out = append(r.out, effs...)
	return err
}

// scheduled removes from the copy what schedule put into the old system.
func (r *rewriter) scheduled() error {
	for _, f := range []string{ScheduledKernel(r.p), ScheduledImage(r.p), ScheduleFile} {
		there, err := exists(r.root, f)
		if err != nil {
			return err
		}
		if there {
			r.out = append(r.out, machine.Remove{Path: path.Join(r.dir, f)})
		}
	}
	return nil
}

// installDevices names both disks to the boot loader's packages once the old one is a mirror.
func (e *Env) installDevices() ([]machine.Effect, error) {
	root, err := e.Inside("/")
	if err != nil {
		return nil, err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return nil, err
	}
	r := &rewriter{p: e.Plan, root: root, dir: "/", loader: l}
	err = r.remember(append(e.Plan.NewDisks(), e.Plan.LaterDisks()...))
	return r.out, err
}
