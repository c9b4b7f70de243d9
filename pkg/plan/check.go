package plan

import (
	"strings"
)

// Moment is when a plan is checked.
type Moment int

// Moments, as a set.
const (
	Planning Moment = 1 << iota // right after New, on the live system
	Live                        // `check`, `build` and `schedule`
	Offline                     // in the init, before the first effect
)

type check struct {
	id   string
	when Moment
	run  func(p *Plan, f *Facts, a *answers)
}

const everywhere = Planning | Live | Offline

// checks is every check, in the order in which they are shown. Ids are stable: scripts read them.
func checks() []check {
	return []check{
		{"survey.complete", everywhere, checkProblems},
		{"user.root", Live, checkRoot},
		{"machine.same", Live | Offline, checkMachine},
		{"source.present", everywhere, checkSource},
		{"source.clean", everywhere, checkClean},
		{"swap.hibernation", everywhere, checkHibernation},
		{"target.present", everywhere, checkTarget},
		{"target.unused", everywhere, checkUnused},
		{"target.empty", everywhere, checkEmpty},
		{"identity.unique", everywhere, checkUnique},
		{"array.name", everywhere, checkArrayName},
		{"filesystem.type", everywhere, checkTypes},
		{"package.present", Planning | Live, checkPackages},
		{"kernel.modules", Planning | Live, checkKernels},
		{"boot.one-shot", Planning | Live, checkOneShot},
		{"boot.room", Planning | Live, checkRoom},
		{"schedule.once", Live, checkScheduled},
		{"init.confirm", Planning | Live, checkConfirm},
		{"fstab.resolves", Planning | Live, checkFstab},
		{"boot.resume", Planning | Live, checkResume},
	}
}

// Check holds a plan against facts: every check of the moment answers, at least with an OK.
func Check(p *Plan, f *Facts, when Moment) Findings {
	var out Findings
	for _, c := range checks() {
		if c.when&when == 0 {
			continue
		}
		a := &answers{id: c.id}
		c.run(p, f, a)
		if len(a.out) == 0 {
			a.add(OK, strings.ReplaceAll(c.id, ".", " "), "", "as planned")
		}
		out = append(out, a.out...)
	}
	return out
}

// checkProblems refuses where what could not be read is of the plan: a target that cannot be read is not known to be
// empty, a source not known to be whole. Elsewhere it warns.
func checkProblems(p *Plan, f *Facts, a *answers) {
	ours := map[string]bool{"/etc/fstab": true}
	for _, id := range p.Disks() {
		d, _ := f.Disk(id)
		if d == nil {
			continue
		}
		for _, x := range append(f.Parts(d.Name), d) {
			ours[x.Path] = true
		}
	}
	for _, x := range f.Problems {
		table, isTable := strings.CutPrefix(x.Noun, "partition table of ")
		switch {
		case isTable && p.wiped(f, table):
			a.warn(x.Noun, "", "could not be read, and is replaced: %s", x.Err)
		case ours[x.Noun] || isTable && ours[table]:
			a.refuse(x.Noun, "look with dmesg and blkid, as root; without it the plan cannot be held against the machine", "could not be read: %s", x.Err)
		default:
			a.warn(x.Noun, "", "could not be read: %s", x.Err)
		}
	}
}

// wiped tells whether a path is a target disk that may be overwritten.
func (p *Plan) wiped(f *Facts, path string) bool {
	for _, t := range p.Target.Disks {
		if d, _ := f.Disk(t.DiskID); d != nil && d.Path == path {
			return t.Wipe
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
	const mend = "make a plan on this machine"
	if f.Machine.ID != "" && p.Machine.ID != "" && f.Machine.ID != p.Machine.ID {
		a.refuse("machine "+f.Machine.Hostname, mend, "its machine-id is %s, the plan is for %s (%s)", f.Machine.ID, p.Machine.ID, p.Machine.Hostname)
	}
	// Only root reads it: whoever is not root is told so by another check.
	if p.Machine.Product != "" && f.Machine.Product != p.Machine.Product && (f.Machine.Product != "" || f.Machine.UID == 0) {
		a.refuse("machine "+f.Machine.Hostname, mend, "its DMI product UUID is %q, the plan is for %s", f.Machine.Product, p.Machine.Product)
	}
	if f.Firmware != p.Machine.Firmware {
		a.refuse("firmware", mend, "it booted by %s, the plan is for %s", f.Firmware, p.Machine.Firmware)
	}
}

const twins = "disconnect the other one: disks that cannot be told apart are not touched"

func checkSource(p *Plan, f *Facts, a *answers) {
	const mend = "make a new plan; nothing was written"
	for _, id := range p.Source.Disks {
		d, err := f.Disk(id)
		switch {
		case err != nil:
			a.refuse("source disk "+id.Was, twins, "%v", err)
		case d == nil:
			a.refuse("source disk "+id.Was, "connect it, or make a new plan; nothing was written", "no disk with %s is here", id)
		case d.Table == nil || !strings.EqualFold(d.Table.ID, id.Table):
			a.refuse("source disk "+d.Path, mend, "its partition table is not %s", id.Table)
		}
	}
	for _, s := range p.Source.Filesystems {
		d, err := f.FS(s.UUID)
		part, perr := f.Volume(p, s.On)
		switch {
		case err != nil:
			a.refuse("source filesystem "+s.UUID, "disconnect or re-identify the copies (tune2fs -U random)", "%v", err)
		case d == nil:
			a.refuse("source filesystem "+s.UUID, mend, "it is on no device")
		case perr != nil:
			a.refuse("source filesystem "+s.UUID, mend, "%v", perr)
		case part != d:
			a.refuse("source filesystem "+s.UUID, mend, "it is on %s, planned on %s", d.Path, s.On)
		}
	}
}

// checkClean refuses a source that would have to be replayed. One that is mounted is in use, and becomes clean when the
// old system shuts down; so the init looks again.
func checkClean(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems {
		if d, _ := f.FS(s.UUID); d != nil && len(d.MountedAt) == 0 && d.Filesystem().Dirty != "" {
			a.refuse("source filesystem "+d.Path, "let the old system mount or e2fsck it, and shut down cleanly; then schedule again", "not clean: %s", d.Filesystem().Dirty)
		}
	}
}

func checkHibernation(_ *Plan, f *Facts, a *answers) {
	for _, d := range f.Devices {
		for _, c := range d.Contents {
			if c.Type == "hibernation" {
				a.refuse("swap "+d.Path, "resume and shut down cleanly, or recreate it: mkswap "+d.Path, "it holds a hibernation image: the filesystems are in use by a sleeping kernel")
			}
		}
	}
}
