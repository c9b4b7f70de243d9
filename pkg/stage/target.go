package stage

import (
	"context"
	"fmt"
	"slices"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// assembleTree mounts the new filesystems as the new system will have them, below TargetDir.
func (e *Env) assembleTree(ctx context.Context) error {
	left := e.Plan.Target.Places()
	// At first only the root: the symbolic links are in it.
	for ready := 1; len(left) > 0; ready = len(left) {
		next, err := e.places(left[:ready])
		if err != nil {
			return err
		}
		n := next[0]
		left = slices.DeleteFunc(left, func(x plan.Place) bool { return x.Dir == n.Dir })
		d, err := e.volume(n.Node.Lower())
		if err != nil {
			return err
		}
		fs := n.Node.FS
		if err := e.Load(ctx, fs.Type); err != nil {
			return err
		}
		if err := e.mount(ctx, machine.Mount{Source: d.Path, Target: n.at, Type: fs.Type, Data: plan.JoinOptions(fs.Options, n.Options)}); err != nil {
			return err
		}
	}
	return e.refresh(ctx)
}

// releaseTree unmounts the new filesystems, the deepest first, but for those mounted in keep.
func (e *Env) releaseTree(ctx context.Context, keep ...string) error {
	if !e.mounted(TargetDir) {
		return nil
	}
	fs, err := e.places(e.Plan.Target.Places())
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(fs) {
		if slices.Contains(keep, n.Dir) {
			continue
		}
		if err := e.unmount(ctx, n.at); err != nil {
			return err
		}
	}
	return nil
}

// chrootMounts are what the system's own tools need around them. /run is empty: what runs there is the initramfs,
// not the system. Targets are paths of the new system.
func chrootMounts() []machine.Mount {
	return []machine.Mount{
		{Source: "/dev", Target: "/dev", Flags: machine.Bind},
		{Source: "devpts", Target: "/dev/pts", Type: "devpts"},
		{Source: "proc", Target: "/proc", Type: "proc"},
		{Source: "sysfs", Target: "/sys", Type: "sysfs"},
		{Source: "tmpfs", Target: "/run", Type: "tmpfs", Data: "mode=0755"},
		{Source: "tmpfs", Target: "/tmp", Type: "tmpfs", Data: "mode=1777"},
	}
}

// enterChroot mounts them and makes the /dev/disk links that no udev makes here: programs that write a boot menu
// (grub-mkconfig) write root=UUID= only where the link exists.
func (e *Env) enterChroot(ctx context.Context) error {
	for _, m := range chrootMounts() {
		var err error
		if m.Target, err = e.place(m.Target); err != nil {
			return err
		}
		if err := e.mount(ctx, m); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Filesystems() {
		d, err := e.volume(n.Lower())
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Mkdir{Path: "/dev/disk/by-uuid", Mode: 0o755}, machine.Symlink{Target: "../../" + d.Name, Path: "/dev/disk/by-uuid/" + n.Ref.ID()}); err != nil {
			return err
		}
	}
	return e.refresh(ctx)
}

func (e *Env) leaveChroot(ctx context.Context) error {
	if !e.mounted(TargetDir) {
		return nil
	}
	for _, m := range slices.Backward(chrootMounts()) {
		at, err := e.place(m.Target)
		if err != nil {
			return err
		}
		if err := e.unmount(ctx, at); err != nil {
			return fmt.Errorf("chroot: %w", err)
		}
	}
	return nil
}

// releaseSources unmounts what was only needed for copying.
func (e *Env) releaseSources(ctx context.Context) error {
	for _, s := range e.Plan.Source.Filesystems() {
		if err := e.unmount(ctx, sourceDir(s.Ref.ID())); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Filesystems() {
		if err := e.unmount(ctx, newDir(n.Ref.ID())); err != nil {
			return err
		}
	}
	return nil
}

// started is something that this run set out to bring into being, and what undoes it. It is noted before it is tried: an
// effect that failed may have been carried out all the same.
type started struct {
	what  string // a device, or a directory that something is mounted on
	there func(e *Env, what string) bool
	stop  func(ctx context.Context, e *Env, what string) error
	// source: it stands on the sources, and the new system does not need it.
	source bool
}

// Abandon leaves the machine as safe as can be after a failure: what this run mounted and started is released, the last
// first, and nothing else is touched. What fails is told and passed over, since the machine is about to be reset.
func (e *Env) Abandon(ctx context.Context) {
	e.giveUp(ctx)
	f, err := e.look(ctx, survey.Shallow)
	if err != nil {
		return
	}
	e.Facts = f
	for _, s := range slices.Backward(e.started) {
		if !s.there(e, s.what) {
			continue
		}
		if err := s.stop(ctx, e, s.what); err != nil {
			e.tell("abandon", "%v", err)
		}
	}
	e.started = nil
}
