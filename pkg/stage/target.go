package stage

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// byDepth lists the new filesystems so that each comes after the one that it is mounted in.
func byDepth(p *plan.Plan) []plan.NewFS {
	out := append([]plan.NewFS(nil), p.Target.Filesystems...)
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].Mount) < len(out[j].Mount) })
	return out
}

// assembleTree mounts the new filesystems as the new system will have them, below TargetDir.
func (e *Env) assembleTree(ctx context.Context) error {
	left := byDepth(e.Plan)
	// At first only the root: the symbolic links are in it.
	for ready := 1; len(left) > 0; ready = len(left) {
		next, err := e.places(left[:ready])
		if err != nil {
			return err
		}
		n := next[0]
		left = slices.DeleteFunc(left, func(x plan.NewFS) bool { return x.UUID == n.UUID })
		d, err := e.volume(n.On)
		if err != nil {
			return err
		}
		if err := e.Load(ctx, n.Type); err != nil {
			return err
		}
		if err := e.mount(ctx, machine.Mount{Source: d.Path, Target: n.at, Type: n.Type}); err != nil {
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
	fs, err := e.places(byDepth(e.Plan))
	if err != nil {
		return err
	}
	for _, n := range slices.Backward(fs) {
		if slices.Contains(keep, n.Mount) {
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

// enterChroot mounts them and makes the /dev/disk links that no udev makes here: grub-mkconfig writes root=UUID= only
// where the link exists.
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
	for _, n := range e.Plan.Target.Filesystems {
		d, err := e.volume(n.On)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.Mkdir{Path: "/dev/disk/by-uuid", Mode: 0o755}, machine.Symlink{Target: "../../" + d.Name, Path: "/dev/disk/by-uuid/" + n.UUID}); err != nil {
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
	for _, s := range e.Plan.Source.Filesystems {
		if err := e.unmount(ctx, sourceDir(s.UUID)); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Filesystems {
		if err := e.unmount(ctx, newDir(n.UUID)); err != nil {
			return err
		}
	}
	return nil
}

// Abandon leaves the target as safe as can be after a failure: everything unmounted, arrays stopped. What fails is
// told and passed over, since the machine is about to be reset.
func (e *Env) Abandon(ctx context.Context) {
	f, err := e.Look(ctx, 0)
	if err != nil {
		return
	}
	e.Facts = f
	for i := len(f.Mounts) - 1; i >= 0; i-- {
		t := f.Mounts[i].Target
		if len(t) > 4 && t[:5] == "/mnt/" {
			if _, err := e.Machine.Do(ctx, machine.Unmount{Target: t}); err != nil {
				e.tell("abandon", "%v", err)
			}
		}
	}
	for _, d := range f.Devices {
		if d.Kind == plan.KindArray {
			if err := e.do(ctx, stopEffect(d.Path)); err != nil {
				e.tell("abandon", "%v", err)
			}
		}
	}
}
