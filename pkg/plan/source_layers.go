package plan

import (
	"fmt"
	"slices"
	"strings"
)

// upper names a device that lies on another and runs, "" for none.
func (f *Facts) upper(d *Device) string {
	w := f.climb([]*Device{d})
	for _, x := range w.leaves {
		if x != d {
			return x.Path
		}
	}
	return ""
}

// memberOf finds the arrays of which a device has a superblock, and what it says there.
func (f *Facts) memberOf(d *Device) (*Array, *Member) {
	for i := range f.Arrays {
		for j := range f.Arrays[i].Members {
			if m := &f.Arrays[i].Members[j]; m.Device == d.Name {
				return &f.Arrays[i], m
			}
		}
	}
	return nil, nil
}

// called names an array for people.
func (r *Array) called() string {
	switch {
	case r.Node != "":
		return "array /dev/" + r.Node
	case r.Name != "":
		return "array " + r.Name
	}
	return "array " + r.UUID
}

// spare notes a hot spare of an array that runs: it holds no data of its own.
func (b *builder) spare(p *Device) bool {
	a, m := b.f.memberOf(p)
	if a == nil || a.Node == "" || m.Role >= 0 || m.Stale != "" || !slices.Contains(p.Holders, a.Node) {
		return false
	}
	b.warn(p.noun(), "", "it is a spare of %s: it holds no data, and finish erases it", a.called())
	return true
}

// layered refuses a volume that holds a layer on which nothing runs.
func (b *builder) layered(p *Device) {
	leave := "or pass --leave " + p.Path + " to leave it behind (finish erases it)"
	a, m := b.f.memberOf(p)
	raid := slices.IndexFunc(p.Contents, func(c Content) bool { return c.Kind == ContentRaid && !c.Ghost })
	switch {
	case b.f.refTo(p.Name) == "":
		b.nameless(p)
	case a != nil && m.Stale != "" && a.Node != "":
		b.refuse(p.noun(), fmt.Sprintf("bring it up to date (mdadm /dev/%s --add %s, then mdadm --wait /dev/%s), %s", a.Node, p.Path, a.Node, leave),
			"it is a stale member of %s: %s; it would not be moved", a.called(), m.Stale)
	case a != nil && m.Stale != "":
		b.refuse(p.noun(), "look with mdadm --examine "+p.Path+", and start the array if it is wanted: mdadm --assemble --scan; "+leave,
			"it is a stale member of %s, which does not run: %s", a.called(), m.Stale)
	case a != nil && a.Node != "":
		b.refuse(p.noun(), "wait until the array is whole: mdadm --wait /dev/"+a.Node+"; "+leave, "it is in %s without holding a slot's data (a spare, a journal, or one that is rebuilt)", a.called())
	case a != nil:
		fix := "start it: mdadm --assemble --scan"
		if few := a.few(); few != "" {
			fix = "connect the missing disks, and then start it: mdadm --assemble --scan"
		}
		b.refuse(p.noun(), fix+"; "+leave, "it is a member of %s, %s %s, which does not run%s", a.called(), a.levelWords(), a.Marks(), comma(a.few()))
	case raid >= 0 && firmwareRAID(p.Contents[raid].Type):
		b.refuse(p.noun(), "this version moves md arrays with metadata of md's own; "+leave, "it is a member of a firmware RAID (%s)", p.Contents[raid].Type)
	case raid >= 0:
		b.refuse(p.noun(), "look with mdadm --examine "+p.Path+"; "+leave, "it holds %s, and no array that could be read has it", p.carries())
	default:
		b.refuse(p.noun(), "this version moves plain filesystems and swap, and layers that run; pass --leave "+p.Path+" to leave it behind (finish erases it)",
			"it holds %s%s, which would not be moved", p.carries(), comma(p.usedBy()))
	}
}

// firmwareRAID reports whether a signature, as blkid calls it, is one of a RAID that the firmware knows.
func firmwareRAID(typ string) bool {
	return strings.HasSuffix(typ, "_raid_member") && typ != "linux_raid_member"
}

// few says that an array misses more members than it can, "" where it does not.
func (r *Array) few() string {
	have := map[int]bool{}
	for _, m := range r.Members {
		if m.Role >= 0 && m.Role < r.Devices && m.Stale == "" {
			have[m.Role] = true
		}
	}
	missing := r.Devices - len(have)
	if may, ok := spareable(levelOf(r.Level), r.Devices); ok && missing > may {
		return fmt.Sprintf("%d of its %d members are here", len(have), r.Devices)
	}
	return ""
}

// spareable is how many members an array of a level can do without; of level 10 it depends on which.
func spareable(level, devices int) (int, bool) {
	switch level {
	case -1, 0:
		return 0, true
	case 1:
		return devices - 1, true
	case 4, 5:
		return 1, true
	case 6:
		return 2, true
	case 10:
		return devices - 1, true
	}
	return 0, false
}

func (r *Array) levelWords() string {
	if strings.TrimLeft(r.Level, "0123456789") == "" && r.Level != "" {
		return "raid" + r.Level
	}
	return orUnknown(r.Level)
}

// checkSourceArrays looks at the arrays that the sources lie on: the image starts them from those members alone that are up to
// date now, and nothing may move on them while it is made and booted.
func checkSourceArrays(p *Plan, f *Facts, a *answers) {
	for _, n := range p.Source.Arrays() {
		if arr := f.Array(n.Ref.ID()); arr != nil && arr.Node != "" {
			f.sourceArray(n, arr, a)
		}
	}
	for i := range p.Source {
		n := &p.Source[i]
		d, _ := f.Volume(p, n.Ref)
		if d == nil || n.Disk == nil && n.Part == nil || slices.ContainsFunc(p.Source.Above(n.Ref), func(o *Node) bool { return o.MD != nil || o.Part != nil }) {
			continue
		}
		if raid := slices.IndexFunc(d.Contents, func(c Content) bool { return c.Kind == ContentRaid && !c.Ghost }); raid >= 0 {
			a.refuse("source "+d.noun(), "decide which of the two it is: start the array and use what is on it, or wipe its superblock (mdadm --zero-superblock "+d.Path+") with a rescue system",
				"it is a member of an array (%s), and yet it is used directly (%s): the other members do not follow", d.Contents[raid].Type, d.usedBy())
		}
	}
}

func (f *Facts) sourceArray(n *Node, arr *Array, a *answers) {
	noun, dev := "source "+arr.called(), "/dev/"+arr.Node
	if !slices.Contains([]int{-1, 0, 1, 4, 5, 6, 10}, levelOf(arr.Level)) || levelOf(arr.Level) == 0 && strings.TrimPrefix(arr.Level, "raid") != "0" {
		a.refuse(noun, "this version moves arrays of level 0, 1, 4, 5, 6 and 10, and linear ones", "its level is %s", orUnknown(arr.Level))
	}
	if !slices.Contains([]string{"0.90", "1.0", "1.1", "1.2"}, arr.Metadata) {
		a.refuse(noun, "this version moves arrays with metadata 0.90, 1.0, 1.1 and 1.2", "its metadata is %s", orUnknown(arr.Metadata))
	}
	if slices.Contains([]string{"reshape", "resync", "recover"}, arr.Sync) {
		a.refuse(noun, "wait until it has ended: mdadm --wait "+dev, "a %s is in progress: its members do not agree yet", arr.Sync)
	}
	if arr.Journal {
		a.refuse(noun, "remove the journal with a rescue system: mdadm --assemble, fail and remove it, then mdadm --readwrite", "its writes go through a journal device, which this version does not start")
	}
	if arr.NoLayout {
		a.refuse(noun, "record it with a rescue system: mdadm --assemble --update=layout-alternate (made by Linux 3.14 or later), or layout-original, with "+dev+" and its members",
			"it is a RAID0 of members of different sizes, and its superblocks do not record which of two layouts it has")
	}
	for i := range f.Arrays {
		if o := &f.Arrays[i]; o.UUID != arr.UUID && arr.Name != "" && o.Name == arr.Name {
			a.refuse(noun, "wipe the other one if it is not wanted (mdadm --zero-superblock on its members), or disconnect it", "%s (%s) has the same name %s", o.called(), strings.Join(o.names(), ", "), arr.Name)
		}
	}
	for _, m := range arr.Members {
		if d := f.Dev(m.Device); m.Role >= 0 && m.Stale == "" && d != nil && f.refTo(d.Name) == "" {
			a.refuse(noun, "re-read the partition table: partprobe", "its member %s has no identity by which it could be found again", d.Path)
		}
	}
	missing := 0
	for _, r := range n.On {
		if r == "" {
			missing++
		}
	}
	if missing > 0 {
		a.warn(noun, "add a disk first, if you have one: mdadm "+dev+" --add DISK", "it is degraded %s: until the migration has committed, a failure of another disk may lose the only copy", n.marks())
	}
}

// taken are the names that new partitions and arrays must not have: those by which something finds a partition, and those of
// the arrays on the source disks. The old system has to stay bootable beside the new disk.
func (b *builder) taken() map[string]bool {
	names := b.f.inUse(TagPartLabel)
	for i := range b.f.Arrays {
		a := &b.f.Arrays[i]
		if slices.ContainsFunc(a.Members, func(m Member) bool { d := b.f.DiskOf(m.Device); return d != nil && b.source(d.Name) }) {
			names[(&MD{Name: a.Name}).Short()] = true
		}
	}
	return names
}

// Stamp changes whenever an array has been written to: by its members' superblocks, the newest first. It is that of the disks
// only while the array does not run.
func (r *Array) Stamp() string {
	var best Member
	for _, m := range r.Members {
		if m.Events > best.Events || m.Events == best.Events && m.Updated > best.Updated {
			best = m
		}
	}
	return fmt.Sprintf("%d events, %d", best.Events, best.Updated)
}

// A Running is a layer that runs on a disk, and its device: nil where it has none of its own.
type Running struct {
	Node   *Node
	Device *Device
}

// RunningOn lists the layers that run on a disk, the highest first, and the volumes at their ends.
func (f *Facts) RunningOn(disk *Device) (layers []Running, ends []*Device) {
	w := f.climb([]*Device{disk})
	rest := slices.Clone(w.layers)
	slices.Reverse(rest)
	for len(rest) > 0 {
		// A group on several containers is met above the first of them, before the others.
		top := max(0, slices.IndexFunc(rest, func(n *Node) bool {
			return !slices.ContainsFunc(rest, func(o *Node) bool { return o != n && w.seen.Rests(o.Ref, n.Ref) })
		}))
		layers = append(layers, Running{rest[top], f.find(rest[top])})
		rest = slices.Delete(rest, top, top+1)
	}
	return layers, w.leaves
}
