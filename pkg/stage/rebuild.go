package stage

import (
	"context"
	"io/fs"
	"path"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/machine"
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
	for _, x := range sys.Rebuild(e.Plan, TargetDir, disks) {
		e.tell("rebuild", "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return e.leaveChroot(ctx)
}
