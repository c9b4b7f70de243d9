package stage

import (
	"context"
	"io/fs"
	"path"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// runRebuild makes initrds and boot loader again with the system's own programs, in a chroot on the target.
func runRebuild(ctx context.Context, e *Env) error {
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	for _, f := range sys.Generator.Overlay(e.Plan) {
		e.tell("rebuild", "%s: %s", f.Path, f.Why)
		at, err := inRoot(root, f.Path)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Mkdir{Path: path.Dir(path.Join(TargetDir, at)), Mode: 0o755},
			machine.WriteFile{Path: path.Join(TargetDir, at), Data: f.Data, Mode: fs.FileMode(f.Mode)}); err != nil {
			return err
		}
	}
	if err := e.enterChroot(ctx); err != nil {
		return err
	}
	var disks []string
	for _, t := range e.Plan.NewDisks() {
		d, err := e.disk("target disk", t)
		if err != nil {
			return err
		}
		disks = append(disks, d.Path)
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	all := sys.Rebuild(e.Plan, TargetDir, disks)
	if l.Install != nil {
		all = append(all, sys.Run(TargetDir, disks, l.Install(e.Plan, disks))...)
	}
	for _, x := range append(all, menu(sys, l, e.Plan, TargetDir)...) {
		e.tell("rebuild", "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return e.leaveChroot(ctx)
}

// menu are the programs that write the boot loader's configuration in the system below root.
func menu(sys distro.System, l loader.Loader, p *plan.Plan, root string) []machine.Exec {
	if l.Menu == nil {
		return nil
	}
	return sys.Run(root, nil, l.Menu(p))
}
