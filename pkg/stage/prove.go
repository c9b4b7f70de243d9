package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/fstab"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
)

// runProve shows before commit that the target boots: nothing is written here, and any doubt is an error.
func runProve(ctx context.Context, e *Env) error {
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	pr := &prover{p: e.Plan, sys: sys, loader: l, root: root, say: func(s string) { e.tell("prove", "%s", s) }}
	pr.core = coreDrivers(e.Root, e.Plan.Drivers)
	errs := []error{pr.initrds(), pr.init(), pr.fstab(), pr.mdadm(), pr.leftovers()}
	for _, t := range e.Plan.NewDisks() {
		errs = append(errs, e.proveTable(e.Plan.Target, t))
	}
	if l.Prove != nil {
		errs = append(errs, l.Prove(e.Plan, loader.Proof{Files: pr.files(), Proved: pr.proved, Say: pr.say}))
	}
	for _, t := range e.Plan.NewDisks() {
		errs = append(errs, e.proveDisk("prove", e.Plan.Target, t))
	}
	return errors.Join(errs...)
}

type prover struct {
	p      *plan.Plan
	sys    distro.System
	loader loader.Loader
	root   fs.FS
	say    func(string)
	core   map[string]bool   // drivers that are no modules: built in, and not in modules.builtin either
	proved map[string]bool   // kernels whose initrd is good
	over   map[string][]byte // by absolute path, files as they will be; nil for one that will not be there
}

func (pr *prover) read(name string) ([]byte, error) {
	at, err := throughLinks(pr.root, name)
	if err != nil {
		return nil, err
	}
	if b, ok := pr.over[at]; ok && b != nil {
		return b, nil
	}
	b, err := fs.ReadFile(pr.root, nonRoot(at))
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return b, nil
}

func (pr *prover) stat(name string) (fs.FileInfo, error) {
	at, err := throughLinks(pr.root, name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(pr.root, nonRoot(at))
}

func (pr *prover) files() loader.Files {
	return loader.Files{Read: pr.read, Stat: pr.stat, Glob: func(pattern string) ([]string, error) { return glob(pr.root, pattern) }}
}

// initrds opens the initrd of every kernel. One without modules or without an initrd is no refusal by itself, unless it is
// the planned one: the boot loader's proof asks whether it would be booted.
func (pr *prover) initrds() error {
	pattern := pr.sys.Family.Kernels
	kernels, err := glob(pr.root, pattern)
	if err != nil {
		return fmt.Errorf("kernels: %w", err)
	}
	if len(kernels) == 0 {
		return fmt.Errorf("kernels: none in the new system matches %s", pattern)
	}
	var errs []error
	pr.proved = map[string]bool{}
	for _, k := range kernels {
		rel, err := pr.release(k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := pr.stat("lib/modules/" + rel + "/modules.dep"); err != nil {
			// A kernel whose package was removed badly is not what will be booted, unless it is the planned one.
			if rel == pr.p.Boot.Release {
				errs = append(errs, fmt.Errorf("kernel /%s: no modules of its release %s: %w", k, rel, err))
			} else {
				pr.say(fmt.Sprintf("kernel /%s: no modules of its release %s; it cannot boot, and does not count", k, rel))
			}
			continue
		}
		name := pr.sys.Generator.InitrdOf(k)
		if _, err := fs.Stat(pr.root, name); errors.Is(err, fs.ErrNotExist) && rel != pr.p.Boot.Release {
			pr.say(fmt.Sprintf("kernel /%s: no initrd /%s; it cannot boot from an array, and does not count", k, name))
			continue
		}
		if err := pr.initrd(name, rel, pr.sys.Generator.Needs(pr.p)); err != nil {
			errs = append(errs, err)
			continue
		}
		pr.proved[k] = true
	}
	if len(pr.proved) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("kernels: none of %s has both modules and an initrd", strings.Join(kernels, ", ")))
	}
	return errors.Join(errs...)
}

func (pr *prover) release(kernel string) (string, error) {
	f, err := pr.root.Open(kernel)
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	rel, err := kmod.Release(head)
	if err != nil {
		return "", fmt.Errorf("kernel /%s: %w", kernel, err)
	}
	return rel, nil
}

func (pr *prover) initrd(name, release string, needs []distro.Need) error {
	f, err := pr.root.Open(name)
	if err != nil {
		return fmt.Errorf("initrd /%s: %w", name, err)
	}
	defer f.Close()
	keep := map[string]bool{}
	for _, n := range needs {
		keep[n.Path], keep["usr/"+n.Path] = true, true
	}
	a, err := cpio.Index(f, cpio.IndexOptions{Keep: func(x cpio.Entry) bool {
		base := path.Base(x.Name)
		return keep[x.Name] || base == "modules.builtin" || pr.setting(x)
	}})
	if err != nil {
		return fmt.Errorf("initrd /%s: %w", name, err)
	}
	mods := modulesIn(a, release)
	if len(mods) == 0 {
		return fmt.Errorf("initrd /%s: no modules of kernel %s inside", name, release)
	}
	var errs []error
	if err := unpacks(a); err != nil {
		errs = append(errs, fmt.Errorf("initrd /%s: %w", name, err))
	}
	for _, n := range needs {
		if err := meets(a, mods, n); err != nil {
			errs = append(errs, fmt.Errorf("initrd /%s: %w (%s)", name, err, n.Why))
		}
	}
	if b, err := a.ReadFile(pr.sys.Family.MDConf); err == nil && len(pr.p.Target.Arrays()) > 0 {
		if err := proveMdadmConf(pr.p, b); err != nil {
			errs = append(errs, fmt.Errorf("initrd /%s: %s: %w", name, "/"+pr.sys.Family.MDConf, err))
		}
	}
	for _, d := range pr.p.Drivers {
		if !mods[kmodName(d)] && !pr.core[kmodName(d)] {
			errs = append(errs, fmt.Errorf("initrd /%s: driver %s of the planned disks is missing", name, d))
		}
	}
	for _, x := range a.List() {
		if pr.setting(x) && x.IsRegular() {
			if b, err := a.ReadFile(x.Name); err == nil {
				if id := oldIdentity(pr.p, uncommented(b)); id != "" {
					errs = append(errs, fmt.Errorf("initrd /%s: %s still names %s of the old system", name, x.Name, id))
				}
			}
		}
	}
	if len(errs) == 0 {
		pr.say(fmt.Sprintf("initrd /%s: kernel %s, %d modules, arrays and drivers inside", name, release, len(mods)))
	}
	return errors.Join(errs...)
}

// setting reports whether a member of an initrd says what it waits for.
func (pr *prover) setting(x cpio.Entry) bool {
	in := pr.sys.Generator.Inside
	return in != "" && strings.HasPrefix(x.Name, in)
}

// unpacks shows that the kernel will find an init, and leaves nothing out. Microcode, which it reads by other means, has
// no directories of its own in some images.
func unpacks(a *cpio.Archive) error {
	for _, n := range a.Dropped {
		if !strings.HasPrefix(n, "kernel/") {
			return fmt.Errorf("the kernel would leave out %s, with %d others: their directories are not there before them", n, len(a.Dropped)-1)
		}
	}
	x, err := a.Lookup("init")
	if err == nil && (!x.IsRegular() || x.Mode&0o111 == 0) {
		err = fmt.Errorf("init: not an executable file (mode %o)", x.Mode)
	}
	return err
}

// coreDrivers are those of the running kernel that cannot be modules (pcieportdrv): they are in /sys/module without the
// file that each loaded module has there, and are named nowhere else.
func coreDrivers(root fs.FS, drivers []string) map[string]bool {
	out := map[string]bool{}
	if root == nil {
		return out
	}
	for _, d := range drivers {
		dir := path.Join("sys/module", kmodName(d))
		if st, err := fs.Stat(root, dir); err != nil || !st.IsDir() {
			continue
		}
		if _, err := fs.Stat(root, path.Join(dir, "initstate")); errors.Is(err, fs.ErrNotExist) {
			out[kmodName(d)] = true
		}
	}
	return out
}

func kmodName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// modulesIn lists the modules of a release that an initrd has or that are built in.
func modulesIn(a *cpio.Archive, release string) map[string]bool {
	out := map[string]bool{}
	add := func(p string) {
		name, _, _ := strings.Cut(path.Base(p), ".ko")
		out[kmodName(name)] = true
	}
	for _, x := range a.List() {
		if !strings.Contains("/"+x.Name, "/lib/modules/"+release+"/") {
			continue
		}
		if strings.Contains(path.Base(x.Name), ".ko") {
			add(x.Name)
		}
		if path.Base(x.Name) == "modules.builtin" {
			if b, err := a.ReadFile(x.Name); err == nil {
				for line := range strings.Lines(string(b)) {
					add(strings.TrimSpace(line))
				}
			}
		}
	}
	return out
}

func meets(a *cpio.Archive, mods map[string]bool, n distro.Need) error {
	if n.Module != "" && !mods[kmodName(n.Module)] {
		return fmt.Errorf("module %s is missing", n.Module)
	}
	if n.Path == "" {
		return nil
	}
	x, err := a.Lookup(n.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	if len(n.Words) == 0 {
		return nil
	}
	b, err := a.ReadFile(x.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	for _, w := range n.Words {
		if !bytes.Contains(b, []byte(w)) {
			return fmt.Errorf("%s does not contain %s", n.Path, w)
		}
	}
	return nil
}

// fstab resolves every line: none may name the old system, and every new filesystem has its line.
func (pr *prover) fstab() error {
	b, err := pr.read("/etc/fstab")
	if err != nil {
		return err
	}
	t, err := fstab.Parse(b)
	if err != nil {
		return fmt.Errorf("file /etc/fstab: %w", err)
	}
	seen := map[string]string{}
	var errs []error
	for _, x := range t.Entries() {
		if id := oldIdentity(pr.p, []byte(x.Spec.String())); id != "" {
			errs = append(errs, fmt.Errorf("file /etc/fstab: line %d still names %s of the old system", x.Line, id))
		}
		if x.Spec.Kind == fstab.UUID && !x.IsBind() {
			seen[path.Clean(x.File)] = strings.ToLower(x.Spec.Value)
		}
	}
	for _, n := range pr.p.Target.Filesystems() {
		if seen[n.FS.Mount] != n.Ref.ID() {
			errs = append(errs, fmt.Errorf("file /etc/fstab: %s is %q, planned %s", n.FS.Mount, seen[n.FS.Mount], n.Ref.ID()))
		}
	}
	return errors.Join(errs...)
}

// leftovers searches every boot file for names of the old system. Fstab is read by line.
func (pr *prover) leftovers() error {
	errs := []error{pr.settings()}
	for _, pat := range append(slices.Clone(pr.loader.Made), "boot/loader/entries/*") {
		errs = append(errs, pr.search(loader.Setting{Pattern: pat}, func(b []byte) []byte { return b }))
	}
	return errors.Join(errs...)
}

// settings searches the texts from which those and the initrds are made; people write them, with comments.
func (pr *prover) settings() error {
	list := settings(pr.loader, pr.sys.Generator)
	for _, pat := range append(slices.Clone(pr.loader.Written), pr.sys.Family.MDConf, "etc/crypttab") {
		list = append(list, loader.Setting{Pattern: pat})
	}
	var errs []error
	for _, x := range list {
		errs = append(errs, pr.search(x, uncommented))
	}
	return errors.Join(errs...)
}

func (pr *prover) search(x loader.Setting, text func([]byte) []byte) error {
	names, err := glob(pr.root, x.Pattern)
	if err != nil {
		return fmt.Errorf("files %s: %w", x.Pattern, err)
	}
	var errs []error
	for _, n := range names {
		st, err := pr.stat(n)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (st.IsDir() || x.Scripts && st.Mode().Perm()&0o111 == 0) {
			continue // a link that leads nowhere, a directory, a script that is never run: nothing reads it
		}
		if b, ok := pr.over["/"+n]; ok && b == nil {
			continue
		}
		b, err := pr.read("/" + n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if id := oldIdentity(pr.p, text(b)); id != "" {
			errs = append(errs, fmt.Errorf("file /%s: still names %s of the old system", n, id))
		}
	}
	return errors.Join(errs...)
}
