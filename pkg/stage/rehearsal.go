package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// RehearsalDir is where the memory of a rehearsal is mounted, and below it the overlay in which it takes place.
const RehearsalDir = "/run/migrate-init"

const rehearsalRoot = RehearsalDir + "/root"

// Names of the parts of `rebuild` that can be made before the reboot.
const (
	partInitrds = "initrds"
	partMenu    = "menu"
)

// Rehearsal does before the reboot what the stages `rewrite`, `rebuild` and `prove` do after it, in an overlay of the running
// system: nothing of that changes. What it made can be kept until the migration. It mounts, and unmounts nothing: its caller gives
// it mounts of its own (machine.InMountNamespace). What is written over the running system goes to memory, or, where there is too little, into above: an
// empty directory of a filesystem that is not moved.
func Rehearsal(ctx context.Context, e *Env, above string) (*Kept, error) {
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return nil, err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return nil, err
	}
	if len(sys.Generator.Reads) == 0 || len(sys.Family.Reads) == 0 {
		return nil, fmt.Errorf("initramfs generator %s: what its initrds depend on is not known, so they cannot be made before the reboot; use --skip-rehearsal", sys.Generator.Name)
	}
	r := &rehearsal{Env: e, above: above, sys: sys, loader: l, made: Kept{record: keptSet{Version: keptVersion, Plan: e.Plan.ID}, from: map[string]string{}}}
	for _, step := range []func(context.Context) error{r.overlay, r.devices, r.rewrite, r.initrds, r.menu, r.prove} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if r.root, err = r.Inside(rehearsalRoot); err != nil {
			return nil, err
		}
	}
	return &r.made, nil
}

type rehearsal struct {
	*Env
	above  string
	sys    distro.System
	loader loader.Loader
	root   fs.FS // the overlay
	made   Kept
}

func (r *rehearsal) say(format string, args ...any) { r.tell("rehearsal", format, args...) }

// at is where a path of the overlaid system is on this machine.
func (r *rehearsal) at(name string) (string, error) {
	at, err := throughLinks(r.root, name)
	return path.Join(rehearsalRoot, at), err
}

// overlay puts memory over each filesystem that is moved: what the migration would not copy is not seen, as in the copy.
func (r *rehearsal) overlay(ctx context.Context) error {
	mount := machine.Mount{Source: r.above, Target: RehearsalDir, Flags: machine.Bind}
	if r.above == "" {
		size, err := rehearsalSize(r.Env.Root, r.Facts)
		if err != nil {
			return err
		}
		mount = machine.Mount{Source: "tmpfs", Target: RehearsalDir, Type: "tmpfs", Data: fmt.Sprintf("mode=0700,size=%d", size)}
	}
	if err := r.do(ctx, machine.Mkdir{Path: RehearsalDir, Mode: 0o700}, mount, machine.Mkdir{Path: rehearsalRoot, Mode: 0o755}); err != nil {
		return err
	}
	var err error
	for i, n := range r.Plan.Source.Places() {
		target := rehearsalRoot
		if n.Dir != "/" {
			if target, err = r.at(n.Dir); err != nil {
				return err
			}
		}
		live := path.Join("/", strings.TrimPrefix(target, rehearsalRoot))
		if !r.mountedFS(n, live) {
			if live == "/" {
				return fmt.Errorf("filesystem %s: it is not mounted at /, so nothing can be rehearsed here; run schedule on the system that is to be moved, or use --skip-rehearsal", n.Node.Ref.ID())
			}
			r.say("%s is not mounted, and not seen in the rehearsal", n.Dir)
			continue
		}
		dir := func(kind string) string { return fmt.Sprintf("%s/%s%d", RehearsalDir, kind, i) }
		if err := r.do(ctx, machine.Mkdir{Path: dir("lower"), Mode: 0o755}, machine.Mkdir{Path: dir("upper"), Mode: 0o755}, machine.Mkdir{Path: dir("work"), Mode: 0o755},
			machine.Mount{Source: live, Target: dir("lower"), Flags: machine.Bind | machine.ReadOnly}); err != nil {
			return err
		}
		if err := r.do(ctx, machine.Mount{Source: "overlay", Target: target, Type: "overlay", Data: "lowerdir=" + dir("lower") + ",upperdir=" + dir("upper") + ",workdir=" + dir("work")}); err != nil {
			return fmt.Errorf("overlay: %w; load the kernel's module overlay, or use --skip-rehearsal", err)
		}
		if r.root, err = r.Inside(rehearsalRoot); err != nil {
			return err
		}
	}
	return nil
}

// mountedFS reports whether a source filesystem is what is seen at a directory.
func (r *rehearsal) mountedFS(n plan.Place, dir string) bool {
	d, err := r.Facts.FS(n.Node.Ref.ID())
	if err != nil || d == nil {
		return false
	}
	for _, m := range slices.Backward(r.Facts.Mounts) {
		if m.Target == dir {
			return m.Device == d.Name && n.Shown(&m)
		}
	}
	return false
}

// devices makes what programs need around them, as the chroot of `rebuild` has it, but for the disks: no program of the rehearsal can
// reach one. Of the filesystems that are planned there are names alone. The swap areas in use are the old system's.
func (r *rehearsal) devices(ctx context.Context) error {
	dev, err := r.at("/dev")
	if err != nil {
		return err
	}
	effs := []machine.Effect{machine.Mount{Source: "tmpfs", Target: dev, Type: "tmpfs", Data: "mode=0755"}}
	for _, n := range []string{"null", "zero", "full", "random", "urandom"} {
		at := path.Join(dev, n)
		effs = append(effs, machine.WriteFile{Path: at, Mode: 0o666}, machine.Mount{Source: "/dev/" + n, Target: at, Flags: machine.Bind})
	}
	for _, link := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}} {
		effs = append(effs, machine.Symlink{Path: path.Join(dev, link[0]), Target: link[1]})
	}
	effs = append(effs, machine.Mkdir{Path: path.Join(dev, "pts"), Mode: 0o755}, machine.Mkdir{Path: path.Join(dev, "shm"), Mode: 0o777 | fs.ModeSticky}, machine.Mkdir{Path: path.Join(dev, "disk/by-uuid"), Mode: 0o755})
	for _, n := range r.Plan.Target.Filesystems() {
		effs = append(effs, machine.WriteFile{Path: path.Join(path.Dir(dev), plannedNode(n)), Mode: 0o600},
			machine.Symlink{Path: path.Join(dev, "disk/by-uuid", n.Ref.ID()), Target: plannedNode(n)})
	}
	for _, m := range chrootMounts() {
		if m.Target == "/dev" {
			continue
		}
		at, err := r.at(m.Target)
		if err != nil {
			return err
		}
		m.Target = at
		effs = append(effs, m)
		if m.Type == "proc" {
			effs = append(effs, machine.Mount{Source: path.Join(dev, "null"), Target: path.Join(at, "swaps"), Flags: machine.Bind})
		}
	}
	return r.do(ctx, effs...)
}

// plannedNode stands for the device of a filesystem that is not made yet.
func plannedNode(n *plan.Node) string { return "/dev/planned-" + n.Ref.ID() }

// rewrite changes the settings in the overlay as the stage does in the copy.
func (r *rehearsal) rewrite(ctx context.Context) error {
	effs, err := Rewrites(r.Loaders, r.Plan, r.root, rehearsalRoot)
	if err != nil {
		return err
	}
	if err := r.do(ctx, effs...); err != nil {
		return err
	}
	if r.root, err = r.Inside(rehearsalRoot); err != nil {
		return err
	}
	return r.writeInto(ctx, "rehearsal", r.root, rehearsalRoot, r.sys.Generator.Overlay(r.Plan))
}

// initrds runs the generator, and notes what it made.
func (r *rehearsal) initrds(ctx context.Context) error {
	kernels, before, err := r.images()
	if err != nil {
		return err
	}
	reads, err := newReader(r.root).all(initrdReads(r.sys))
	if err != nil {
		return err
	}
	if r.sys.Generator.Ahead != nil {
		files := r.sys.Generator.Ahead(plan.Installed{Files: (&prover{root: r.root}).files(), Plan: r.Plan})
		if err := r.writeInto(ctx, "rehearsal", r.root, rehearsalRoot, files); err != nil {
			return err
		}
	}
	for _, x := range r.sys.Rebuild(r.Plan, rehearsalRoot, nil) {
		r.say("%s", x)
		if _, err := r.Machine.Do(ctx, x); err != nil {
			return failedProgram(x, err)
		}
	}
	if r.root, err = r.Inside(rehearsalRoot); err != nil {
		return err
	}
	_, after, err := r.images()
	if err != nil {
		return err
	}
	part := keptPart{Name: partInitrds, Reads: reads, Inside: readings{}}
	for _, k := range kernels {
		name := "/" + r.sys.Generator.InitrdOf(k)
		if after[name] == "" || after[name] == before[name] {
			continue // of a kernel that the generator passes over, here and in the copy
		}
		if err := r.add(&part, name); err != nil {
			return err
		}
	}
	if len(part.Files) == 0 {
		return fmt.Errorf("initrds: %s made none for %s", r.sys.Generator.Program, strings.Join(kernels, ", "))
	}
	r.made.record.Parts = append(r.made.record.Parts, part)
	return nil
}

// failedProgram says of a program of the system what it said, and what to do about it.
func failedProgram(x machine.Exec, err error) error {
	return fmt.Errorf("rehearsal of the migration: %w; `%s` would fail in the migration too: run it here, fix what it names, and schedule again", err, strings.Join(x.Argv, " "))
}

// initrdReads is all that an initrd depends on, but for the files that are in it.
func initrdReads(sys distro.System) []string {
	return slices.Concat([]string{sys.Family.Kernels}, sys.Family.Reads, sys.Generator.Reads)
}

// menuReads is all that the boot loader's configuration depends on.
func menuReads(sys distro.System, l loader.Loader) []string {
	return slices.Concat([]string{sys.Family.Kernels}, sys.Family.Reads, l.Reads)
}

// images are the kernels, and what their initrds are.
func (r *rehearsal) images() (kernels []string, initrds readings, err error) {
	if kernels, err = glob(r.root, r.sys.Family.Kernels); err != nil {
		return nil, nil, err
	}
	initrds = readings{}
	read := newReader(r.root)
	for _, k := range kernels {
		name := "/" + r.sys.Generator.InitrdOf(k)
		if initrds[name], err = read.value(name); err != nil {
			return nil, nil, err
		}
	}
	return kernels, initrds, nil
}

// add notes a file that was made.
func (r *rehearsal) add(part *keptPart, name string) error {
	at, err := throughLinks(r.root, name)
	if err != nil {
		return err
	}
	sum, size, err := digest(r.root, at)
	if err != nil {
		return err
	}
	st, err := fs.Stat(r.root, nonRoot(at))
	if err != nil {
		return fmt.Errorf("file %s: %w", name, err)
	}
	kept := part.Name + "-" + strconv.Itoa(len(part.Files))
	part.Files = append(part.Files, keptFile{Path: name, Name: kept, Size: size, Sum: sum, Mode: uint32(st.Mode().Perm())})
	r.made.from[kept] = path.Join(rehearsalRoot, at)
	return nil
}

// menu makes the boot loader's configuration with stand-ins for what would ask the devices. Where that fails the migration makes it.
func (r *rehearsal) menu(ctx context.Context) error {
	if r.loader.Menu == nil || len(r.loader.Reads) == 0 || r.loader.StandIns == nil {
		return nil
	}
	later := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.say("boot menu: it cannot be made before the reboot, and is made in the migration: %v", err)
		return nil
	}
	reads, err := newReader(r.root).all(menuReads(r.sys, r.loader))
	if err != nil {
		return err
	}
	files, err := r.loader.StandIns(r.Plan, plannedNode)
	if err != nil {
		return later(err)
	}
	for _, f := range files {
		if f.Path, err = r.at(f.Path); err != nil {
			return err
		}
		if err := r.do(ctx, f); err != nil {
			return err
		}
	}
	part := keptPart{Name: partMenu, Reads: reads}
	for _, x := range menu(r.sys, r.loader, r.Plan, rehearsalRoot) {
		r.say("%s", x)
		if _, err := r.Machine.Do(ctx, x); err != nil {
			return later(err)
		}
	}
	if r.root, err = r.Inside(rehearsalRoot); err != nil {
		return err
	}
	for _, name := range r.loader.Writes {
		if err := r.add(&part, "/"+name); err != nil {
			return later(err)
		}
	}
	r.made.record.Parts = append(r.made.record.Parts, part)
	return nil
}

// prove asks of the overlay what `prove` will ask of the target, but for the disks.
func (r *rehearsal) prove(ctx context.Context) error {
	read, part := newReader(r.root), &r.made.record.Parts[0]
	var unread error
	opened := func(a *cpio.Archive) {
		for _, x := range a.List() {
			if !x.IsRegular() || unread != nil {
				continue
			}
			name := "/" + x.Name
			if v, err := read.stamp(name); err != nil {
				unread = err
			} else if v != "" {
				part.Inside[name] = v
			}
		}
	}
	when := plan.Generated
	if len(r.made.record.Parts) > 1 {
		when = plan.Proving
	}
	found := Preflight{Loaders: r.Loaders, Plan: r.Plan, When: when, Root: r.root, Sys: r.Env.Root, Machine: r.Machine, Chroot: rehearsalRoot,
		Say: func(s string) { r.say("%s", s) }, Opened: opened}.Ask(ctx)
	for _, x := range found {
		if x.Severity == plan.Warn {
			r.say("warning: %s", x)
		}
	}
	if err := errors.Join(found.Err(), unread); err != nil {
		return fmt.Errorf("rehearsal of the migration: the new system would not boot, and the migration would stop before its commit: %w", err)
	}
	return nil
}
