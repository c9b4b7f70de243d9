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
		b.refuse("target disk "+b.in.Disks[0], "`migrate-init inspect` lists the disks", "no such block device")
		return
	}
	if d.Kind != KindDisk {
		b.refuse("target disk "+d.Path, "name a whole disk", "it is of kind %s", d.Kind)
		return
	}
	t := TargetDisk{DiskID: diskID(d, "new1", ""), Scheme: "gpt", TableID: b.ids.uuid()}
	for _, w := range b.in.Wipe {
		t.Wipe = t.Wipe || b.f.Dev(w) == d
	}
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

// mirror plans the old disk's second life: the new disk's layout with identities of its own.
func (b *builder) mirror(t TargetDisk) TargetDisk {
	m := TargetDisk{DiskID: b.p.Source.Disks[0], Scheme: t.Scheme, TableID: b.ids.uuid(), Wipe: true}
	for _, p := range t.Partitions {
		p.GUID = b.ids.uuid()
		m.Partitions = append(m.Partitions, p)
	}
	return m
}

// partitions lays out the disk: fixed sizes first, and the largest filesystem takes the rest.
func (b *builder) partitions(t *TargetDisk, size int64) {
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
	rest, growAt := size-endGap-mib, 0
	for i, s := range b.srcs {
		name := "swap"
		if s.fs != nil {
			name = nameOf(s.fs.Mount)
		}
		want := (s.part.Size + mib - 1) / mib * mib
		if i == grow {
			growAt, want = len(t.Partitions), 0
		}
		add(RoleRaid, name, want)
	}
	for _, p := range t.Partitions {
		rest -= p.Size
	}
	t.Partitions[growAt].Size = rest / mib * mib
	g := b.srcs[grow]
	if need := g.needed + g.needed/512 + 2*mib; t.Partitions[growAt].Size < need {
		b.refuse("target disk "+t.Was, "use a larger disk, or free space on the old one",
			"too small: %s would get %d bytes of its %d, but %d are used and %d are needed with margin", g.fs.Mount, max(0, t.Partitions[growAt].Size), size, g.fs.Used, need)
		return
	}
	at := mib
	for i := range t.Partitions {
		t.Partitions[i].Start = at
		at += t.Partitions[i].Size
	}
}

func (b *builder) arrays(t, mirror *TargetDisk) {
	meta := b.in.Metadata
	if meta == "" {
		meta = "1.2"
	}
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
		arr := NewArray{UUID: b.ids.array(), Name: shortHost(b.f.Machine.Hostname) + ":" + part.Name, Node: taken(), Level: 1, Metadata: meta, Devices: 2,
			Members: []Ref{Ref("part:" + part.GUID), ""}, MemberUUIDs: []string{b.ids.array(), b.ids.array()}, Later: []Ref{Ref("part:" + mirror.Partitions[at].GUID)}, Bitmap: true}
		b.p.Target.Arrays = append(b.p.Target.Arrays, arr)
		on := Ref("md:" + arr.UUID)
		if s.swap != nil {
			b.p.Target.Swaps = append(b.p.Target.Swaps, NewSwap{UUID: b.ids.uuid(), On: on, Old: s.swap.UUID})
			continue
		}
		fs := NewFS{UUID: b.ids.uuid(), Type: s.fs.Type, Label: s.fs.Label, On: on, Mount: s.fs.Mount, Options: s.fs.Options, Features: s.use.Features,
			BlockSize: s.use.BlockSize, InodeSize: s.use.InodeSize, Inodes: s.use.Inodes, HashSeed: b.ids.uuid()}
		if labels[fs.Label] {
			// Two filesystems of one label are ambiguous to the old system, which must stay bootable.
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

func (b *builder) engine(s source, fs NewFS, size int64) Copy {
	c := Copy{From: s.fs.UUID, To: fs.UUID, Engine: EngineTree, Why: "files are copied one by one"}
	room := size - size/512 - 2*mib
	switch {
	case b.in.Engine == EngineExtent && s.use.Size > room:
		b.refuse("engine extent", "use --engine tree", "filesystem %s has %d bytes, its new volume about %d", s.fs.UUID, s.use.Size, room)
	case b.in.Engine == EngineExtent:
		c.Engine, c.Why = EngineExtent, "asked for; the target has room for the whole filesystem"
	case b.in.Engine != "" && b.in.Engine != EngineTree:
		b.refuse("engine "+b.in.Engine, "the engines are: tree, extent", "not known")
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

func nameOf(mount string) string {
	if mount == "/" {
		return "root"
	}
	return strings.ReplaceAll(strings.Trim(path.Clean(mount), "/"), "/", "-")
}

func shortHost(h string) string {
	s, _, _ := strings.Cut(h, ".")
	if s == "" {
		return "any"
	}
	return s
}

// booting chooses how the migration is started and committed.
func (b *builder) booting() {
	b.id = "plan.boot"
	bt, f := &b.p.Boot, b.f
	if f.Boot.Loader != "grub" {
		b.refuse("boot loader", "this version moves systems that boot by GRUB 2 on BIOS", "it is %s", orUnknown(f.Boot.Loader))
		return
	}
	if f.Firmware != "bios" {
		b.refuse("firmware "+f.Firmware, "this version moves systems that boot by GRUB 2 on BIOS", "UEFI is not supported yet")
		return
	}
	*bt = Booting{Loader: "grub", OneShot: "grub-next-entry", Commit: "grub-custom-cfg", Prefix: f.Boot.Prefix, Dir: path.Dir(f.Boot.Config), Custom: f.Boot.Custom, Env: f.Boot.Env,
		OneShotWhy: fmt.Sprintf("GRUB can write its environment block %s, so the entry runs once", f.Boot.Env)}
	if f.Boot.NoOneShot != "" {
		b.refuse("one-shot boot entry", "kexec, or a machine whose /boot is a plain ext2/3/4 partition; this version has no other mechanism", "%s", f.Boot.NoOneShot)
	}
	for _, c := range f.Boot.Kernels {
		if c.Release == f.Kernel.Release && c.Modules {
			bt.Kernel, bt.Release = c.Path, c.Release
		}
	}
	if bt.Kernel == "" {
		b.refuse("kernel "+f.Kernel.Release, "reboot into an installed kernel, or reinstall its package", "no image in %s with modules of this release", orUnknown(f.Boot.Dir))
	}
	if dev := f.Dev(f.Boot.Device); dev != nil && dev.Filesystem() != nil {
		bt.BootFS = dev.Filesystem().UUID
	}
	for i, fs := range b.p.Target.Filesystems {
		if fs.Mount == "/" {
			bt.Root = fs.UUID
		}
		// The commit lies where the new boot loader's own files do: one volume for GRUB to read.
		if within(bt.Dir, fs.Mount) && len(fs.Mount) > len(bt.Mount) {
			bt.Volume, bt.Mount, bt.FSType = b.p.Target.Filesystems[i].On, fs.Mount, fs.Type
		}
	}
	if bt.Root == "" {
		b.refuse("root filesystem", "add its line to /etc/fstab", "no planned filesystem is mounted at /")
	}
	for _, w := range strings.Fields(f.Kernel.Cmdline) {
		if strings.HasPrefix(w, "console=") || w == "norandmaps" || strings.HasPrefix(w, "mitigations=") {
			bt.Consoles = append(bt.Consoles, w)
		}
	}
}

// within tells whether a path lies in a directory, or is it.
func within(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
