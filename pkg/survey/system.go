package survey

import (
	"bytes"
	"io"
	"io/fs"
	"slices"
	"strings"

	"migrate-init/pkg/conf"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

// distro reads os-release(5), and looks by the rules which family and generator this is, and what is installed.
func (l *looker) distro() {
	osr := []byte(l.text("etc/os-release"))
	if len(osr) == 0 {
		osr = []byte(l.text("usr/lib/os-release"))
	}
	get := func(k string) string {
		v, _, err := conf.Get(osr, k)
		l.problem("/etc/os-release", err)
		return v
	}
	d := &l.f.Distro
	d.ID, d.Version = get("ID"), get("VERSION_ID")
	ids := append([]string{d.ID}, strings.Fields(get("ID_LIKE"))...)
	for _, x := range l.w.Rules.Families {
		if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(x.IDs, id) }) {
			d.Family = x.Name
			break
		}
	}
	for _, x := range l.w.Rules.Generators {
		if l.exists(x.Program) {
			d.Initrd = x.Name
			break
		}
	}
	if l.exists("usr/lib/systemd/systemd") || l.exists("lib/systemd/systemd") {
		d.Init = "systemd"
	}
	if at := l.w.Rules.Family(d.Family).Debconf; at != "" {
		_, err := conf.ParseDebconf([]byte(l.text(at)))
		l.problem("/"+at, err)
	}
	if look := l.w.Rules.Family(d.Family).Installed; look != nil {
		asked := plan.Packages()
		installed := look(l.text, asked)
		for _, name := range asked {
			x := plan.Package{Name: name, Installed: slices.Contains(installed, name)}
			if version := l.w.Rules.Family(d.Family).Version; version != nil && x.Installed {
				x.Version = version(l.text, name)
			}
			d.Packages = append(d.Packages, x)
		}
	}
}

// boot finds the kernels, and the boot loader by the first row that knows its own.
func (l *looker) boot() {
	l.f.Boot.Dir = "/boot"
	l.kernels()
	for _, x := range l.w.Rules.Loaders {
		if b, problems, found := x.Look(l.w.Root, l.f); found {
			b.Loader = x.Name
			l.f.Boot, l.f.Problems = b, append(l.f.Problems, problems...)
			return
		}
	}
}

// kernels lists the kernel images, each with the release that its own header tells. Where the family is not known they are
// looked for under their usual name.
func (l *looker) kernels() {
	pattern := l.w.Rules.Family(l.f.Distro.Family).Kernels
	if pattern == "" {
		pattern = "boot/vmlinuz-*"
	}
	names, err := fs.Glob(l.w.Root, pattern)
	l.problem("/"+pattern, err)
	for _, n := range names {
		if img, ok := l.kernel(n); ok {
			l.f.Boot.Kernels = append(l.f.Boot.Kernels, img)
		}
	}
}

func (l *looker) kernel(name string) (plan.Image, bool) {
	img := plan.Image{Path: "/" + name}
	f, err := l.w.Root.Open(name)
	if err != nil {
		l.problem(img.Path, err)
		return img, false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if st, serr := f.Stat(); serr == nil {
		img.Size = st.Size()
	}
	if err == nil {
		img.Release, err = kmod.Release(bytes.Clone(head))
	}
	l.problem(img.Path, err)
	img.Modules = img.Release != "" && l.exists("lib/modules/"+img.Release+"/modules.dep")
	if of := l.w.Rules.Generator(l.f.Distro.Initrd).InitrdOf; of != nil && l.exists(of(name)) {
		img.Initrd = "/" + of(name)
	}
	return img, true
}
