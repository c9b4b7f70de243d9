package plan

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// raid1 plans one new disk now, the old one as the second member of every array at finish.
func (b *builder) raid1() {
	b.id = "plan.target"
	d := b.newDisk()
	if d == nil {
		return
	}
	if !slices.Contains([]string{"1.0", "1.1", "1.2"}, b.metadata()) {
		b.refuse("metadata "+b.metadata(), "use 1.2, 1.1 or 1.0", "not supported for a root array (0.90 has no name, and can be mistaken for an array of whole disks)")
	}
	if !slices.Contains([]string{"", EngineTree, EngineExtent}, b.in.Engine) {
		b.refuse("engine "+b.in.Engine, "use tree or extent", "unknown")
	}
	disk := diskNode(d, "new1")
	disk.Disk.Scheme, disk.Disk.Table = "gpt", b.ids.uuid()
	for _, w := range b.in.Wipe {
		if b.f.Dev(w) != d {
			b.refuse("--wipe "+w, "name the target disk itself: --wipe "+d.Path, "it is not a target disk of this plan")
		}
		disk.Disk.Wipe = true
	}
	b.sectors(d)
	parts := b.partitions(disk, min(d.Size, b.disks[0].Size))
	if b.out.Err() != nil {
		return
	}
	b.p.Drivers = merge(d.Drivers, b.disks[0].Drivers)
	b.build(disk, parts)
}

// newDisk is the one disk that --disk names, nil where it is refused.
func (b *builder) newDisk() *Device {
	if len(b.in.Disks) != 1 {
		b.refuse("target disks", "name one empty disk: --disk /dev/NAME", "raid1 takes one new disk (the old one becomes its mirror), got %d", len(b.in.Disks))
		return nil
	}
	d := b.f.Dev(b.in.Disks[0])
	switch {
	case d == nil:
		b.refuse("target disk "+b.in.Disks[0], "`migrate-init inspect` lists the disks", "there is no such block device, or it cannot hold a system (a CD, RAM, the network)")
	case d.Kind != KindDisk:
		b.refuse("target disk "+d.Path, "name a whole disk", "it is %s", kindWords(d.Kind))
	case d.Remote != "":
		b.refuse("target disk "+d.Path, "name a local disk", "it is %s", d.Remote)
	default:
		return d
	}
	return nil
}

func (b *builder) metadata() string {
	if b.in.Metadata == "" {
		return "1.2"
	}
	return b.in.Metadata
}

// sectors looks for what a disk of other sectors, or another size, would mean.
func (b *builder) sectors(d *Device) {
	if d.Sector != b.disks[0].Sector {
		b.warn("target disk "+d.Path, "", "its sectors have %d bytes, those of %s %d: the array uses the larger size", d.Sector, b.disks[0].Path, b.disks[0].Sector)
	}
	for _, s := range b.srcs {
		if big := max(d.Sector, b.disks[0].Sector); s.node.FS != nil && s.use.BlockSize > 0 && s.use.BlockSize < big {
			b.refuse("filesystem at "+s.node.FS.Mount, "use a disk with sectors of 512 bytes", "its blocks (%d bytes) are smaller than the sectors (%d bytes)", s.use.BlockSize, big)
		}
	}
	if more := d.Size - b.disks[0].Size; more > max(b.disks[0].Size/20, 64*mib) {
		b.warn("target disk "+d.Path, "", "it is larger than %s: %s at its end stay unused, so that the old disk can mirror it", b.disks[0].Path, size(more))
	}
}

// volume is the size of a partition whose array holds at least n bytes.
func volume(n int64) int64 { return mdKind().overhead(n) }

// inodes is the source's number of inodes, where a smaller volume can have as many: mke2fs cuts odd groups of blocks for
// more than one a block. A source that was made so has them again.
func inodes(c *Content, part int64) int64 {
	if c.BlockSize <= 0 || c.Inodes > c.Size/c.BlockSize {
		return c.Inodes
	}
	return min(c.Inodes, (part-part/500-3*mib)/c.BlockSize)
}

// least is what a source's new volume has to hold.
func (b *builder) least(s source) int64 {
	if b.in.Engine == EngineExtent {
		return max(s.needed, s.use.Size)
	}
	return s.needed
}

// A place is a partition of the new disk, and the source whose volume it carries; nil for one of the layout's own.
type place struct {
	part Node
	src  *source
}

// partitions lays out the disk: fixed sizes first, and the largest filesystem takes the rest.
func (b *builder) partitions(disk Node, total int64) []place {
	var out []place
	add := func(role, name string, size int64, src *source) {
		out = append(out, place{Node{Ref: Ref("part:" + b.ids.uuid()), On: []Ref{disk.Ref}, Size: size, Layer: Layer{Part: &Part{Number: len(out) + 1, Role: role, Name: name}}}, src})
	}
	names := b.taken()
	for _, r := range b.f.loader().Parts {
		add(r.Role, unique(names, r.Name), r.Size, nil)
	}
	add(RoleJournal, unique(names, "migrate-init journal"), sizeJournal, nil)
	grow := b.largest()
	if grow == nil {
		b.refuse("root filesystem", "add its line to /etc/fstab", "no filesystem is to be moved")
		return nil
	}
	var rest *Node
	for i := range b.srcs {
		s := &b.srcs[i]
		want := (s.vol.Size + mib - 1) / mib * mib
		if s.node.FS != nil {
			want = max(want, volume(b.least(*s)))
		}
		if s == grow {
			want = 0
		}
		add(RoleRaid, unique(names, s.name()), want, s)
	}
	left := total - endGap - mib
	for i := range out {
		left -= out[i].part.Size
		if out[i].src == grow {
			rest = &out[i].part
		}
	}
	rest.Size = max(0, left) / mib * mib
	if need := volume(b.least(*grow)); rest.Size < need {
		b.refuse("target disk "+disk.Was, "use a larger disk, or free space on the old one",
			"too small: %s would get %s of its %s, but %s are used and %s are needed with margin", grow.node.FS.Mount, size(rest.Size), size(total), size(grow.node.FS.Used), size(need))
		return nil
	}
	at := mib
	for i := range out {
		out[i].part.Part.Start = at
		at += out[i].part.Size
	}
	return out
}

// largest is the filesystem on the largest partition, nil for none.
func (b *builder) largest() *source {
	var grow *source
	for i := range b.srcs {
		if s := &b.srcs[i]; s.node.FS != nil && (grow == nil || s.vol.Size > grow.vol.Size) {
			grow = s
		}
	}
	return grow
}

// name is what a source's partition and array are called.
func (s source) name() string {
	if s.node.FS == nil {
		return "swap"
	}
	return nameOf(s.node.FS.Mount)
}

// unique gives a name that was not given before: two arrays of one name are two times /dev/md/NAME.
func unique(taken map[string]bool, name string) string {
	for n, base := 2, name; taken[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	taken[name] = true
	return name
}

// build makes Target and Final of a laid out disk: each volume on an array of two, of which the new disk has one member
// and the old disk gets the other.
func (b *builder) build(disk Node, places []place) {
	old := diskNode(b.disks[0], oldKey(0))
	old.Disk.Scheme, old.Disk.Table, old.Disk.Wipe = disk.Disk.Scheme, b.ids.uuid(), true
	target, later := Graph{disk}, Graph{old}
	mirror := map[Ref]Ref{}
	for _, x := range places {
		target = append(target, x.part)
		m := x.part
		m.Ref, m.On = Ref("part:"+b.ids.uuid()), []Ref{old.Ref}
		mirror[x.part.Ref] = m.Ref
		later = append(later, m)
		if x.part.Part.Role == RoleJournal {
			b.p.Journal = x.part.Ref
		}
	}
	var arrays, whole, on, swaps Graph
	labels, node := b.f.inUse(TagLabel), b.nodes()
	for _, x := range places {
		if x.src == nil {
			continue
		}
		uuid := b.ids.array()
		a := Node{Ref: Ref("md:" + uuid), On: []Ref{x.part.Ref, ""}, Layer: Layer{MD: &MD{Name: arrayName(b.f.Machine.Hostname, x.part.Part.Name),
			Node: node(), Level: 1, Metadata: b.metadata(), Bitmap: true, Devices: []string{b.ids.array(), b.ids.array()}}}}
		arrays = append(arrays, a)
		a.On = []Ref{x.part.Ref, mirror[x.part.Ref]}
		whole = append(whole, a)
		n := b.successor(x, a.Ref, labels)
		if n.FS != nil {
			on = append(on, n)
		} else {
			swaps = append(swaps, n)
		}
	}
	b.p.Target = slices.Concat(target, arrays, on, swaps)
	b.p.Final = slices.Concat(target, later, whole, on, swaps)
}

// nodes gives names for arrays that no device has.
func (b *builder) nodes() func() string {
	at := -1
	return func() string {
		for {
			at++
			if name := "md" + strconv.Itoa(at); b.f.Dev(name) == nil {
				return name
			}
		}
	}
}

// successor is what takes the place of a source, on the volume that was planned for it.
func (b *builder) successor(x place, on Ref, labels map[string]bool) Node {
	s := x.src
	if s.node.Swap != nil {
		n := Node{Ref: Ref("swap:" + b.ids.uuid()), On: []Ref{on}, Layer: Layer{Swap: &Swap{}}}
		b.p.Moves = append(b.p.Moves, Move{From: s.node.Ref, To: n.Ref, Engine: EngineMake})
		return n
	}
	fs := b.newFS(*s, x.part.Size)
	n := Node{Ref: Ref("fs:" + b.ids.uuid()), On: []Ref{on}, Layer: Layer{FS: fs}}
	fs.HashSeed = b.ids.uuid()
	if fs.Label != "" && labels[fs.Label] {
		// Two filesystems of one label are ambiguous to the old system, which must stay bootable.
		b.warn("label "+fs.Label, "after finish: "+fill(FSTypeOf(fs.Type).Fixes.Label, "label it "+fs.Label, "DEVICE", fs.Label), "the old system finds its filesystem by it, so the new one at %s gets none and is found by UUID", fs.Mount)
		fs.Label = ""
	}
	move := b.engine(*s, n, x.part.Size)
	b.makeable(n, move, x.part.Size)
	b.p.Moves = append(b.p.Moves, move)
	return n
}

// engine chooses how a filesystem is copied: by its used blocks where that is possible, which takes the disk's own time,
// and file by file else.
func (b *builder) engine(s source, n Node, part int64) Move {
	c := Move{From: s.node.Ref, To: n.Ref, Engine: EngineTree, Why: "asked for"}
	if b.in.Engine == EngineTree {
		return c
	}
	why := ""
	if part < volume(s.use.Size) {
		why = fmt.Sprintf("it has %s, and its new partition of %s is too small for a copy by blocks", size(s.use.Size), size(part))
	} else {
		why = b.notByBlocks(s)
	}
	switch {
	case why == "":
		c.Engine, c.Why = EngineExtent, "its used blocks are copied, and it grows into its new volume"
	case b.in.Engine == EngineExtent:
		b.refuse("engine extent", "use --engine tree", "filesystem at %s: %s", n.FS.Mount, why)
	default:
		c.Why = why
	}
	return c
}

func merge(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		for _, s := range l {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// nameOf makes a mount point a name: what md, udev and GPT all take, at most 20 bytes.
func nameOf(mount string) string {
	if mount == "/" {
		return "root"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, strings.Trim(path.Clean(mount), "/"))
	return name[:min(len(name), 20)]
}
