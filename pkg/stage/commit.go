package stage

import (
	"context"
	"path"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
)

// StateDir is where a migrated system keeps its plan, journal, report and this binary.
const StateDir = "/var/lib/migrate-init"

// runCommit is the one point of no return, and it is one effect of the boot loader's. Before it everything else of the
// target has reached the disk.
func runCommit(ctx context.Context, e *Env) error {
	// A migration that is started again has nothing to do from here on, and the boot loader would ask for it first.
	if err := e.disarm(ctx); err != nil {
		return err
	}
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	if err := e.keepState(ctx); err != nil {
		return err
	}
	for _, n := range e.Plan.Target.Filesystems() {
		at, err := e.place(n.FS.Mount)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Sync{Path: at}); err != nil {
			return err
		}
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	effs, err := l.Commit(e.Plan, e.place)
	if err != nil {
		return err
	}
	return e.do(ctx, effs...)
}

// keepState puts plan, report and this binary into the new system.
func (e *Env) keepState(ctx context.Context) error {
	dir, err := e.place(StateDir)
	if err != nil {
		return err
	}
	effs := []machine.Effect{
		machine.Mkdir{Path: dir, Mode: 0o700},
		machine.WriteFile{Path: path.Join(dir, "plan.toml"), Data: e.PlanText, Mode: 0o600},
		machine.WriteFile{Path: path.Join(dir, "report.txt"), Data: []byte(e.records.Report(e.Plan)), Mode: 0o600},
	}
	if e.Self != "" {
		effs = append(effs, machine.CopyFile{From: e.Self, To: path.Join(dir, "migrate-init"), Mode: 0o755})
	}
	// What was made before the reboot is in its place by now.
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	left, err := removeKept(root, TargetDir)
	if err != nil {
		return err
	}
	return e.do(ctx, append(effs, left...)...)
}

// runHandover enters the new system. Its root stays mounted, and /usr, where its init and that one's libraries are; init
// mounts the rest.
func runHandover(ctx context.Context, e *Env) error {
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	if err := e.leaveChroot(ctx); err != nil {
		return err
	}
	if err := e.releaseSources(ctx); err != nil {
		return err
	}
	if err := e.releaseTree(ctx, "/", "/usr"); err != nil {
		return err
	}
	if err := e.releaseOverlays(ctx); err != nil {
		return err
	}
	if err := e.do(ctx, machine.Sync{Path: TargetDir}); err != nil {
		return err
	}
	e.tell("handover", "entering the migrated system")
	return e.do(ctx, machine.SwitchRoot{NewRoot: TargetDir, Init: "/sbin/init"})
}

func stopEffect(dev string) machine.Effect {
	c := md.StopArray()
	return machine.Ioctl{Dev: dev, Name: c.Name, Req: c.Req, Arg: c.Arg, Value: c.Value}
}
