package survey

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
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
			d.Packages = append(d.Packages, plan.Package{Name: name, Installed: slices.Contains(installed, name)})
		}
	}
}

// mdadmSnippets tells of what mdadm reads beside mdadm.conf (mdadm.conf(5)).
func (l *looker) mdadmSnippets() {
	const dir = "etc/mdadm/mdadm.conf.d"
	for _, n := range l.names(dir) {
		if strings.HasSuffix(n, ".conf") {
			l.note("/"+dir+"/"+n, "this version reads and rewrites mdadm.conf alone, and an ARRAY or DEVICE line here could hide the new array; move its lines there")
		}
	}
}

// boot finds the boot loader, its files, what they can do, and the kernels.
func (l *looker) boot() {
	b := &l.f.Boot
	b.Dir = "/boot"
	l.kernels()
	dev, at := l.holder("/boot/grub")
	if l.exists("boot/grub/grub.cfg") {
		b.Loader, b.Config, b.Env = "grub", "/boot/grub/grub.cfg", "/boot/grub/grubenv"
		l.grub(dev, at)
		return
	}
	switch {
	case l.exists("boot/loader/loader.conf") || l.exists("boot/efi/loader/loader.conf") || l.exists("efi/loader/loader.conf"):
		b.Loader = "systemd-boot"
	case l.exists("boot/extlinux") || l.exists("boot/syslinux"):
		b.Loader = "extlinux"
	case l.exists("etc/lilo.conf"):
		b.Loader = "lilo"
	}
	if b.Loader != "" {
		b.NoOneShot = "this version schedules through GRUB 2 only, and this machine boots by " + b.Loader
	}
}

// holder finds the mount that a path lies on.
func (l *looker) holder(p string) (*plan.Device, string) {
	best := ""
	var dev *plan.Device
	for _, m := range l.f.Mounts {
		if (p == m.Target || m.Target == "/" || strings.HasPrefix(p, m.Target+"/")) && len(m.Target) >= len(best) {
			best, dev = m.Target, l.f.Dev(m.Device)
		}
	}
	return dev, best
}

func (l *looker) grub(dev *plan.Device, at string) {
	b := &l.f.Boot
	if dev != nil {
		b.Device = dev.Name
	}
	b.Prefix = strings.TrimSuffix("/"+strings.TrimPrefix(strings.TrimPrefix(b.Dir, at), "/"), "/")
	cfg, err := boot.ParseGRUBConfig([]byte(l.text("boot/grub/grub.cfg")))
	l.problem(b.Config, err)
	b.LoadsEnv = cfg.LoadsEnv && cfg.NextEntry
	b.Superusers = cfg.Superusers
	if cfg.SourcesCustom {
		b.Custom = path.Join(path.Dir(b.Config), "custom.cfg")
	}
	b.NoOneShot = l.whyNoOneShot(dev)
	if env, err := boot.ParseGrubenv([]byte(l.text("boot/grub/grubenv"))); err == nil {
		b.NextEntry, _ = env.Get("next_entry")
	}
	if id, err := boot.SnippetPlan([]byte(l.text("boot/grub/custom.cfg"))); err != nil {
		l.problem("/boot/grub/custom.cfg", err)
	} else if id != "" {
		b.PlanEntries = []string{id}
	}
}

// whyNoOneShot says why next_entry would not run exactly once: GRUB must be able to write its environment block, which
// it does only on a plain partition (on md and btrfs grub-reboot returns 0 and the entry is permanent).
func (l *looker) whyNoOneShot(dev *plan.Device) string {
	b := &l.f.Boot
	switch {
	case dev == nil:
		return "the device that holds /boot/grub is not known"
	case dev.Kind != plan.KindPart:
		return "/boot/grub lies on " + dev.Path + " (" + dev.Kind + "): GRUB cannot write its environment block there, so the entry would be permanent"
	case dev.Filesystem() == nil:
		return "/boot/grub lies on " + dev.Path + ", which is not one plain filesystem: GRUB cannot write its environment block there"
	}
	if t := dev.Filesystem().Type; !plan.FSTypeOf(t).GRUBWrites {
		return "/boot/grub lies on " + t + ": that GRUB can write its environment block there was not proved"
	}
	switch {
	case !l.exists("boot/grub/grubenv"):
		return "/boot/grub/grubenv does not exist; create it: grub-editenv /boot/grub/grubenv create"
	case !b.LoadsEnv:
		return "/boot/grub/grub.cfg does not honour next_entry; regenerate it: update-grub"
	case b.Custom == "":
		return "/boot/grub/grub.cfg does not read custom.cfg; restore /etc/grub.d/41_custom and run update-grub"
	}
	if _, err := boot.ParseGrubenv([]byte(l.text("boot/grub/grubenv"))); err != nil {
		return "/boot/grub/grubenv is damaged: " + err.Error() + "; recreate it: grub-editenv /boot/grub/grubenv create"
	}
	return ""
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
