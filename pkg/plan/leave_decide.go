package plan

import (
	"fmt"
	"slices"
	"strings"
)

// leaving plans how a target disk leaves the arrays that the system is on. From here on everything is planned as if it had
// left.
func (b *builder) leaving() {
	b.id = "plan.leave"
	var disk *Device
	for _, name := range b.in.Disks {
		d := b.f.Dev(name)
		if d == nil || d.Kind != KindDisk || len(b.f.membersOn(d)) == 0 {
			continue
		}
		if disk != nil && d != disk {
			b.refuse("target disk "+d.Path, "name one of them", "it is a member of running arrays, and so is %s: one disk can leave at a time", disk.Path)
			return
		}
		disk = d
	}
	asked := map[bool]string{true: "--spare", false: "--accept-degraded"}[b.in.Spare != ""]
	switch {
	case !b.in.AcceptDegraded && b.in.Spare == "":
		return // what is in use is refused as such, with the words that help
	case b.in.AcceptDegraded && b.in.Spare != "":
		b.refuse("--spare "+b.in.Spare, "leave one of them out", "with --accept-degraded no disk is lent")
		return
	case disk == nil:
		b.refuse(asked, "leave it out", "no target disk is a member of a running array")
		return
	}
	members := b.f.membersOn(disk)
	b.onlyMembers(disk)
	for _, m := range members {
		b.mayLeave(disk, m)
	}
	if b.out.Err() != nil {
		return
	}
	key := slices.IndexFunc(b.in.Disks, func(name string) bool { return b.f.Dev(name) == disk })
	l := &Leave{Disk: Ref("disk:" + newKey(key)), Members: members}
	if b.in.Spare != "" {
		b.lend(l, disk)
	} else {
		b.warn("target disk "+disk.Path, "lend a third disk, if there is one: --spare /dev/NAME instead of --accept-degraded",
			"schedule takes it out of %s: from then on until finish is complete, or cancel, the old system has no redundancy: if another of its disks fails, what was written since then is lost", b.f.arraysOf(members))
	}
	for _, m := range members {
		if !m.Bitmap || b.in.Spare != "" {
			b.warn("array "+b.f.Array(m.Array.ID()).called(), "", "cancel gives %s back to it with a full resync, because %s", m.Was,
				map[bool]string{true: "the array has no bitmap", false: "the lent disk has taken its place"}[b.in.Spare == ""])
		}
	}
	if b.out.Err() != nil {
		return
	}
	b.p.Leave, b.leaver = l, disk.Name
	b.f = b.f.after(l, b.lent)
}

// membersOn lists the partitions of a disk that are members of running arrays, and hold data there.
func (f *Facts) membersOn(disk *Device) []Leaver {
	var out []Leaver
	for _, x := range f.Parts(disk.Name) {
		a, m := f.memberOf(x)
		if a == nil || a.Node == "" || m.Stale != "" || m.Role < 0 || x.GUID == "" || !slices.Contains(x.Holders, a.Node) {
			continue
		}
		out = append(out, Leaver{Array: Ref("md:" + a.UUID), Slot: m.Role, Part: Ref("part:" + x.GUID), Was: x.Path, Bitmap: a.Bitmap})
	}
	return out
}

func (f *Facts) arraysOf(ms []Leaver) string {
	var out []string
	for _, m := range ms {
		out = append(out, "/dev/"+f.Array(m.Array.ID()).Node)
	}
	return strings.Join(out, ", ")
}

// onlyMembers refuses a disk that holds more than members: that would be lost.
func (b *builder) onlyMembers(disk *Device) {
	noun := "target disk " + disk.Path
	for _, x := range append(b.f.Parts(disk.Name), disk) {
		a, m := b.f.memberOf(x)
		role := roleIn(b.f.tableOf(x), x.Number)
		switch {
		case a != nil && a.Node != "" && m.Stale == "" && m.Role >= 0 && slices.Contains(x.Holders, a.Node):
			if x == disk {
				b.refuse(noun, "use another disk as the target", "the whole disk is a member of %s: there is no room on it for what starts the migration", a.called())
			}
		case x.usedBy() != "":
			b.refuse(noun, "take it out of use first", "%s is %s", x.Path, x.usedBy())
		case len(x.Holders) > 0:
			b.refuse(noun, releaseHolder(b.f, x.Holders[0]), "%s is held by /dev/%s, and is no active member of it", x.Path, x.Holders[0])
		case x == disk || role == RoleBIOSGrub || extended(b.f.tableOf(x), x.Number) || x.Swap() != nil || x.remnants() || len(x.Contents) == 0:
		case !b.wiped(disk):
			b.refuse(noun, "copy what is wanted, and pass --wipe "+disk.Path, "beside its members it holds %s on %s, which would be lost", x.carries(), x.Path)
		}
	}
}

// wiped reports whether the operator gave up what is on a disk.
func (b *builder) wiped(d *Device) bool {
	return slices.ContainsFunc(b.in.Wipe, func(w string) bool { return b.f.Dev(w) == d })
}

// mayLeave refuses a member without which its array would not have everything, or which cannot be given back.
func (b *builder) mayLeave(disk *Device, m Leaver) {
	a := b.f.Array(m.Array.ID())
	noun, dev := "target disk "+disk.Path, "/dev/"+a.Node
	level := levelOf(a.Level)
	may, known := spareable(level, a.Devices)
	switch {
	case !slices.Contains([]string{"0.90", "1.0", "1.1", "1.2"}, a.Metadata):
		b.refuse(noun, "use another disk as the target", "it is in %s, whose metadata is %s: schedule takes disks out of arrays with metadata of md's own", a.called(), orUnknown(a.Metadata))
	case !known || may < 1:
		b.refuse(noun, "use another disk as the target", "it is in %s, a %s of %d, which has no redundancy", a.called(), a.levelWords(), a.Devices)
	case a.Degraded > 0:
		b.refuse(noun, "make it whole first: mdadm "+dev+" --add DISK, then mdadm --wait "+dev, "it is in %s, which is degraded already", a.called())
	case a.Sync != "" && a.Sync != "idle":
		b.refuse(noun, "wait until it has ended: mdadm --wait "+dev, "it is in %s, where a %s is in progress", a.called(), a.Sync)
	}
}

// lend plans the partitions of the disk that is lent: each is as large as the member whose place it takes.
func (b *builder) lend(l *Leave, leaver *Device) {
	d := b.f.Dev(b.in.Spare)
	name := "--spare " + b.in.Spare
	switch {
	case d == nil || d.Kind != KindDisk:
		b.refuse(name, "`migrate-init inspect` lists the disks", "it is not a whole disk")
		return
	case slices.ContainsFunc(b.in.Disks, func(x string) bool { return b.f.Dev(x) == d }):
		b.refuse(name, "name a third disk", "it is a target disk")
		return
	case d.Remote != "" || d.Removable || d.ReadOnly:
		b.refuse(name, "lend a fixed, local disk that can be written", "it is %s", joined(d.Remote, map[bool]string{true: "removable"}[d.Removable], map[bool]string{true: "read-only"}[d.ReadOnly]))
		return
	case d.Sector > leaver.Sector:
		b.refuse(name, "lend a disk with sectors of 512 bytes", "its sectors have %d bytes, those of %s %d", d.Sector, leaver.Path, leaver.Sector)
		return
	}
	for _, x := range append(b.f.Parts(d.Name), d) {
		if len(x.Holders) > 0 || x.usedBy() != "" {
			b.refuse(name, "take it out of use first", "%s is in use: %s", x.Path, joined(x.usedBy(), strings.Join(x.Holders, ", ")))
			return
		}
	}
	if seen := b.f.seenOn(d); len(seen) > 0 && !b.wiped(d) {
		b.refuse(name, "if nothing on it is wanted: --wipe "+d.Path, "it is not empty: %s", strings.Join(seen, "; "))
		return
	}
	n := diskNode(d, "spare")
	n.Disk.Scheme, n.Disk.Table, n.Disk.Wipe = "gpt", b.ids.uuid(), true
	l.Spare, l.Wipe = n.Ref, b.wiped(d)
	b.lent = Graph{n}
	at := mib
	for i := range l.Members {
		m := &l.Members[i]
		old, err := b.f.PartByGUID(m.Part.ID())
		if err != nil || old == nil {
			b.refuse(name, "make a new plan", "the member %s is not there: %v", m.Was, err)
			return
		}
		x := Node{Ref: Ref("part:" + b.ids.uuid()), On: []Ref{n.Ref}, Size: roundUp(old.Size), Layer: Layer{Part: &Part{Number: i + 1, Role: RoleRaid, Name: fmt.Sprint("migrate-init lent ", i+1), Start: at}}}
		at += x.Size
		m.Spare, m.Device = x.Ref, b.ids.array()
		b.lent = append(b.lent, x)
	}
	if at+endGap > d.Size {
		b.refuse(name, "lend a larger disk", "too small: the members of %s need %s, and it has %s", leaver.Path, size(at+endGap), size(d.Size))
	}
}

// leaveBlock decides where the block is that starts the migration, if GRUB's like cannot note that itself, and no other new
// disk has room for it: the leaving one keeps its table until the image runs.
func (b *builder) leaveBlock(l Loader) {
	if b.p.Leave == nil || l.NeedsBlock == nil || !l.NeedsBlock(b.f) {
		return
	}
	if part := b.p.Target.Node(b.p.Boot.Block); part != nil && !b.p.Leaves(part.Lower()) {
		return
	}
	d := b.f.Dev(b.leaver)
	for _, x := range d.Table.partitions() {
		if x.Start < mib {
			b.refuse("one-shot boot entry", "name another new disk as well: --disk /dev/NAME", "the block that says what boots once has to be on %s, outside of its partitions, and partition %d begins below the first MiB", d.Path, x.Number)
			return
		}
	}
	b.p.Leave.Block = LeaveBlock
}

// checkLeave compares the disk that leaves with the plan: before schedule it is a member as planned, and nothing speaks against its
// leaving; from then on it has left.
func checkLeave(p *Plan, f *Facts, a *answers) {
	l := p.Leave
	if l == nil {
		return
	}
	f = f.now()
	in := 0
	for _, m := range l.Members {
		if f.StillIn(m) {
			in++
		}
	}
	if in == 0 {
		return
	}
	disk := p.Target.Node(l.Disk)
	b := &builder{f: f, answers: answers{id: a.id}}
	for _, m := range l.Members {
		d, arr, x := f.memberAt(m.Array, m.Part)
		switch {
		case !f.StillIn(m):
		case x.Role != m.Slot:
			a.refuse("target disk "+disk.Was, "make a new plan", "%s has slot %d of %s, planned %d", d.Path, x.Role, arr.called(), m.Slot)
		case in == len(l.Members) && arr.Node != "":
			b.mayLeave(f.DiskOf(d.Name), m)
		}
	}
	a.out = append(a.out, b.out...)
	p.checkLent(f, a)
}

// checkLent refuses a lent disk that holds something which no one gave up.
func (p *Plan) checkLent(f *Facts, a *answers) {
	n := p.Source.Node(p.Leave.Spare)
	if n == nil {
		return
	}
	d, err := f.Disk(n)
	switch {
	case err != nil:
		a.refuse("lent disk "+n.Was, twins, "%v", err)
	case d == nil:
		a.refuse("lent disk "+n.Was, "connect it, or make a new plan", "no disk with %s was found", n.Identity())
	case d.Table != nil && d.Table.ID == n.Disk.Table:
	case len(f.seenOn(d)) > 0 && !p.Leave.Wipe:
		a.refuse("lent disk "+d.Path, "make a new plan with --wipe "+d.Path+" if nothing on it is wanted", "it is not empty: %s", strings.Join(f.seenOn(d), "; "))
	}
}

// checkLeft refuses in the image what has not left: it would be overwritten while the others count on it.
func checkLeft(p *Plan, f *Facts, a *answers) {
	if p.Leave == nil {
		return
	}
	for _, m := range p.Leave.Members {
		if f.StillIn(m) {
			a.refuse("target disk "+p.Target.Node(p.Leave.Disk).Was, "run migrate-init schedule again, which takes it out", "%s is still a member of %s", m.Was, m.Array)
		}
	}
}

func okLeave(p *Plan, f *Facts) string {
	if p.Leave == nil {
		return "no target disk has to leave an array"
	}
	f = f.now()
	for _, m := range p.Leave.Members {
		if f.StillIn(m) {
			return p.Target.Node(p.Leave.Disk).Was + " will leave " + number(len(p.Leave.Members)) + " of the old arrays"
		}
	}
	return p.Target.Node(p.Leave.Disk).Was + " has left the old arrays"
}

// redundant reports whether an array of this level can go on without a member.
func (r *Array) redundant() bool {
	may, known := spareable(levelOf(r.Level), r.Devices)
	return known && may > 0
}

// borrowed reports whether a device is the disk that is lent.
func (b *builder) borrowed(d *Device) bool {
	return len(b.lent) > 0 && d != nil && b.lent[0].Matches(d)
}

// diskRef is the reference of a source disk by its place in builder.disks.
func (b *builder) diskRef(i int) Ref {
	if b.borrowed(b.disks[i]) {
		return b.lent[0].Ref
	}
	return Ref("disk:" + oldKey(i))
}
