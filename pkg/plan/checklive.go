package plan

import (
	"slices"
	"strings"
)

// checkTypes refuses what cannot be made here, and warns where a feature lets files be what a copy by files cannot keep. Whether
// there are any only a look at each of them tells.
func checkTypes(p *Plan, _ *Facts, a *answers) {
	for _, n := range p.Target.Filesystems() {
		if !FSTypeOf(n.FS.Type).Movable {
			refuseType(a, n.FS.Mount, n.FS.Type)
		}
	}
	for _, c := range p.Copies() {
		n := p.Target.Node(c.To)
		if n == nil || c.Engine == EngineExtent || !slices.Contains(n.FS.Features, "encrypt") {
			continue
		}
		a.warn("filesystem at "+n.FS.Mount, "look for them before the reboot: migrate-init check --files PLAN",
			"its feature encrypt lets files be encrypted (fscrypt); the init has no keys, and would end before the copy at the first of them")
	}
}

func refuseType(a *answers, mount, typ string) {
	fix := "this version moves " + namesOf("and", func(t FSType) bool { return t.Movable })
	if mount != "/" {
		fix += "; pass --leave with its partition to leave it behind (finish erases it)"
	}
	a.refuse("filesystem at "+mount, fix, "its type is %s", typ)
}

// checkPackages refuses a system that cannot be rebuilt, or that would not boot once it is.
func checkPackages(p *Plan, f *Facts, a *answers) {
	fam := f.Rules.Family(f.Distro.Family)
	if fam.Name == "" || !f.Rules.Generator(f.Distro.Initrd).Rebuilds {
		a.refuse("distribution "+orUnknown(f.Distro.ID), "this version rebuilds "+f.Rules.rebuilt(), "initrd generator is %s", orUnknown(f.Distro.Initrd))
		return
	}
	var missing []string
	for _, name := range p.packages() {
		if !slices.ContainsFunc(f.Distro.Packages, func(x Package) bool { return x.Name == name && x.Installed }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		a.refuse("packages "+strings.Join(missing, ", "), fam.InstallCommand(missing...), "not installed, and the migrated system cannot boot without")
	}
}

func checkKernels(p *Plan, f *Facts, a *answers) {
	found := false
	for _, k := range f.Boot.Kernels {
		if k.Path == p.Boot.Kernel {
			found = true
			if k.Release != p.Boot.Release {
				a.refuse("kernel "+k.Path, "make a new plan", "its release is %s, planned %s", k.Release, p.Boot.Release)
			}
		}
		if !k.Modules {
			s := Warn
			if k.Path == p.Boot.Kernel {
				s = Refuse
			}
			a.add(s, "kernel "+k.Path, "reinstall its package", "/lib/modules has no modules of its release %s", k.Release)
		}
	}
	if !found {
		a.refuse("kernel "+p.Boot.Kernel, "make a new plan", "it is no longer installed")
	}
}

func checkOneShot(p *Plan, f *Facts, a *answers) {
	_, refused := f.oneShot()
	a.refuseAll(refused)
	if f.Boot.Loader != p.Boot.Loader {
		a.refuse("boot loader", "make a new plan", "it is %s, planned %s", orUnknown(f.Boot.Loader), p.Boot.Loader)
	}
	if len(a.out) > 0 {
		return
	}
	drift, err := f.loader().Drift(p, f)
	if err != nil {
		a.refuse("boot loader", "make a new plan", "%v", err)
	}
	for _, x := range append(drift, Drift{"filesystem", f.bootFS(), p.Boot.BootFS}) {
		if x.Is != x.Was {
			a.refuse("boot loader", "make a new plan", "its %s is %q, planned %q", x.What, x.Is, x.Was)
		}
	}
}

// bootFS is the UUID of the filesystem that the boot loader reads, "" when that is not known.
func (f *Facts) bootFS() string {
	if d := f.Dev(f.Boot.Device); d != nil && d.Filesystem() != nil {
		return d.Filesystem().UUID
	}
	return ""
}

// roomEstimate is what schedule writes, kernel and image, while the image is not built yet.
const roomEstimate = 48 * mib

func checkRoom(_ *Plan, f *Facts, a *answers) {
	if x := CheckRoom(f, roomEstimate); x.Severity != OK {
		a.out = append(a.out, x)
	}
}

// CheckRoom reports whether need bytes fit where kernels are. Schedule asks with the sizes of what it writes.
func CheckRoom(f *Facts, need int64) Finding {
	a := &answers{id: "boot.room"}
	at := f.mountOf(f.Boot.Dir)
	noun := "filesystem at " + orUnknown(at)
	for _, m := range slices.Backward(f.Mounts) {
		// The last one at a place is what is seen there; below one that was mounted on demand lies the trigger, without room.
		if m.Target != at {
			continue
		}
		if m.Free >= need {
			break
		}
		fix := "free space there"
		if t := f.Rules.Family(f.Distro.Family).Tidy; t != "" {
			fix = "remove old kernels: " + t
		}
		a.refuse(noun, fix, "%d bytes are free for %s, kernel and image need %d", m.Free, f.Boot.Dir, need)
		return a.out[0]
	}
	a.add(OK, "", "", "%s fit into the %s", size(need), noun)
	return a.out[0]
}

func checkScheduled(p *Plan, f *Facts, a *answers) {
	for _, id := range f.Boot.PlanEntries {
		if id != p.ID {
			a.refuse("boot entry migrate-init-"+id, "migrate-init cancel", "another migration is already scheduled")
		} else {
			a.warn("boot entry migrate-init-"+id, "reboot starts it; migrate-init cancel undoes it", "this plan is already scheduled")
		}
	}
	if e := f.Boot.NextEntry; e != "" && f.Boot.Armed == "" {
		a.warn("boot entry "+e, "", "it is chosen for the next boot; schedule replaces it, and cancel restores it")
	}
}

func checkFstab(p *Plan, f *Facts, a *answers) {
	for i := range f.Fstab {
		e := &f.Fstab[i]
		if t := p.targetOf(f, e.Device); t != nil {
			noun := "fstab line " + e.Spec + " at " + e.Target
			if e.optional() {
				a.warn(noun, "remove the line", "it is on the target disk %s, which is overwritten", t.Path)
			} else {
				a.refuse(noun, "remove the line, or add nofail", "it is on the target disk %s, which is overwritten: the new system would boot into emergency mode", t.Path)
			}
		}
		if e.Device == "" && !e.optional() && !e.bind() && (e.Name.Tag != "" || strings.HasPrefix(e.Name.Value, "/dev/")) {
			a.warn("fstab line "+e.Spec+" at "+e.Target, "fix it, or add nofail; otherwise systemd boots into emergency mode", "it matches no device")
		}
	}
}

// targetOf gives the target disk that a device is on, or nil.
func (p *Plan) targetOf(f *Facts, dev string) *Device {
	d := f.DiskOf(dev)
	for _, n := range p.NewDisks() {
		if n.Matches(d) {
			return d
		}
	}
	return nil
}

// checkResume looks at the old way to resume from hibernation: into a swap file it is by place, and the place changes.
func checkResume(_ *Plan, f *Facts, a *answers) {
	for _, p := range f.Kernel.Params {
		if p.Key == "resume_offset" {
			a.warn("kernel parameter "+p.Raw, "set it again afterwards (filefrag -v shows the place), or remove it from the boot loader's settings", "it is the place of a swap file on the old disk; the copy of the file is elsewhere")
		}
	}
}

// checkConfirm warns where nothing will confirm the new system by itself.
func checkConfirm(_ *Plan, f *Facts, a *answers) {
	if f.Distro.Init != "systemd" {
		a.warn("init", "run `migrate-init confirm` once the new system is up; otherwise the old boot loader tries it once and then goes back", "it is not systemd, so no unit confirms the first boot")
	}
}
