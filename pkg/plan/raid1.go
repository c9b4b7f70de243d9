package plan

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// raid1 plans one new disk now, the old one as the second member of every array later.
func (b *builder) raid1() {
	b.id = "plan.target"
	if len(b.in.Disks) != 1 {
		b.refuse("target disks", "name one empty disk: --disk /dev/NAME", "raid1 takes one new disk, the old one becomes its mirror; %d given", len(b.in.Disks))
		return
	}
	d := b.f.Dev(b.in.Disks[0])
	if d == nil {
		b.refuse("target disk "+b.in.Disks[0], "`migrate-init inspect` lists the disks", "no such block device is here, or it is one that holds no system (a CD, RAM, the network)")
		return
	}
	if d.Kind != KindDisk {
		b.refuse("target disk "+d.Path, "name a whole disk", "it is %s", kindWords(d.Kind))
		return
	}
	if d.Remote != "" {
		b.refuse("target disk "+d.Path, "name a disk that a bus of this machine has", "it is %s", d.Remote)
		return
	}
	if !slices.Contains([]string{"1.0", "1.1", "1.2"}, b.metadata()) {
		b.refuse("metadata "+b.metadata(), "say 1.2, 1.1 or 1.0", "not one that a root array is made with (0.90 has no name, and is taken for the whole disk's)")
	}
	if !slices.Contains([]string{"", EngineTree, EngineExtent}, b.in.Engine) {
		b.refuse("engine "+b.in.Engine, "the engines are: tree, extent", "not known")
	}
	t := TargetDisk{DiskID: diskID(d, "new1", ""), Scheme: "gpt", TableID: b.ids.uuid()}
	for _, w := range b.in.Wipe {
		if b.f.Dev(w) != d {
			b.refuse("--wipe "+w, "name the target disk itself: --wipe "+d.Path, "it is no target disk of this plan")
		}
		t.Wipe = true
	}
	b.sectors(d)
	b.partitions(&t, min(d.Size, b.disk.Size))
	if b.out.Err() != nil {
		return
	}
	b.p.Target.Disks = []TargetDisk{t}
	b.p.Drivers = merge(d.Drivers, b.disk.Drivers)
	m := b.mirror(t)
	b.p.Target.Mirrors = []TargetDisk{m}
	b.arrays(&b.p.Target.Disks[0], &m)
}

func (b *builder) metadata() string {
	if b.in.Metadata == "" {
		return "1.2"
	}
	return b.in.Metadata
}

// sectors looks for what a disk of other sectors, or another size, would mean.
func (b *builder) sectors(d *Device) {
	if d.Sector != b.disk.Sector {
		b.warn("target disk "+d.Path, "", "its sectors have %d bytes, those of %s %d: the array works with the larger", d.Sector, b.disk.Path, b.disk.Sector)
	}
	for _, s := range b.srcs {
		if big := max(d.Sector, b.disk.Sector); s.fs != nil && s.use.BlockSize > 0 && s.use.BlockSize < big {
			b.refuse("filesystem at "+s.fs.Mount, "use a disk with sectors of 512 bytes", "its blocks of %d bytes are smaller than sectors of %d", s.use.BlockSize, big)
		}
	}
	if more := d.Size - b.disk.Size; more > max(b.disk.Size/20, 64*mib) {
		b.warn("target disk "+d.Path, "", "it is larger than %s: %s at its end stay unused, so that the old disk can mirror it", b.disk.Path, size(more))
	}
}

// mirror plans the old disk's second life: the new disk's layout with identities of its own.
func (b *builder) mirror(t TargetDisk) TargetDisk {
	m := TargetDisk{DiskID: b.p.Source.Disks[0], Scheme: t.Scheme, TableID: b.ids.uuid(), Wipe: true}
	for _, p := range t.Partitions {
		p.GUID = b.ids.uuid()
		m.Partitions = append(m.Partitions, p)
	}
	return m
}

// volume is the size of a partition whose array holds at least n bytes: md keeps less than a 500th and 3 MiB to itself.
func volume(n int64) int64 { return (n + n/500 + 3*mib + mib - 1) / mib * mib }

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

// partitions lays out the disk: fixed sizes first, and the largest filesystem takes the rest.
func (b *builder) partitions(t *TargetDisk, total int64) {
	add := func(role, name string, size int64) {
		t.Partitions = append(t.Partitions, NewPart{Number: len(t.Partitions) + 1, Role: role, GUID: b.ids.uuid(), Name: name, Size: size})
	}
	add(RoleBIOSGrub, "BIOS boot", sizeBIOSGrub)
	add(RoleJournal, "migrate-init journal", sizeJournal)
	grow := -1
	for i, s := range b.srcs {
		if s.fs != nil && (grow < 0 || s.part.Size > b.srcs[grow].part.Size) {
			grow = i
		}
	}
	if grow < 0 {
		b.refuse("root filesystem", "add its line to /etc/fstab", "no filesystem is to be moved")
		return
	}
	rest, growAt := total-endGap-mib, 0
	names := b.namesInUse()
	for i, s := range b.srcs {
		want := (s.part.Size + mib - 1) / mib * mib
		if s.fs != nil {
			want = max(want, volume(b.least(s)))
		}
		if i == grow {
			growAt, want = len(t.Partitions), 0
		}
		add(RoleRaid, unique(names, s.name()), want)
	}
	for _, p := range t.Partitions {
		rest -= p.Size
	}
	t.Partitions[growAt].Size = max(0, rest) / mib * mib
	g := b.srcs[grow]
	if need := volume(b.least(g)); t.Partitions[growAt].Size < need {
		b.refuse("target disk "+t.Was, "use a larger disk, or free space on the old one",
			"too small: %s would get %s of its %s, but %s are used and %s are needed with margin", g.fs.Mount, size(t.Partitions[growAt].Size), size(total), size(g.fs.Used), size(need))
		return
	}
	at := mib
	for i := range t.Partitions {
		t.Partitions[i].Start = at
		at += t.Partitions[i].Size
	}
}

// namesInUse are the partition names by which fstab or the command line finds something: the old system has to stay
// bootable beside the new disk.
func (b *builder) namesInUse() map[string]bool {
	m := map[string]bool{}
	for _, e := range b.f.Fstab {
		for _, p := range []string{"PARTLABEL=", "/dev/disk/by-partlabel/"} {
			if n, ok := strings.CutPrefix(e.Spec, p); ok {
				m[strings.Trim(n, `"`)] = true
			}
		}
	}
	for _, w := range strings.Fields(b.f.Kernel.Cmdline) {
		if _, n, ok := strings.Cut(w, "=PARTLABEL="); ok {
			m[n] = true
		}
	}
	return m
}

// name is what a source's partition and array are called.
func (s source) name() string {
	if s.fs == nil {
		return "swap"
	}
	return nameOf(s.fs.Mount)
}

// unique gives a name that was not given before: two arrays of one name are two times /dev/md/NAME.
func unique(taken map[string]bool, name string) string {
	for n, base := 2, name; taken[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	taken[name] = true
	return name
}

func (b *builder) arrays(t, mirror *TargetDisk) {
	labels := b.labelsInUse()
	node := 0
	taken := func() string {
		for ; ; node++ {
			name := "md" + strconv.Itoa(node)
			if b.f.Dev(name) == nil {
				node++
				return name
			}
		}
	}
	for i, s := range b.srcs {
		at := len(t.Partitions) - len(b.srcs) + i
		part := t.Partitions[at]
		arr := NewArray{UUID: b.ids.array(), Name: arrayName(b.f.Machine.Hostname, part.Name), Node: taken(), Level: 1, Metadata: b.metadata(), Devices: 2,
			Members: []Ref{Ref("part:" + part.GUID), ""}, MemberUUIDs: []string{b.ids.array(), b.ids.array()}, Later: []Ref{Ref("part:" + mirror.Partitions[at].GUID)}, Bitmap: true}
		b.p.Target.Arrays = append(b.p.Target.Arrays, arr)
		on := Ref("md:" + arr.UUID)
		if s.swap != nil {
			b.p.Target.Swaps = append(b.p.Target.Swaps, NewSwap{UUID: b.ids.uuid(), On: on, Old: s.swap.UUID})
			continue
		}
		fs := NewFS{UUID: b.ids.uuid(), Type: s.fs.Type, Label: s.fs.Label, On: on, Mount: s.fs.Mount, Options: s.fs.Options, Features: s.use.Features,
			BlockSize: s.use.BlockSize, InodeSize: s.use.InodeSize, Inodes: inodes(s.use, part.Size), HashSeed: b.ids.uuid()}
		if fs.Label != "" && labels[fs.Label] {
			// Two filesystems of one label are ambiguous to the old system, which must stay bootable.
			b.warn("label "+fs.Label, "after finish: "+fill(FSTypeOf(fs.Type).Fixes.Label, "label it "+fs.Label, "DEVICE", fs.Label), "the old system finds its filesystem by it, so the new one at %s gets none and is found by UUID", fs.Mount)
			fs.Label = ""
		}
		b.p.Target.Filesystems = append(b.p.Target.Filesystems, fs)
		b.p.Copies = append(b.p.Copies, b.engine(s, fs, part.Size))
	}
	for _, p := range t.Partitions {
		if p.Role == RoleJournal {
			b.p.Journal = Ref("part:" + p.GUID)
		}
	}
}

// engine chooses how a filesystem is copied: by its used blocks where that is possible, which takes the disk's own time,
// and file by file else.
func (b *builder) engine(s source, fs NewFS, part int64) Copy {
	c := Copy{From: s.fs.UUID, To: fs.UUID, Engine: EngineTree, Why: "asked for"}
	if b.in.Engine == EngineTree {
		return c
	}
	why := ""
	if part < volume(s.use.Size) {
		why = fmt.Sprintf("it has %s, and its new partition of %s is too small for the whole of it", size(s.use.Size), size(part))
	} else {
		why = FSTypeOf(s.use.Type).NotByBlocks(s.use.Features)
	}
	switch {
	case why == "":
		c.Engine, c.Why = EngineExtent, "its used blocks are copied, and it grows into its new volume"
	case b.in.Engine == EngineExtent:
		b.refuse("engine extent", "use --engine tree", "filesystem at %s: %s", fs.Mount, why)
	default:
		c.Why = why
	}
	return c
}

// labelsInUse are the labels by which fstab or the command line finds something.
func (b *builder) labelsInUse() map[string]bool {
	m := map[string]bool{}
	for _, e := range b.f.Fstab {
		if l, ok := strings.CutPrefix(e.Spec, "LABEL="); ok {
			m[strings.Trim(l, `"`)] = true
		}
	}
	for _, w := range strings.Fields(b.f.Kernel.Cmdline) {
		if _, l, ok := strings.Cut(w, "=LABEL="); ok {
			m[l] = true
		}
	}
	return m
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

// arrayName joins host and name as mdadm does: the superblock has room for 32 bytes, and a host too long is left out.
func arrayName(host, name string) string {
	short, _, _ := strings.Cut(host, ".")
	if short == "" {
		short = "any"
	}
	if len(short)+1+len(name) >= 32 {
		return name
	}
	return short + ":" + name
}
