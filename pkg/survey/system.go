package survey

import (
	"bytes"
	"io"
	"path"
	"sort"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/conf"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

// distro reads os-release (5) and asks dpkg's database for what the migrated system will need.
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
	for _, id := range append([]string{d.ID}, strings.Fields(get("ID_LIKE"))...) {
		if id == "debian" {
			d.Family = "debian"
		}
	}
	switch {
	case l.exists("usr/sbin/update-initramfs"):
		d.Initrd = "initramfs-tools"
	case l.exists("usr/bin/dracut"):
		d.Initrd = "dracut"
	}
	if l.exists("usr/lib/systemd/systemd") || l.exists("lib/systemd/systemd") {
		d.Init = "systemd"
	}
	if d.Family == "debian" {
		d.Missing = l.missing("mdadm", "e2fsprogs")
		l.f.Boot.InstallTo = l.debconfDevices()
	}
}

// missing lists which packages dpkg does not have installed (dpkg-query(1), the status file).
func (l *looker) missing(want ...string) []string {
	have := map[string]bool{}
	for _, stanza := range strings.Split(l.text("var/lib/dpkg/status"), "\n\n") {
		name, ok := "", false
		for line := range strings.Lines(stanza) {
			if v, is := strings.CutPrefix(line, "Package: "); is {
				name = strings.TrimSpace(v)
			}
			if v, is := strings.CutPrefix(line, "Status: "); is {
				ok = strings.HasSuffix(strings.TrimSpace(v), " installed")
			}
		}
		have[name] = ok
	}
	var out []string
	for _, w := range want {
		if !have[w] {
			out = append(out, w)
		}
	}
	return out
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

func (l *looker) debconfDevices() []string {
	db, err := conf.ParseDebconf([]byte(l.text("var/cache/debconf/config.dat")))
	if err != nil {
		l.problem("/var/cache/debconf/config.dat", err)
		return nil
	}
	v, _ := db.Value("grub-pc/install_devices")
	var out []string
	for _, d := range strings.Split(v, ",") {
		if d = strings.TrimSpace(d); d != "" {
			out = append(out, d)
		}
	}
	return out
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
// it does only on a plain partition (lab.md: on md and btrfs grub-reboot returns 0 and the entry is permanent).
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

// kernels lists the images of /boot, each with the release that its own header tells.
func (l *looker) kernels() {
	for _, n := range l.names("boot") {
		if !strings.HasPrefix(n, "vmlinuz-") {
			continue
		}
		img := plan.Image{Path: "/boot/" + n}
		f, err := l.w.Root.Open("boot/" + n)
		if err != nil {
			l.problem(img.Path, err)
			continue
		}
		head, err := io.ReadAll(io.LimitReader(f, 64<<10))
		if st, serr := f.Stat(); serr == nil {
			img.Size = st.Size()
		}
		f.Close()
		if err == nil {
			img.Release, err = kmod.Release(bytes.Clone(head))
		}
		l.problem(img.Path, err)
		img.Modules = img.Release != "" && l.exists("lib/modules/"+img.Release+"/modules.dep")
		suffix := strings.TrimPrefix(n, "vmlinuz-")
		if l.exists("boot/initrd.img-" + suffix) {
			img.Initrd = "/boot/initrd.img-" + suffix
		}
		l.f.Boot.Kernels = append(l.f.Boot.Kernels, img)
	}
	sort.SliceStable(l.f.Boot.Kernels, func(i, j int) bool { return l.f.Boot.Kernels[i].Path < l.f.Boot.Kernels[j].Path })
}
