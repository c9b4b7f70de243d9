package stage

import (
	"context"
	"fmt"
	"path"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// StateDir is where a migrated system keeps its plan, journal, report and this binary.
const StateDir = "/var/lib/migrate-init"

// CommittedText is what the commit's file says; the boot loader only asks whether it is there.
func CommittedText(p *plan.Plan) []byte {
	return []byte("plan " + p.ID + "\n")
}

// runCommit is the one point of no return, and it is one rename on the target. Before it everything else of the target
// has reached the disk; the old disk's boot loader reads the renamed file.
func runCommit(ctx context.Context, e *Env) error {
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
	dir, err := e.place(path.Join(e.Plan.Boot.Mount, boot.CommitDir))
	if err != nil {
		return err
	}
	file := path.Join(dir, path.Base(boot.CommittedFile(e.Plan.ID)))
	return e.do(ctx,
		machine.Mkdir{Path: dir, Mode: 0o755},
		machine.WriteFile{Path: file + ".new", Data: CommittedText(e.Plan), Mode: 0o644},
		machine.Rename{From: file + ".new", To: file},
		// An fsynced name may still be in the filesystem's journal alone, which no boot loader replays.
		machine.Sync{Path: dir},
	)
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
		machine.WriteFile{Path: path.Join(dir, "report.txt"), Data: []byte(e.records.Report()), Mode: 0o600},
	}
	if e.Self != "" {
		effs = append(effs, machine.CopyFile{From: e.Self, To: path.Join(dir, "migrate-init"), Mode: 0o755})
	}
	return e.do(ctx, effs...)
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

// grubVolume is how GRUB names a planned volume.
func grubVolume(r plan.Ref) (string, error) {
	if len(r) > 3 && r[:3] == "md:" {
		u, err := md.ParseUUID(string(r[3:]))
		if err != nil {
			return "", fmt.Errorf("volume %s: %w", r, err)
		}
		return "mduuid/" + u.Hex(), nil
	}
	return "", fmt.Errorf("volume %s: GRUB has no stable name for it here", r)
}
