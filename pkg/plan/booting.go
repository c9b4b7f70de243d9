package plan

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// booting chooses how the migration is started and committed.
func (b *builder) booting() {
	b.id = "plan.boot"
	bt, f := &b.p.Boot, b.f
	why, refused := f.oneShot()
	b.refuseAll(refused)
	l := f.loader()
	if l.OneShot == nil {
		return
	}
	settings, dir := l.Settings(f)
	*bt = Booting{Loader: f.Boot.Loader, OneShotWhy: why, Own: settings}
	b.kernel(bt)
	b.bootFS(bt, dir)
	for _, x := range b.p.Target.Places() {
		if x.Dir == "/" {
			bt.Root = x.Node.Ref.ID()
		}
		// The commit lies where the new boot loader's own files do: one volume for it to read.
		if within(dir, x.Dir) && len(x.Dir) > len(bt.Mount) {
			bt.Volume, bt.Mount = x.Node.Lower(), x.Dir
		}
	}
	b.block(bt, l)
	if bt.Root == "" {
		b.refuse("root filesystem", "add its line to /etc/fstab", "no planned filesystem is mounted at /")
	}
	for _, p := range keptParams(f.Kernel.Params) {
		if !utf8.ValidString(p) {
			b.warn("kernel parameter", "", "%q is not UTF-8: it is not passed to the migration's kernel; the new system keeps it", p)
			continue
		}
		bt.Params = append(bt.Params, p)
	}
}

// block takes the first new disk's partition for the block that says what boots once. The boot loader has to read that disk.
func (b *builder) block(bt *Booting, l Loader) {
	disks := b.p.NewDisks()
	if len(disks) == 0 {
		return
	}
	disk := disks[0]
	for _, n := range b.p.Target.Parts(disk.Ref) {
		switch {
		case n.Part.Role != RoleOneShot:
		case l.boots(disk):
			bt.Block, bt.BlockFS = n.Ref, b.ids.uuid()
		case l.NeedsBlock != nil && l.NeedsBlock(b.f):
			b.refuse("one-shot boot entry", "use a disk with logical sectors of 512 bytes", "the block that says what boots once would be on %s, whose logical sectors have %d bytes, and %s may not read it",
				disk.Was, disk.Disk.Sector, l.Title)
		default:
			b.warn("target disk "+disk.Was, "use a disk with logical sectors of 512 bytes", "%s may not read its sectors of %d bytes, so that a power cut during the migration boots the old system, and the copy starts again", l.Title, disk.Disk.Sector)
		}
	}
}

// keptParams are those of the running kernel's command line that the migration's kernel gets too: its consoles, and what
// the hardware may need (pci=, iommu=, nvme_core.*, nomodeset). What tells a system how to boot is left out, and so are
// quotes, which a boot loader may not hand on.
func keptParams(params []Param) []string {
	drop := []string{"BOOT_IMAGE", "initrd", "root", "rootflags", "rootfstype", "rootwait", "rootdelay", "ro", "rw", "init", "rdinit", "resume", "noresume", "resume_offset",
		"quiet", "splash", "single", "S", "s", "1", "3", "5", "emergency", "rescue", "break", "crashkernel", "panic", "oops", "raid", "boot", "zfs", "bootfs", "cryptdevice", "cryptopts",
		"hugepages", "hugepagesz", "default_hugepagesz", "loglevel", "nosplash", "fsck.mode", "fsck.repair", "bootdegraded", "plymouth.enable", "vt.handoff"}
	var out []string
	for _, p := range params {
		if slices.Contains(drop, p.Key) || strings.HasPrefix(p.Key, "systemd.") || strings.HasPrefix(p.Key, "rd.") || strings.HasPrefix(p.Key, "migrate.") || strings.ContainsAny(p.Raw, "'\"\\") {
			continue
		}
		out = append(out, p.Raw)
	}
	return out
}

// kernel takes the image of the kernel that runs: it is known to drive this machine.
func (b *builder) kernel(bt *Booting) {
	var bare, others []string
	initrd := false
	for _, c := range b.f.Boot.Kernels {
		switch {
		case c.Release == b.f.Kernel.Release && c.Modules:
			// Of several images of one release (a backup, a signed copy) the one with an initrd is booted and rebuilt.
			if bt.Kernel == "" || c.Initrd != "" && !initrd {
				bt.Kernel, bt.Release, initrd = c.Path, c.Release, c.Initrd != ""
			}
		case c.Release == b.f.Kernel.Release:
			bare = append(bare, c.Path)
		default:
			others = append(others, c.Path+" is "+orUnknown(c.Release))
		}
	}
	fam := b.f.Rules.Family(b.f.Distro.Family)
	switch noun := "kernel " + orUnknown(b.f.Kernel.Release); {
	case bt.Kernel != "":
	case len(bare) > 0:
		b.refuse(noun, "reinstall its package: "+fam.ReinstallKernel(b.f.Kernel.Release), "%s is the running kernel, but /lib/modules has no modules of this release", strings.Join(bare, ", "))
	default:
		b.refuse(noun, "reboot into an installed kernel, or reinstall the package of the running one", "it is running, but %s has no image of this release: %s", orUnknown(b.f.Boot.Dir), orNone(strings.Join(others, ", ")))
	}
}

// bootFS finds the filesystem that holds kernel, image and the boot loader's own files: it has to be one, and to move.
func (b *builder) bootFS(bt *Booting, dir string) {
	f := b.f
	kernels, own := f.mountOf(f.Boot.Dir), f.mountOf(dir)
	if kernels != own {
		b.refuse("directory "+dir, "put it and "+f.Boot.Dir+" on one filesystem", "it is on %s, but the kernels are on %s", orUnknown(own), orUnknown(kernels))
		return
	}
	dev := f.Dev(f.Boot.Device)
	if dev == nil || dev.Filesystem() == nil {
		b.refuse("directory "+f.Boot.Dir, "run as root, on the installed system itself", "its filesystem is unknown")
		return
	}
	bt.BootFS = dev.Filesystem().UUID
	if b.p.Source.Node(Ref("fs:"+bt.BootFS)) == nil {
		b.refuse("directory "+f.Boot.Dir, "make a plan that moves its disk", "it is on %s, which this plan does not move", dev.Path)
	}
}

// Holder finds the filesystem that holds a path: its device, and where it is mounted. Of several mounts at one place the
// last one is what is seen there. The device is nil, and the place "", when they are not known.
func (f *Facts) Holder(p string) (dev *Device, at string) {
	for _, m := range f.Mounts {
		if within(p, m.Target) && len(m.Target) >= len(at) {
			dev, at = f.Dev(m.Device), m.Target
		}
	}
	return dev, at
}

func (f *Facts) mountOf(p string) string {
	_, at := f.Holder(p)
	return at
}

// within reports whether a path lies in a directory, or is it.
func within(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orUnknown(s string) string { return orElse(s, "unknown") }

func orNone(s string) string { return orElse(s, "none is there") }
