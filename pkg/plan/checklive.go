package plan

import (
	"strings"
)

// filesystems that can be made, copied and read by the boot loader here.
func makeable(typ string) bool {
	switch typ {
	case "ext2", "ext3", "ext4":
		return true
	}
	return false
}

func checkTypes(p *Plan, _ *Facts, a *answers) {
	for _, n := range p.Target.Filesystems {
		if !makeable(n.Type) {
			a.refuse("filesystem at "+n.Mount, "this version moves ext2, ext3 and ext4", "its type is %s", n.Type)
		}
	}
}

// packagesFor names the command that installs what is missing, in the words of the family.
func packagesFor(family string, pkgs []string) string {
	list := strings.Join(pkgs, " ")
	switch family {
	case "debian":
		return "apt-get install " + list
	}
	return "install " + list
}

func checkPackages(p *Plan, f *Facts, a *answers) {
	if f.Distro.Family != "debian" || f.Distro.Initrd != "initramfs-tools" {
		a.refuse("distribution "+orUnknown(f.Distro.ID), "this version rebuilds Debian and its relatives with initramfs-tools", "initrd generator is %s", orUnknown(f.Distro.Initrd))
		return
	}
	if len(f.Distro.Missing) > 0 {
		a.refuse("packages "+strings.Join(f.Distro.Missing, ", "), packagesFor(f.Distro.Family, f.Distro.Missing), "not installed, and the migrated system cannot boot without")
	}
}

func checkKernels(p *Plan, f *Facts, a *answers) {
	found := false
	for _, k := range f.Boot.Kernels {
		if k.Path == p.Boot.Kernel {
			found = true
			if k.Release != p.Boot.Release {
				a.refuse("kernel "+k.Path, "make a new plan", "it is of release %s, planned %s", k.Release, p.Boot.Release)
			}
		}
		if !k.Modules {
			s := Warn
			if k.Path == p.Boot.Kernel {
				s = Refuse
			}
			a.add(s, "kernel "+k.Path, "reinstall its package", "no modules of its release %s in /lib/modules: the image and the modules differ", k.Release)
		}
	}
	if !found {
		a.refuse("kernel "+p.Boot.Kernel, "make a new plan", "it is not installed any more")
	}
}

func checkOneShot(p *Plan, f *Facts, a *answers) {
	if f.Boot.Loader != p.Boot.Loader {
		a.refuse("boot loader", "make a new plan", "it is %s, planned %s", orUnknown(f.Boot.Loader), p.Boot.Loader)
	}
	if f.Boot.NoOneShot != "" {
		a.refuse("one-shot boot entry", "kexec, or a machine whose /boot is a plain ext2/3/4 partition; this version has no other mechanism", "%s", f.Boot.NoOneShot)
	}
}

// roomNeeded is what schedule writes: kernel and image. The image is not built when this is first asked.
const roomNeeded = 48 * mib

func checkRoom(p *Plan, f *Facts, a *answers) {
	best := -1
	for i, m := range f.Mounts {
		if within(f.Boot.Dir, m.Target) && (best < 0 || len(m.Target) > len(f.Mounts[best].Target)) {
			best = i
		}
	}
	if best >= 0 && f.Mounts[best].Free < roomNeeded {
		a.refuse("filesystem at "+f.Mounts[best].Target, "remove old kernels: apt-get autoremove --purge", "%d bytes are free in %s, kernel and image need %d", f.Mounts[best].Free, f.Boot.Dir, roomNeeded)
	}
}

func checkScheduled(p *Plan, f *Facts, a *answers) {
	for _, id := range f.Boot.PlanEntries {
		if id != p.ID {
			a.refuse("boot entry migrate-init-"+id, "migrate-init cancel", "another migration is scheduled already")
		}
	}
}

func checkFstab(p *Plan, f *Facts, a *answers) {
	for _, e := range f.Fstab {
		if e.Device == "" && strings.ContainsAny(e.Spec, "=/") && !strings.Contains(e.Options, "nofail") && !strings.Contains(e.Options, "noauto") &&
			(strings.HasPrefix(e.Spec, "/dev/") || strings.Contains(e.Spec, "UUID=") || strings.Contains(e.Spec, "LABEL=")) {
			a.warn("fstab line "+e.Spec+" at "+e.Target, "mend it, or add nofail: systemd goes to emergency mode without it", "it resolves to no device")
		}
	}
}
