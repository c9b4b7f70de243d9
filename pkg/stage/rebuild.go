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
	if err := e.writeInto(ctx, "rebuild", root, TargetDir, sys.Generator.Overlay(e.Plan)); err != nil {
		return err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	if root, err = e.Inside(TargetDir); err != nil {
		return err
	}
	installed, err := e.installKept(ctx, root, sys, l)
	if err != nil {
		return err
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
	var all []machine.Exec
	if !installed[partInitrds] {
		all = sys.Rebuild(e.Plan, TargetDir, disks)
	}
	if !installed[partMenu] {
		all = append(all, menu(sys, l, e.Plan, TargetDir)...)
	}
	if err := e.rebuild(ctx, all); err != nil {
		return err
	}
	if l.Install != nil {
		// The firmware may try a new disk first, and from here on it boots: what it reads has to be there before. Boot loaders
		// replay no journal, and a menu that was cut short ends at a prompt.
		at, err := e.place(e.Plan.Boot.Mount)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Sync{Path: at}); err != nil {
			return err
		}
		if err := e.rebuild(ctx, sys.Run(TargetDir, disks, l.Install(e.Plan, disks))); err != nil {
			return err
		}
	}
	return e.leaveChroot(ctx)
}

func (e *Env) rebuild(ctx context.Context, programs []machine.Exec) error {
	for _, x := range programs {
		e.tell("rebuild", "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// installKept puts in place what was made before the reboot, as far as all that it was made from is still the same, and reports which
// parts of the stage that were. The rest is made here.
func (e *Env) installKept(ctx context.Context, root fs.FS, sys distro.System, l loader.Loader) (map[string]bool, error) {
	out := map[string]bool{}
	k, err := readKept(root, e.Plan)
	if err != nil {
		e.tell("rebuild", "initrds and boot menu are made now: %v", err)
		return out, nil
	}
	for _, x := range []struct {
		name, title string
		reads       []string
		needed      bool
	}{{partInitrds, "initrds", initrdReads(sys), true}, {partMenu, "boot menu", menuReads(sys, l), l.Menu != nil}} {
		if !x.needed {
			continue
		}
		p, err := k.part(root, x.name, x.reads)
		if err != nil {
			e.tell("rebuild", "%s: not as before the reboot, so made again now: %v", x.title, err)
			continue
		}
		for _, f := range p.Files {
			from, err := e.place(path.Join(KeptDir, f.Name))
			if err != nil {
				return nil, err
			}
			to, err := e.place(f.Path)
			if err != nil {
				return nil, err
			}
			e.tell("rebuild", "%s: installed as made before the reboot (%d bytes)", f.Path, f.Size)
			if err := e.do(ctx, machine.CopyFile{From: from, To: to, Mode: fs.FileMode(f.Mode)}); err != nil {
				return nil, err
			}
		}
		out[x.name] = true
	}
	return out, nil
}

// writeInto puts files into the system that root is, and that is at dir on this machine.
func (e *Env) writeInto(ctx context.Context, stage string, root fs.FS, dir string, files []distro.File) error {
	for _, f := range files {
		e.tell(stage, "%s: %s", f.Path, f.Why)
		at, err := inRoot(root, f.Path)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Mkdir{Path: path.Dir(path.Join(dir, at)), Mode: 0o755},
			machine.WriteFile{Path: path.Join(dir, at), Data: f.Data, Mode: fs.FileMode(f.Mode)}); err != nil {
			return err
		}
	}
	return nil
}

// menu are the programs that write the boot loader's configuration in the system below root.
func menu(sys distro.System, l loader.Loader, p *plan.Plan, root string) []machine.Exec {
	if l.Menu == nil {
		return nil
	}
	return sys.Run(root, nil, l.Menu(p))
}
