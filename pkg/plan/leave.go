package plan

import (
	"fmt"
	"slices"
)

// Leave says that a target disk is a member of the source's arrays, and that schedule takes it out of them while the old
// system runs. Source is planned as it is afterwards: the slots of the disk are empty there, or have the partitions of a
// disk that is lent until finish.
type Leave struct {
	Disk  Ref `toml:"disk" json:"disk"`                       // of Target
	Spare Ref `toml:"spare,omitempty" json:"spare,omitempty"` // of Source: the disk that is lent
	// Wipe says that what is known to be on the lent disk may be destroyed.
	Wipe bool `toml:"wipe,omitempty" json:"wipe,omitempty"`
	// Block is the byte of Disk, outside of every partition of the old table and of the new one, where the block is that starts
	// the migration the first time: the disk keeps its old table until the image gives it the planned one. 0: there is none.
	Block   int64    `toml:"block,omitempty" json:"block,omitempty"`
	Members []Leaver `toml:"member" json:"members"`
}

// Leaver is a member that leaves.
type Leaver struct {
	Array  Ref    `toml:"array" json:"array"` // of Source
	Slot   int    `toml:"slot" json:"slot"`
	Part   Ref    `toml:"part" json:"part"`                         // a partition of the disk by its old table
	Was    string `toml:"was" json:"was"`                           // its device node when the plan was made
	Spare  Ref    `toml:"spare,omitempty" json:"spare,omitempty"`   // the partition of the lent disk that takes its slot
	Device string `toml:"device,omitempty" json:"device,omitempty"` // the device UUID of that one
	Bitmap bool   `toml:"bitmap,omitempty" json:"bitmap,omitempty"` // the array has a bitmap: cancel brings the member up to date by it
}

// LeaveBlock is where the block that starts the migration is on a disk that leaves: the last two sectors before the first
// MiB, where partitions begin. A boot loader's own image begins at the other end of that gap.
const LeaveBlock = mib - 1024

// Lent reports whether a source disk is only lent until finish.
func (p *Plan) Lent(r Ref) bool { return p.Leave != nil && p.Leave.Spare.Is(r) }

// OldOwn lists the source disks without one that is lent.
func (p *Plan) OldOwn() []*Node {
	return slices.DeleteFunc(p.Source.Disks(), func(n *Node) bool { return p.Lent(n.Ref) })
}

// Leaves reports whether a target disk leaves the source's arrays first.
func (p *Plan) Leaves(r Ref) bool { return p.Leave != nil && p.Leave.Disk.Is(r) }

// member finds what an array has on a partition: its device, and what the superblock there says; nil for nothing.
func (f *Facts) memberAt(array, part Ref) (*Device, *Array, *Member) {
	d, err := f.PartByGUID(part.ID())
	a := f.Array(array.ID())
	if err != nil || d == nil || a == nil {
		return d, a, nil
	}
	for i := range a.Members {
		if a.Members[i].Device == d.Name {
			return d, a, &a.Members[i]
		}
	}
	return d, a, nil
}

// StillIn reports whether a member is in its running array, or would be started with it.
func (f *Facts) StillIn(m Leaver) bool {
	d, a, x := f.memberAt(m.Array, m.Part)
	if x == nil {
		return false
	}
	return a.Node != "" && slices.Contains(d.Holders, a.Node) || x.Role >= 0 && x.Stale == ""
}

// after gives facts as they are when the disk has left: without its members, and with those of the lent disk, which g has. What
// has happened already stays as it is.
func (f *Facts) after(l *Leave, g Graph) *Facts {
	if l == nil {
		return f
	}
	out := *f
	out.asIs = f
	out.Devices, out.Arrays = slices.Clone(f.Devices), slices.Clone(f.Arrays)
	for i := range out.Arrays {
		out.Arrays[i].Members = slices.Clone(out.Arrays[i].Members)
	}
	if l.Spare != "" {
		out.lend(l, g)
	}
	for _, m := range l.Members {
		d, a, x := out.memberAt(m.Array, m.Part)
		if x == nil || !out.StillIn(m) {
			continue
		}
		x.Stale = "it leaves the array before the migration"
		d.Holders = slices.DeleteFunc(slices.Clone(d.Holders), func(h string) bool { return h == a.Node })
		if m.Spare == "" {
			a.Degraded++
		}
	}
	return &out
}

// now gives what was seen.
func (f *Facts) now() *Facts {
	if f.asIs != nil {
		return f.asIs
	}
	return f
}

// lend puts the planned table of the lent disk, and its members, into facts that do not have them yet.
func (f *Facts) lend(l *Leave, g Graph) {
	n := g.Node(l.Spare)
	d, err := f.Disk(n)
	if err != nil || d == nil || d.Table != nil && d.Table.ID == n.Disk.Table {
		return
	}
	f.Devices = slices.DeleteFunc(f.Devices, func(x Device) bool { return x.Kind == KindPart && x.Parent == d.Name })
	if d, err = f.Disk(n); err != nil || d == nil {
		return
	}
	t := &Table{Scheme: n.Disk.Scheme, ID: n.Disk.Table}
	d.Table, d.Contents, d.BootSector = t, nil, ""
	disk := *d
	for _, x := range g.Parts(l.Spare) {
		t.Partitions = append(t.Partitions, Partition{Number: x.Part.Number, Role: x.Part.Role, GUID: x.Ref.ID(), Name: x.Part.Name, Start: x.Part.Start, Size: x.Size})
		name := fmt.Sprint(disk.Name, x.Part.Number)
		if last := disk.Name[len(disk.Name)-1]; last >= '0' && last <= '9' {
			name = fmt.Sprint(disk.Name, "p", x.Part.Number)
		}
		p := Device{Name: name, Path: "/dev/" + name, Kind: KindPart, Parent: disk.Name, Number: x.Part.Number, GUID: x.Ref.ID(), Start: x.Part.Start, Size: x.Size, Sector: disk.Sector, Drivers: disk.Drivers}
		for _, m := range l.Members {
			a := f.Array(m.Array.ID())
			if !m.Spare.Is(x.Ref) || a == nil {
				continue
			}
			p.Holders = []string{a.Node}
			p.Contents = []Content{{Kind: ContentRaid, Type: "linux_raid_member", UUID: a.UUID}}
			lent := Member{Device: name, Role: m.Slot}
			for _, o := range a.Members {
				lent.Events = max(lent.Events, o.Events)
			}
			a.Members = append(a.Members, lent)
		}
		f.Devices = append(f.Devices, p)
	}
}

// invalidLeave says what is impossible in it, "" for nothing.
func (p *Plan) invalidLeave() string {
	l := p.Leave
	if l == nil {
		return ""
	}
	disk, spare := p.Target.Node(l.Disk), p.Source.Node(l.Spare)
	switch {
	case disk == nil || disk.Disk == nil || p.Source.Node(l.Disk) != nil || !disk.Disk.Wipe:
		return fmt.Sprintf("disk %q, which leaves the old arrays: none of its new disks that may be overwritten", l.Disk)
	case l.Spare != "" && (spare == nil || spare.Disk == nil || p.Final.Node(l.Spare) != nil):
		return fmt.Sprintf("disk %q, which is lent: none of its source disks, or a member at the end", l.Spare)
	case l.Block != 0 && l.Block != LeaveBlock:
		return fmt.Sprintf("block of disk %s: at byte %d", l.Disk, l.Block)
	case len(l.Members) == 0:
		return fmt.Sprintf("disk %s leaves no array", l.Disk)
	}
	for _, m := range l.Members {
		a := p.Source.Node(m.Array)
		switch {
		case a == nil || a.MD == nil || m.Slot < 0 || m.Slot >= len(a.On) || a.On[m.Slot] != m.Spare:
			return fmt.Sprintf("member %s: slot %d of %s is not empty, or not that of %s", m.Part, m.Slot, m.Array, m.Spare)
		case m.Part == "" || p.Node(m.Part) != nil:
			return fmt.Sprintf("member %q: part of the new layout, or without a name", m.Part)
		case (m.Spare == "") != (l.Spare == "") || m.Spare != "" && (p.Source.Node(m.Spare) == nil || !p.Source.Rests(m.Spare, l.Spare) || m.Device == ""):
			return fmt.Sprintf("member %s: nothing of the lent disk takes its place", m.Part)
		}
	}
	return ""
}
