package plan

import "strings"

// checkPoolModules refuses a pool that the planned kernel could not import, and names the other kernels that could not boot from it.
func checkPoolModules(p *Plan, f *Facts, a *answers) {
	if len(p.Target.Pools()) == 0 {
		return
	}
	fam := f.Rules.Family(p.Machine.Family)
	fix := "install them, and have them built for it: " + fam.InstallCommand(orElse(fam.PoolModules, "zfs"))
	version := ""
	for _, k := range f.Boot.Kernels {
		if k.Path == p.Boot.Kernel {
			version = k.ZFS
		}
	}
	for _, k := range f.Boot.Kernels {
		noun := "kernel " + k.Path
		switch {
		case k.ZFS == "" && k.Path == p.Boot.Kernel:
			a.refuse(noun, fix, "it has no modules of ZFS (%s)", k.Release)
		case k.ZFS == "":
			a.warn(noun, fix, "it has no modules of ZFS (%s), and will not boot from the pool", k.Release)
		case version != "" && k.ZFS != version:
			a.warn(noun, fix, "its modules of ZFS have version %s, and those of the planned kernel %s: it may not know all features of the pool", k.ZFS, version)
		}
	}
	if f.Pooling.Signed && !f.Pooling.Loaded {
		a.refuse("kernel "+p.Boot.Release, "try it: modprobe zfs; then enroll the key with which they are signed, or switch Secure Boot off", "it takes signed modules only, and those of ZFS are not loaded")
	}
}

func okPoolModules(p *Plan, f *Facts) string {
	var out []string
	for _, k := range f.Boot.Kernels {
		if k.ZFS != "" && len(p.Target.Pools()) > 0 {
			out = append(out, k.Path+" has ZFS "+k.ZFS)
		}
	}
	return orElse(strings.Join(out, "; "), "no pool needs modules")
}

// checkHostID refuses a host id that is another by now: the pool would be one that another host used last.
func checkHostID(p *Plan, f *Facts, a *answers) {
	for _, n := range p.Target.Pools() {
		if is := f.Pooling.HostID; is != n.Pool.HostID && (is != "" || !n.Pool.NewHostID) {
			a.refuse("host id", "make a new plan", "it is %s, planned %s", orElse(is, "not set"), n.Pool.HostID)
		}
	}
}

func okHostID(p *Plan, _ *Facts) string {
	for _, n := range p.Target.Pools() {
		return "pool " + n.Pool.Name + " is for host id " + n.Pool.HostID
	}
	return "no pool is planned"
}
