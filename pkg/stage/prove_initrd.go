package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/conf"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// installed is a kernel image of a system.
type installed struct {
	path    string // without the leading slash
	release string
	planned bool
	initrd  string // without the leading slash
}

// kernels are the images that may boot: kernels, with modules of their release. A file that is none, or whose package
// was removed badly, is no refusal unless it is the planned kernel: the boot loader's proof asks whether it is booted.
func (pr *prover) kernels() (list []installed, out plan.Findings) {
	pattern := pr.sys.Family.Kernels
	names, err := glob(pr.root, pattern)
	if err != nil {
		return nil, fault("kernels", "", err)
	}
	if len(names) == 0 {
		return nil, plan.Findings{plan.Refusal("kernels", "", "no file of the new system matches %s", pattern)}
	}
	for _, k := range names {
		planned := "/"+k == pr.p.Boot.Kernel
		answer := func(fix, format string, args ...any) {
			x := plan.Refusal("kernel /"+k, fix, format, args...)
			if !planned {
				x.Severity, x.Detail = plan.Warn, x.Detail+"; it cannot boot, and does not count"
			}
			out = append(out, x)
		}
		rel, err := pr.release(k)
		if err != nil {
			answer("remove it, or reinstall its package", "not a kernel: %s", strings.TrimPrefix(err.Error(), "kernel /"+k+": "))
			continue
		}
		if _, err := pr.stat("lib/modules/" + rel + "/modules.dep"); err != nil {
			answer("reinstall its package", "no modules of its release %s: %v", rel, cause(err))
			continue
		}
		list = append(list, installed{k, rel, planned, pr.sys.Generator.InitrdOf(k)})
	}
	return list, out
}

// oldInitrds asks for the initrds that the generator will make again: it makes none for a kernel that has none.
func (pr *prover) oldInitrds() plan.Findings {
	list, out := pr.kernels()
	clear(pr.proved)
	for _, k := range list {
		if x, bad := pr.without(k); bad {
			out = append(out, x)
			continue
		}
		pr.boots(k)
	}
	return out
}

// boots notes a kernel and its initrd as proved, by their own paths and by those of what they are links to.
func (pr *prover) boots(k installed) {
	for _, name := range []string{k.path, k.initrd} {
		pr.proved["/"+name] = true
		if at, err := throughLinks(pr.root, name); err == nil {
			pr.proved[at] = true
		}
	}
}

// without is the answer for a kernel that has no initrd.
func (pr *prover) without(k installed) (plan.Finding, bool) {
	_, err := pr.stat(k.initrd)
	switch {
	case err == nil:
		return plan.Finding{}, false
	case k.planned:
		return plan.Refusal("kernel /"+k.path, strings.ReplaceAll(pr.sys.Generator.Create, "RELEASE", k.release), "it is the planned kernel, and has no initrd /%s: %v", k.initrd, cause(err)), true
	}
	return plan.Warning("kernel /"+k.path, strings.ReplaceAll(pr.sys.Generator.Create, "RELEASE", k.release), "it has no initrd /%s, so it cannot boot from an array and is not planned", k.initrd), true
}

// cause leaves of an error of a file what happened to it: the answer names the file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// initrds opens the initrd of every kernel that may boot. A kernel that is not the planned one may be without a good one:
// the boot loader's proof asks whether it is booted.
func (pr *prover) initrds() plan.Findings {
	list, out := pr.kernels()
	clear(pr.proved)
	for _, k := range list {
		if x, bad := pr.without(k); bad {
			out = append(out, x)
			continue
		}
		errs := pr.initrd(k.initrd, k.release, pr.sys.Generator.Needs(pr.p))
		if errs == nil {
			pr.boots(k)
		}
		for _, err := range errs {
			for _, x := range fault("initrd /"+k.initrd, "", err) {
				if !k.planned {
					x.Severity, x.Detail = plan.Warn, x.Detail+"; kernel /"+k.path+" cannot boot with it, and does not count"
				}
				out = append(out, x)
			}
		}
	}
	if len(pr.proved) == 0 && len(out.Refusals()) == 0 {
		out = append(out, plan.Refusal("kernels", "", "none matching %s has both modules and a usable initrd", pr.sys.Family.Kernels))
	}
	return out
}

func (pr *prover) open(name string) (fs.File, error) {
	at, err := throughLinks(pr.root, name)
	if err != nil {
		return nil, err
	}
	return pr.root.Open(nonRoot(at))
}

func (pr *prover) release(kernel string) (string, error) {
	f, err := pr.open(kernel)
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

func (pr *prover) initrd(name, release string, needs []distro.Need) []error {
	f, err := pr.open(name)
	if err != nil {
		return []error{fmt.Errorf("initrd /%s: %w", name, err)}
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
		return []error{fmt.Errorf("initrd /%s: %w", name, err)}
	}
	if pr.opened != nil {
		pr.opened(a)
	}
	mods := modulesIn(a, release)
	if len(mods) == 0 {
		return []error{fmt.Errorf("initrd /%s: no modules of kernel %s inside", name, release)}
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
		if err := proveMdadmConf(pr.p, md.WholeConf{{Conf: md.ParseConf(b)}}); err != nil {
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
				if id := oldIdentity(pr.p, conf.Uncommented(b)); id != "" {
					errs = append(errs, fmt.Errorf("initrd /%s: %s still names %s of the old system", name, x.Name, id))
				}
			}
		}
	}
	if len(errs) == 0 {
		pr.say(fmt.Sprintf("initrd /%s: kernel %s, %d modules, arrays and drivers inside", name, release, len(mods)))
	}
	return errs
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
			return fmt.Errorf("the kernel would leave out %s, with %d others: their directories do not come before them", n, len(a.Dropped)-1)
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
