package plan

import (
	"fmt"
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
		{"source.clean", Offline, checkClean},
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
		{"fstab.resolves", Planning | Live, checkFstab},
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

func checkProblems(_ *Plan, f *Facts, a *answers) {
	for _, p := range f.Problems {
		a.warn(p.Noun, "", "could not be read: %s", p.Err)
	}
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
	if p.Machine.Product != "" && f.Machine.Product != p.Machine.Product {
		a.refuse("machine "+f.Machine.Hostname, mend, "its DMI product UUID is %q, the plan is for %s", f.Machine.Product, p.Machine.Product)
	}
	if f.Firmware != p.Machine.Firmware {
		a.refuse("firmware", mend, "it booted by %s, the plan is for %s", f.Firmware, p.Machine.Firmware)
	}
}

func checkSource(p *Plan, f *Facts, a *answers) {
	const mend = "make a new plan; nothing was written"
	for _, id := range p.Source.Disks {
		d, err := f.Disk(id)
		switch {
		case err != nil:
			a.refuse("source disk "+id.Was, mend, "%v", err)
		case d == nil:
			a.refuse("source disk "+id.Was, mend, "no disk of serial %q and %d bytes is here", id.Serial, id.Size)
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

func checkClean(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems {
		if d, _ := f.FS(s.UUID); d != nil && d.Filesystem().Dirty != "" {
			a.refuse("source filesystem "+d.Path, "boot the old system, let it replay or repair, and reboot cleanly", "not clean: %s", d.Filesystem().Dirty)
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

func checkTarget(p *Plan, f *Facts, a *answers) {
	for _, t := range p.Target.Disks {
		const mend = "connect the planned disk, or make a new plan"
		d, err := f.Disk(t.DiskID)
		if err != nil {
			a.refuse("target disk "+t.Was, mend, "%v", err)
			continue
		}
		if d == nil {
			a.refuse("target disk "+t.Was, mend, "no disk of serial %q and %d bytes is here", t.Serial, t.Size)
			continue
		}
		for _, s := range p.Source.Disks {
			if s.Matches(d) {
				a.refuse("target disk "+d.Path, "name another disk", "it is the source disk")
			}
		}
		if d.ReadOnly {
			a.refuse("target disk "+d.Path, "make it writable (blockdev --setrw), or name another disk", "it is read-only")
		}
		if d.Removable {
			a.refuse("target disk "+d.Path, "name a fixed disk", "it is removable")
		}
		var end int64
		for _, n := range t.Partitions {
			end = max(end, n.Start+n.Size)
		}
		if end+endGap/2 > d.Size {
			a.refuse("target disk "+d.Path, "use a larger disk", "too small: the plan ends at byte %d, the disk at %d", end, d.Size)
		}
	}
}

// own tells whether a device lies in a planned target: by its table's id, or by an array's UUID.
func (p *Plan) own(f *Facts, d *Device) bool {
	for _, t := range p.Target.Disks {
		if t.Matches(d) {
			return d.Table != nil && strings.EqualFold(d.Table.ID, t.TableID)
		}
	}
	return false
}

func (p *Plan) ownArray(uuid string) bool {
	for _, n := range p.Target.Arrays {
		if n.UUID == uuid {
			return true
		}
	}
	return false
}

func checkUnused(p *Plan, f *Facts, a *answers) {
	for _, t := range p.Target.Disks {
		d, _ := f.Disk(t.DiskID)
		if d == nil {
			continue
		}
		for _, x := range append(f.Parts(d.Name), d) {
			if len(x.MountedAt) > 0 {
				a.refuse("target disk "+d.Path, "umount "+x.MountedAt[0], "%s is mounted at %s", x.Path, strings.Join(x.MountedAt, ", "))
			}
			if x.Swapping {
				a.refuse("target disk "+d.Path, "swapoff "+x.Path, "%s is in use as swap", x.Path)
			}
			for _, h := range x.Holders {
				if arr := f.byNode(h); arr != nil && p.ownArray(arr.UUID) {
					if m := f.Dev(h); m != nil && len(m.MountedAt) > 0 && m.MountedAt[0] != "/" {
						a.refuse("target array "+m.Path, "umount "+m.MountedAt[0], "it is mounted at %s", m.MountedAt[0])
					}
					continue
				}
				a.refuse("target disk "+d.Path, holderMend(f, h), "%s is held by %s", x.Path, h)
			}
		}
	}
}

func holderMend(f *Facts, h string) string {
	if arr := f.byNode(h); arr != nil {
		return "mdadm --stop /dev/" + h
	}
	return "dmsetup ls shows what it is; vgchange -an or cryptsetup close releases it"
}

func (f *Facts) byNode(node string) *Array {
	for i := range f.Arrays {
		if f.Arrays[i].Node == node {
			return &f.Arrays[i]
		}
	}
	return nil
}

func checkEmpty(p *Plan, f *Facts, a *answers) {
	for _, t := range p.Target.Disks {
		d, _ := f.Disk(t.DiskID)
		if d == nil || t.Wipe || p.own(f, d) {
			continue
		}
		var seen []string
		for _, x := range append([]*Device{d}, f.Parts(d.Name)...) {
			for _, c := range x.Contents {
				seen = append(seen, strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", x.Path, c.Type, c.Label, c.UUID)))
			}
		}
		if len(seen) == 0 && d.Table != nil {
			seen = []string{d.Path + ": partition table " + d.Table.Scheme + " " + d.Table.ID}
		}
		if len(seen) > 0 {
			a.refuse("target disk "+d.Path, fmt.Sprintf("if nothing on it is wanted: migrate-init plan --to %s --disk %s --wipe %s", p.To, d.Path, d.Path), "it is not empty: %s", strings.Join(seen, "; "))
		}
	}
}

// checkUnique refuses when a planned identity is seen anywhere but where the plan puts it.
func checkUnique(p *Plan, f *Facts, a *answers) {
	const mend = "make a new plan, which has new identities, and find out where the copy comes from"
	for _, n := range p.Target.Filesystems {
		d, err := f.FS(n.UUID)
		if err != nil {
			a.refuse("planned filesystem "+n.UUID, mend, "%v", err)
		} else if v, _ := f.Volume(p, n.On); d != nil && d != v {
			a.refuse("planned filesystem "+n.UUID, mend, "it is already on %s", d.Path)
		}
	}
	for _, n := range p.Target.Arrays {
		arr := f.Array(n.UUID)
		if arr == nil {
			continue
		}
		for _, m := range arr.Members {
			d := f.Dev(m.Device)
			planned := false
			for _, r := range n.Members {
				planned = planned || d != nil && d.GUID != "" && strings.EqualFold(string(r), "part:"+d.GUID)
			}
			if disk := f.DiskOf(m.Device); !planned && (disk == nil || !p.isSourceDisk(disk)) {
				a.refuse("planned array "+n.UUID, mend, "/dev/%s is a member of it already", m.Device)
			}
		}
	}
	for _, t := range p.Target.Disks {
		for _, n := range t.Partitions {
			d, err := f.PartByGUID(n.GUID)
			if err != nil {
				a.refuse("planned partition "+n.GUID, mend, "%v", err)
			} else if d != nil && !t.Matches(f.DiskOf(d.Name)) {
				a.refuse("planned partition "+n.GUID, mend, "it is already %s", d.Path)
			}
		}
	}
}

func (p *Plan) isSourceDisk(d *Device) bool {
	for _, s := range p.Source.Disks {
		if s.Matches(d) {
			return true
		}
	}
	return false
}

func checkArrayName(p *Plan, f *Facts, a *answers) {
	for _, n := range p.Target.Arrays {
		for _, arr := range f.Arrays {
			if arr.Name != "" && arr.Name == n.Name && arr.UUID != n.UUID && !p.ownArray(arr.UUID) {
				a.refuse("array name "+n.Name, "rename or wipe the other array: mdadm --zero-superblock on its members", "array %s (%s) has it already", arr.UUID, strings.Join(arr.names(), ", "))
			}
		}
	}
}

func (r *Array) names() []string {
	var out []string
	for _, m := range r.Members {
		out = append(out, "/dev/"+m.Device)
	}
	return out
}
