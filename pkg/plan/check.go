package plan

// Moment is when a plan is checked.
type Moment int

// Moments, as a set.
const (
	Planning  Moment = 1 << iota // right after New, on the live system
	Live                         // `check`, `build` and `schedule`
	Offline                      // in the init, before the first effect
	Generated                    // after rewrite and the initramfs generator ran: a rehearsal
	Proving                      // after all programs of the new system ran, before the commit
)

type check struct {
	id   string
	when Moment
	run  func(p *Plan, f *Facts, a *answers)
	ok   func(p *Plan, f *Facts) string // what was seen when there is nothing to object to
}

const everywhere = Planning | Live | Offline

// checks is every check, in the order in which they are shown. Ids are stable: scripts read them.
func checks() []check {
	return []check{
		{"survey.complete", everywhere, checkProblems, okSurvey},
		{"user.root", Live, checkRoot, okRoot},
		{"machine.same", Live | Offline, checkMachine, okMachine},
		{"source.present", everywhere, checkSource, okSource},
		{"source.whole", everywhere, checkWhole, okWhole},
		{"source.arrays", Planning | Live, checkSourceArrays, okSourceArrays},
		{"source.volumes", Planning | Live, checkVolumes, okVolumes},
		{"source.subvolumes", Planning | Live, checkSubvolumes, okSubvolumes},
		{"table.whole", Planning | Live, checkTables, okTables},
		{"source.clean", everywhere, checkClean, okClean},
		{"swap.hibernation", everywhere, checkHibernation, okHibernation},
		{"target.present", everywhere, checkTarget, okTarget},
		{"target.unused", everywhere, checkUnused, okUnused},
		{"target.empty", everywhere, checkEmpty, okEmpty},
		{"target.room", everywhere, checkFits, okFits},
		{"identity.unique", everywhere, checkUnique, okUnique},
		{"array.name", everywhere, checkArrayName, okArrayName},
		{"filesystem.type", everywhere, checkTypes, okTypes},
		{"package.present", Planning | Live, checkPackages, okPackages},
		{"kernel.modules", Planning | Live, checkKernels, okKernels},
		{"array.kernels", Planning | Live, checkArrayKernels, okArrayKernels},
		{"boot.one-shot", Planning | Live, checkOneShot, okOneShot},
		{"boot.sectors", Planning | Live, checkSectors, okSectors},
		{"boot.room", Planning | Live, checkRoom, okRoom},
		{"memory.room", Planning | Live, checkMemory, okMemory},
		{"schedule.once", Live, checkScheduled, okScheduled},
		{"init.confirm", Planning | Live, checkConfirm, okConfirm},
		{"fstab.same", Planning | Live, checkMounts, okMounts},
		{"fstab.resolves", Planning | Live, checkFstab, okFstab},
		{"names.resolve", Planning | Live, checkNames, okNames},
		{"boot.resume", Planning | Live, checkResume, okResume},
	}
}

// Check compares a plan with facts: every check of the moment answers, at least with an OK.
func Check(p *Plan, f *Facts, when Moment) Findings {
	var out Findings
	for _, c := range checks() {
		if c.when&when == 0 {
			continue
		}
		a := &answers{id: c.id}
		c.run(p, f, a)
		if len(a.out) == 0 {
			a.ok(c.ok(p, f))
		}
		out = append(out, a.out...)
	}
	return out
}

// ok is the answer of a check that has nothing to object to: what it saw.
func (a *answers) ok(seen string) { a.add(OK, "", "", "%s", seen) }

// checkProblems refuses where what could not be read is of the plan: a target that cannot be read is not known to be
// empty, a source not known to be whole. Elsewhere it warns.
func checkProblems(p *Plan, f *Facts, a *answers) {
	// Without these nothing is known to be out of use.
	ours := map[string]bool{"/etc/fstab": true, "/proc/self/mountinfo": true, "/proc/swaps": true, "/sys/class/block": true}
	for _, n := range p.Disks() {
		d, _ := f.Disk(n)
		if d == nil {
			continue
		}
		for _, x := range append(f.Parts(d.Name), d) {
			ours[x.Path] = true
		}
	}
	for _, x := range f.Problems {
		switch {
		case x.Note:
			a.warn(x.Subject, "", "%s", x.Err)
		case x.Table && p.wiped(f, x.Device):
			a.warn(x.Subject, "", "could not be read, and will be replaced: %s", x.Err)
		case ours[x.Subject] || x.Table && ours[x.Device]:
			a.refuse(x.Subject, "look with dmesg and blkid, as root; the plan cannot be checked against this machine before it can be read", "could not be read: %s", x.Err)
		default:
			a.warn(x.Subject, "", "could not be read: %s", x.Err)
		}
	}
}

// wiped reports whether a path is a target disk that may be overwritten.
func (p *Plan) wiped(f *Facts, path string) bool {
	for _, n := range p.NewDisks() {
		if d, _ := f.Disk(n); d != nil && d.Path == path {
			return n.Disk.Wipe
		}
	}
	return false
}

func checkRoot(_ *Plan, f *Facts, a *answers) {
	if f.Machine.UID != 0 {
		a.refuse("user", "run it as root", "uid is %d", f.Machine.UID)
	}
}

func checkMachine(p *Plan, f *Facts, a *answers) {
	const fix = "make a plan on this machine"
	if f.Machine.ID != "" && p.Machine.ID != "" && f.Machine.ID != p.Machine.ID {
		a.refuse("machine "+f.Machine.Hostname, fix, "its machine-id is %s, the plan is for %s (%s)", f.Machine.ID, p.Machine.ID, p.Machine.Hostname)
	}
	// Only root can read it; another check refuses other users.
	if p.Machine.Product != "" && f.Machine.Product != p.Machine.Product && (f.Machine.Product != "" || f.Machine.UID == 0) {
		a.refuse("machine "+f.Machine.Hostname, fix, "its DMI product UUID is %q, the plan is for %s", f.Machine.Product, p.Machine.Product)
	}
	if f.Firmware != p.Machine.Firmware {
		a.refuse("firmware", fix, "it booted by %s, the plan is for %s", f.Firmware, p.Machine.Firmware)
	}
}

const twins = "disconnect the other one: disks that cannot be told apart are not touched"
