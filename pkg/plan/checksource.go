package plan

import (
	"path"
	"slices"
	"strings"
)

func checkSource(p *Plan, f *Facts, a *answers) {
	const fix = "make a new plan; nothing was written"
	for _, n := range p.Source.Disks() {
		d, err := f.Disk(n)
		switch {
		case err != nil:
			a.refuse("source disk "+n.Was, twins, "%v", err)
		case d == nil:
			a.refuse("source disk "+n.Was, "connect it, or make a new plan; nothing was written", "no disk with %s was found", n.Identity())
		case n.Disk.Table == "" && d.Table != nil:
			a.refuse("source disk "+d.Path, fix, "it has a partition table by now, and none was planned")
		case n.Disk.Table != "" && (d.Table == nil || !strings.EqualFold(d.Table.ID, n.Disk.Table)):
			a.refuse("source disk "+d.Path, fix, "its partition table has another ID than the planned %s", n.Disk.Table)
		case d.Sector != n.Disk.Sector:
			a.refuse("source disk "+d.Path, fix, "its sectors have %d bytes, planned %d", d.Sector, n.Disk.Sector)
		}
	}
	for _, n := range p.Source.Arrays() {
		p.sameMembers(f, a, n)
	}
	for _, m := range p.Moves {
		if n := p.Source.Node(m.From); n != nil {
			d, err := f.Volume(p, n.Ref)
			p.stays(f, a, "source "+n.what()+" "+n.Ref.ID(), n.Type(), n.Lower(), d, err)
		}
	}
}

// sameMembers refuses an array of which another set of members is up to date than the plan knows: what left it may have gone
// on without the others, and what came may lie on a disk that is not in the plan.
func (p *Plan) sameMembers(f *Facts, a *answers, n *Node) {
	const fix = "make a new plan; nothing was written"
	arr := f.Array(n.Ref.ID())
	if arr == nil {
		a.refuse("source array "+n.Was, "connect its disks, or make a new plan; nothing was written", "none of its members was found (UUID %s)", n.Ref.ID())
		return
	}
	now := arrayNode(f, arr)
	for slot := range max(len(n.On), len(now.On)) {
		var planned, was, is Ref
		if slot < len(n.On) {
			planned = n.On[slot]
			was = p.seenRef(f, planned)
		}
		if slot < len(now.On) {
			is = now.On[slot]
		}
		switch {
		case was == "" && is == "" || was.Is(is):
		case is == "":
			a.refuse("source array "+n.Was, fix, "its slot %d had %s when the plan was made, and has no member that is up to date now%s", slot, planned, comma(arr.staleWords()))
		default:
			a.refuse("source array "+n.Was, fix, "its slot %d has %s now, planned %s", slot, is, orElse(string(planned), "empty"))
		}
	}
}

// staleWords says which members of an array are out of date, and why.
func (r *Array) staleWords() string {
	var out []string
	for _, m := range r.Members {
		if m.Stale != "" {
			out = append(out, "/dev/"+m.Device+" is stale: "+m.Stale)
		}
	}
	return strings.Join(out, "; ")
}

// seenRef is a reference of the plan as facts spell it: a disk is named by its node there.
func (p *Plan) seenRef(f *Facts, r Ref) Ref {
	n := p.Node(r)
	if n == nil || n.Disk == nil {
		return r
	}
	if d, err := f.Disk(n); err == nil && d != nil {
		return f.refTo(d.Name)
	}
	return r
}

// refIn is the reference that the plan has for a device, or would have.
func (p *Plan) refIn(f *Facts, d *Device) Ref {
	for _, n := range p.Disks() {
		if n.Matches(d) {
			return n.Ref
		}
	}
	return f.refTo(d.Name)
}

// stays refuses what is not, once, on the volume that it was on when the plan was made.
func (p *Plan) stays(f *Facts, a *answers, noun, typ string, on Ref, d *Device, err error) {
	const fix = "make a new plan; nothing was written"
	part, perr := f.Volume(p, on)
	switch {
	case err != nil:
		a.refuse(noun, apart(err, "the copy", ": "+FSTypeOf(typ).identify("DEVICE")), "%v", err)
	case d == nil:
		a.refuse(noun, fix, "no device carries it")
	case perr != nil:
		a.refuse(noun, fix, "%v", perr)
	case part != d:
		a.refuse(noun, fix, "it is on %s, planned on %s", d.Path, on)
	}
}

// checkWhole refuses what came onto a source disk after the plan was made: it would not be copied, and finish destroys it;
// and a filesystem of which a part is elsewhere. A journal on another device could not be replayed where it had to be, and the
// options that name it would keep the new system from mounting a filesystem that has its own.
func checkWhole(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems() {
		d, _ := f.FS(s.Ref.ID())
		if d == nil || d.Filesystem().Journal == "" {
			continue
		}
		a.refuse("source filesystem "+d.Path, "while it is not mounted, give it a journal of its own: "+fill(FSTypeOf(s.FS.Type).Fixes.Journal, "with the tools of its type", d.Path, ""),
			"its journal is on another device, uuid %s", d.Filesystem().Journal)
	}
	var disks []*Device
	for _, n := range p.Source.Disks() {
		d, _ := f.Disk(n)
		if d == nil {
			continue
		}
		disks = append(disks, d)
		f.refuseUnseen(d, a)
		if d.Table != nil && d.Table.Hybrid {
			a.warn("partition table of "+d.Path, "", "its MBR lists partitions as well as the GPT (a hybrid MBR): finish writes a protective MBR, and systems that boot by those entries will no longer boot from this disk")
		}
	}
	for _, x := range f.climb(disks).leaves {
		if !p.accounted(f, x) {
			a.refuse(x.noun(), "make a new plan, which moves it or says what to do; nothing was written",
				"the plan does not include it, so it would not be copied, and finish would erase it: %s", joined(orNothing(x.carries()), x.usedBy()))
		}
	}
	for _, d := range f.spread(disks) {
		if !slices.Contains(disks, d) {
			a.refuse("disk "+d.Path, "make a new plan; nothing was written", "it shares an array or a volume group with %s, and the plan does not include it", p.OldDisks())
		}
	}
}

// Dropped reports whether the operator gave a volume up.
func (p *Plan) Dropped(f *Facts, x *Device) bool {
	return slices.ContainsFunc(p.Drop, p.refIn(f, x).Is)
}

// accounted reports whether a volume of a source disk is moved, was given up, or has nothing to lose, as New sees it.
func (p *Plan) accounted(f *Facts, x *Device) bool {
	ref, table := p.refIn(f, x), f.tableOf(x)
	role := roleIn(table, x.Number)
	a, m := f.memberOf(x)
	switch {
	case ref != "" && (len(p.Source.Above(ref)) > 0 || p.Dropped(f, x)):
		return true
	case a != nil && m.Role < 0 && p.Source.Node(Ref("md:"+a.UUID)) != nil:
		return true // a spare of an array that is moved
	case role == RoleESP && f.Firmware != "efi":
		return true
	case x.usedBy() != "":
		return false
	}
	return role == RoleBIOSGrub || extended(table, x.Number) || x.remnants() || x.Swap() != nil
}

// refuseUnseen refuses partitions of a table that the kernel does not show, or elsewhere: what is on them is not known.
func (f *Facts) refuseUnseen(d *Device, a *answers) {
	for _, x := range d.Table.partitions() {
		seen := extended(d.Table, x.Number) || slices.ContainsFunc(f.Parts(d.Name), func(k *Device) bool {
			return k.Number == x.Number && k.Start == x.Start && k.Size == x.Size
		})
		if !seen {
			a.refuse("partition table of "+d.Path, "let the kernel read it again: partprobe "+d.Path+", or reboot",
				"partition %d begins at byte %d and has %d bytes; the kernel does not show it like that, so its contents are unknown", x.Number, x.Start, x.Size)
		}
	}
}

func (t *Table) partitions() []Partition {
	if t == nil {
		return nil
	}
	return t.Partitions
}

// checkFits compares what is used now with the layout: a filesystem may have grown since the plan was made. Half of New's
// margin has to be left.
func checkFits(p *Plan, f *Facts, a *answers) {
	for _, c := range p.Copies() {
		s, n := p.Source.Node(c.From), p.Target.Node(c.To)
		d, _ := f.FS(c.From.ID())
		if s == nil || n == nil || d == nil {
			continue
		}
		use, noun, x := d.Filesystem(), "filesystem at "+s.FS.Mount, p.Target.Room(n.Lower())
		switch {
		case c.Engine == EngineExtent && use.Size > x:
			a.refuse(noun, "make a new plan", "it has grown to %s, and its planned volume of %s is too small", size(use.Size), size(x))
		case c.Engine != EngineExtent && (use.Used > x || use.Used+use.Used/20+32*mib > x):
			a.refuse(noun, "free space in it, or make a new plan", "%s are now in use, and its planned volume has %s", size(use.Used), size(x))
		}
	}
}

// checkClean refuses a source that would have to be replayed. One that is mounted is in use, and becomes clean when the
// old system shuts down; so the init looks again. What the kernel found wrong stays, mounted or not.
func checkClean(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems() {
		d, _ := f.FS(s.Ref.ID())
		switch {
		case d == nil:
		case d.Filesystem().Damage != "":
			a.refuse("source filesystem "+d.Path, "repair it: boot once with fsck.mode=force fsck.repair=yes, or while it is not mounted: "+fill(FSTypeOf(s.FS.Type).Fixes.Repair, "with the tools of its type", d.Path, ""), "%s", d.Filesystem().Damage)
		case len(d.MountedAt) == 0 && d.Filesystem().Dirty != "":
			a.refuse("source filesystem "+d.Path, "let the old system mount it, or check it ("+fill(FSTypeOf(s.FS.Type).Fixes.Repair, "with the tools of its type", d.Path, "")+"), and shut down cleanly; then schedule again", "not clean: %s", d.Filesystem().Dirty)
		}
	}
}

func checkHibernation(_ *Plan, f *Facts, a *answers) {
	for _, d := range f.Devices {
		for _, c := range d.Contents {
			if c.Type == "hibernation" {
				a.refuse("swap "+d.Path, "resume and shut down cleanly, or recreate it: "+fill(FSTypeOf(SwapType).Fixes.UUID, "", d.Path, ""), "it holds a hibernation image: the filesystems are in use by a sleeping kernel")
			}
		}
	}
}

// checkMounts refuses where fstab mounts a moved filesystem elsewhere by now: the copy is put together by the plan.
func checkMounts(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems() {
		d, _ := f.FS(s.Ref.ID())
		if d == nil {
			continue
		}
		if len(s.FS.Subvols) > 0 {
			checkSubvolMounts(f, d, s, a)
			continue
		}
		i := slices.IndexFunc(f.Fstab, func(e Fstab) bool { return e.Device == d.Name && !e.bind() })
		switch {
		case i < 0:
			a.refuse("fstab line of "+d.Path, "make a new plan", "no line refers to it any more; planned at %s", s.FS.Mount)
		case path.Clean(f.Fstab[i].Target) != s.FS.Mount:
			a.refuse("fstab line of "+d.Path, "make a new plan", "it mounts it at %s, planned at %s", f.Fstab[i].Target, s.FS.Mount)
		}
	}
}
