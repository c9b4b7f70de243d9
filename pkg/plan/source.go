package plan

import (
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// option reports whether a comma-separated list of mount options has one.
func option(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// optional reports whether a boot goes on when the line's device is not there.
func (e *Fstab) optional() bool { return option(e.Options, "nofail") || option(e.Options, "noauto") }

// use says what a line is for.
func (e *Fstab) use() string {
	if e.Type == SwapType {
		return "has it as swap"
	}
	return "mounts it at " + e.Target
}

func (e *Fstab) bind() bool { return option(e.Options, "bind") || option(e.Options, "rbind") }

// needed are the places that the copied system's own tools run from and write to while it is rebuilt.
func (f *Facts) needed() []string {
	out := []string{"/usr/sbin", "/usr/lib/modules", "/lib/modules", "/etc", "/boot"}
	if f.Boot.Config != "" {
		out = append(out, path.Dir(f.Boot.Config))
	}
	return append(out, f.Rules.Family(f.Distro.Family).State...)
}

// findSource finds the disk under / and everything on it that has to move.
func (b *builder) findSource() {
	b.id = "plan.source"
	for _, m := range b.f.Mounts {
		if m.Target == "/" {
			b.root = b.f.Dev(m.Device)
		}
	}
	if b.root == nil {
		b.refuse("root filesystem", "run migrate-init on the installed system itself", "no block device is mounted at /")
		return
	}
	if b.root.Kind != KindPart {
		b.refuse("root filesystem "+b.root.Path, "this version moves a root on a plain partition of one disk", "it lies on %s", kindWords(b.root.Kind))
		return
	}
	disk := b.f.DiskOf(b.root.Name)
	if disk == nil || disk.Table == nil {
		b.refuse("root filesystem "+b.root.Path, "run as root, and check the partition table: sfdisk --verify", "the partition table of its disk cannot be read")
		return
	}
	if fs := b.root.Filesystem(); fs != nil && !FSTypeOf(fs.Type).Movable {
		b.typed("/", fs.Type)
		return
	}
	if disk.Remote != "" {
		b.refuse("source disk "+disk.Path, "this version only moves local disks", "it is %s", disk.Remote)
		return
	}
	b.disks = []*Device{disk}
	b.f.refuseUnseen(disk, &b.answers)
	left := b.leaves()
	for _, p := range b.f.Parts(disk.Name) {
		b.addPart(p, left[p.Name])
	}
	b.sameTargets()
	b.elsewhere()
	b.p.Source = b.sourceGraph()
}

// typed refuses a filesystem that cannot be made here, in the words of the check.
func (b *builder) typed(mount, typ string) {
	a := &answers{id: "filesystem.type"}
	refuseType(a, mount, typ)
	b.out = append(b.out, a.out...)
}

// system returns the needed directory a partition is mounted over, "" when it is none.
func (f *Facts) system(p *Device, tab *Fstab) string {
	at := slices.Clone(p.MountedAt)
	if tab != nil {
		at = append(at, path.Clean(tab.Target))
	}
	for _, t := range at {
		if path.IsAbs(t) && slices.ContainsFunc(f.needed(), func(n string) bool { return within(n, t) }) {
			return t
		}
	}
	return ""
}

func kindWords(kind string) string {
	switch kind {
	case KindPart:
		return "a partition"
	case KindLoop:
		return "a loop device, which is a file"
	case KindArray:
		return "an md array"
	case KindDM:
		return "a device-mapper volume (LVM or LUKS)"
	case KindDisk:
		return "a whole disk without partitions"
	}
	return "a device of kind " + kind
}

// leaves resolves --leave: only a partition of the source disk can be left behind, and never the root.
func (b *builder) leaves() map[string]bool {
	left := map[string]bool{}
	for _, l := range b.in.Leave {
		d := b.f.Dev(l)
		switch {
		case d == nil || d.Kind != KindPart || !b.source(d.Parent):
			b.refuse("--leave "+l, "name a partition of "+b.disks[0].Path, "it is not a partition of the source disk %s", b.disks[0].Path)
		case d == b.root:
			b.refuse("--leave "+l, "leave it out of --leave", "it is the root filesystem, which is always moved")
		default:
			left[d.Name] = true
		}
	}
	return left
}

// line finds the fstab line of a device; two are refused.
func (b *builder) line(p *Device) *Fstab {
	var tab *Fstab
	for i := range b.f.Fstab {
		e := &b.f.Fstab[i]
		if e.Device != p.Name || e.bind() {
			continue
		}
		if fs := p.Filesystem(); tab != nil && fs != nil && !FSTypeOf(fs.Type).Movable {
			break // its type is refused, and may well have a line for each subvolume
		}
		if tab != nil {
			b.refuse("partition "+p.Path, "keep one line for it, and use bind mounts for the rest", "two lines of fstab name it: %s at %s and %s at %s", tab.Spec, tab.Target, e.Spec, e.Target)
			break
		}
		tab = e
	}
	return tab
}

func (b *builder) addPart(p *Device, leave bool) {
	role, tab := roleIn(b.f.tableOf(p), p.Number), b.line(p)
	fs, swap := p.Filesystem(), p.Swap()
	used := tab != nil || p.usedBy() != ""
	noun := "partition " + p.Path
	switch {
	case role == RoleBIOSGrub && !used:
	case leave:
		b.leave(p, tab)
	case tab == nil && b.twin(p, fs, swap):
	case role == RoleESP && b.f.Firmware != "efi" && p != b.root && b.f.system(p, tab) == "":
		b.idleESP(p, tab)
	case fs != nil && swap != nil:
		b.refuse(noun, "look with wipefs "+p.Path+", and remove the stale one: wipefs -o OFFSET", "it carries %s and a swap area; refusing to choose", fs.Type)
	case swap != nil && used:
		b.addSwap(p, tab, swap)
	case swap != nil:
		b.warn(noun, "", "it is a swap area that nothing uses, so it is not created again")
	case fs != nil && p != b.root && !FSTypeOf(fs.Type).Movable:
		b.immovable(p, tab, fs)
	case fs != nil && tab != nil && path.IsAbs(tab.Target):
		b.addFS(p, tab, fs)
	case p == b.root && fs == nil:
		b.refuse("root filesystem "+p.Path, "look with wipefs "+p.Path, "it does not hold exactly one known filesystem: %s", orNothing(p.carries()))
	case p == b.root:
		b.refuse("root filesystem "+p.Path, "add its line to /etc/fstab", "fstab has no line for it")
	case p.layered():
		b.refuse(noun, "this version moves plain filesystems and swap; pass --leave "+p.Path+" to leave it behind (finish erases it)", "it holds %s%s, which would not be moved", p.carries(), comma(p.usedBy()))
	case used:
		b.refuse(noun, "give it a line in /etc/fstab that mounts it, so that it is moved; or take it out of use and pass --leave "+p.Path+" to leave it behind (finish erases it)",
			"it is in use and would not be copied: %s", joined(orNothing(p.carries()), p.usedBy(), fstabWords(tab)))
	case fs != nil || len(p.Contents) > 0 && !p.remnants():
		b.refuse(noun, "give it a line in /etc/fstab, so that it is moved; or pass --leave "+p.Path+" to leave it behind (finish erases it)", "it holds %s that no fstab line mounts, so it would not be copied", p.carries())
	case !extended(b.f.tableOf(p), p.Number):
		b.warn(noun, "", "%s: it is not moved, and finish erases it", orNothing(p.carries()))
	}
}

// twin refuses a volume whose UUID, GUID or label is on another device too: fstab's line for it then means neither, and
// was not found.
func (b *builder) twin(p *Device, fs, swap *Content) bool {
	c, find := fs, b.f.FS
	if fs == nil {
		c, find = swap, b.f.Swap
	}
	if c == nil {
		return false
	}
	var err error
	if c.UUID != "" {
		_, err = find(c.UUID)
	}
	if err == nil && p.GUID != "" {
		_, err = b.f.PartByGUID(p.GUID)
	}
	if err == nil && c.Label != "" && b.unresolved(Name{TagLabel, c.Label}) {
		_, err = one(b.f, "label "+c.Label, func(d *Device) bool {
			x := d.Filesystem()
			if x == nil {
				x = d.Swap()
			}
			return x != nil && x.Label == c.Label
		})
	}
	if name := b.f.partName(p); err == nil && name != "" && b.unresolved(Name{TagPartLabel, name}) {
		_, err = one(b.f, "partition name "+name, func(d *Device) bool { return b.f.partName(d) == name })
	}
	if err != nil {
		b.refuse("partition "+p.Path, "disconnect the other one, or give it another identity ("+FSTypeOf(c.Type).identify("DEVICE")+", sgdisk -G DISK)", "%v", err)
	}
	return err != nil
}

// unresolved reports whether fstab has a line for a name that resolved to nothing.
func (b *builder) unresolved(n Name) bool {
	return slices.ContainsFunc(b.f.Fstab, func(e Fstab) bool { return e.Device == "" && e.Name == n })
}

func orNothing(s string) string {
	if s == "" {
		return "nothing known is on it"
	}
	return s
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

func fstabWords(e *Fstab) string {
	if e == nil {
		return "no line in fstab"
	}
	return "fstab has " + e.Spec + " at " + e.Target
}

// remnants reports that nothing on a device is more than a ghost.
func (d *Device) remnants() bool {
	return !slices.ContainsFunc(d.Contents, func(c Content) bool { return !c.Ghost })
}

// leave notes a partition that the administrator gives up.
func (b *builder) leave(p *Device, tab *Fstab) {
	if p.GUID == "" {
		b.refuse("--leave "+p.Path, "re-read the table: partprobe /dev/"+p.Parent, "the kernel's view of it differs from the partition table on the disk")
		return
	}
	if at := b.f.system(p, tab); at != "" {
		b.refuse("--leave "+p.Path, "leave it out of --leave", "it is %s of this system, which cannot boot or be rebuilt without it", at)
		return
	}
	if tab != nil && !tab.optional() {
		b.refuse("--leave "+p.Path, "add nofail to its line in /etc/fstab, or remove the line", "fstab %s: the new system would hang at boot waiting for it", tab.use())
	}
	if u := p.usedBy(); u != "" {
		b.warn("--leave "+p.Path, "", "it is %s: the new system will not have it, and finish erases it", u)
	}
	if fs := p.Filesystem(); fs != nil && seedDir(fs.Label) != "" {
		b.warn("--leave "+p.Path, "unless it is done: "+saveSeed(p, seedDir(fs.Label)), "%s", seedLoss)
	}
	b.p.Drop = append(b.p.Drop, Ref("part:"+p.GUID))
}

// idleESP is an EFI system partition of a machine that boots by BIOS: nothing reads it, and it is not moved.
func (b *builder) idleESP(p *Device, tab *Fstab) {
	noun := "EFI system partition " + p.Path
	if tab != nil && !tab.optional() {
		b.refuse(noun, "add nofail to its line in /etc/fstab: this machine boots by BIOS and does not need it", "fstab mounts it at %s, it is not moved, and after finish the new system would hang at boot waiting for it", tab.Target)
		return
	}
	if tab != nil || len(p.Contents) > 0 {
		b.warn(noun, "copy what you want to keep", "this machine boots by BIOS: it is not moved, and finish erases it (%s)", joined(orNothing(p.carries()), p.usedBy(), fstabWords(tab)))
	}
}

// movable refuses what could not be found again.
func (b *builder) movable(p *Device, c *Content, fix string) bool {
	switch {
	case p.GUID == "":
		b.refuse("partition "+p.Path, "re-read the table: partprobe /dev/"+p.Parent, "the kernel's view of it differs from the partition table on the disk")
	case c.UUID == "":
		b.refuse("partition "+p.Path, fix, "its %s has no UUID, so it cannot be identified later", c.Type)
	case !utf8.ValidString(c.Label):
		b.refuse("partition "+p.Path, "give it another label", "its label %q is not UTF-8", c.Label)
	default:
		return true
	}
	return false
}

func (b *builder) addSwap(p *Device, tab *Fstab, c *Content) {
	if !b.movable(p, c, "give it one: swapoff it, then "+fill(FSTypeOf(SwapType).Fixes.UUID, "", p.Path, "")) {
		return
	}
	old := &Swap{}
	if tab != nil {
		old.Spec = tab.Spec
	} else {
		b.warn("swap "+p.Path, "add its line to /etc/fstab", "it is in use, but fstab has no line for it: the new swap area would not be enabled at boot")
	}
	b.srcs = append(b.srcs, source{vol: p, use: c, node: Node{Ref: Ref("swap:" + c.UUID), On: []Ref{Ref("part:" + p.GUID)}, Size: p.Size, Was: p.Path, Also: b.f.alsoCalled(p), Layer: Layer{Swap: old}}})
}

func (b *builder) addFS(p *Device, tab *Fstab, c *Content) {
	if !b.movable(p, c, "give it one: "+fill(FSTypeOf(c.Type).Fixes.UUID, "with the tools of its type", p.Path, "")) {
		return
	}
	if why := FSTypeOf(c.Type).immovable(c.Features); why != "" {
		b.refuse("filesystem "+p.Path, "copy its files to a filesystem that this version moves", "%s", why)
		return
	}
	s := &FS{Type: c.Type, Label: c.Label, Spec: tab.Spec, Mount: path.Clean(tab.Target), Used: c.Used}
	if c.Size > p.Size || c.Used > p.Size {
		b.refuse("filesystem "+p.Path, "find out which of the two is wrong ("+fill(FSTypeOf(c.Type).Fixes.Look, "check the filesystem", p.Path, "")+", and the partition table) before anything is copied", "its superblock says %d bytes, its partition has %d", max(c.Size, c.Used), p.Size)
		return
	}
	if p == b.root && s.Mount != "/" || p != b.root && s.Mount == "/" {
		b.refuse("filesystem "+p.Path, "fix the line in /etc/fstab", "fstab mounts it at %s, but %s is mounted at /", s.Mount, b.root.Path)
		return
	}
	b.srcs = append(b.srcs, source{vol: p, use: c, needed: c.Used + c.Used/10 + 64*mib,
		node: Node{Ref: Ref("fs:" + c.UUID), On: []Ref{Ref("part:" + p.GUID)}, Size: p.Size, Was: p.Path, Also: b.f.alsoCalled(p), Layer: Layer{FS: s}}})
}

// oldKey is the key of a source disk by its place in builder.disks.
func oldKey(i int) string { return "old" + strconv.Itoa(i+1) }

// source reports whether a device, by its name, is a source disk.
func (b *builder) source(name string) bool {
	return slices.ContainsFunc(b.disks, func(d *Device) bool { return d.Name == name })
}

// tableOf is the partition table that a partition is an entry of, nil for none.
func (f *Facts) tableOf(p *Device) *Table {
	if d := f.Dev(p.Parent); d != nil {
		return d.Table
	}
	return nil
}

// sourceGraph is what moves, with everything that it lies on, as it was seen: filesystems by their mount points, swap
// last. The disks get their keys.
func (b *builder) sourceGraph() Graph {
	seen, keys := b.f.Graph(), map[Ref]Ref{}
	for i, d := range b.disks {
		keys[b.f.refTo(d.Name)] = Ref("disk:" + oldKey(i))
	}
	var below, on, swaps Graph
	for _, s := range b.srcs {
		if s.node.FS != nil {
			on = append(on, s.node)
		} else {
			swaps = append(swaps, s.node)
		}
	}
	for _, n := range seen {
		if !slices.ContainsFunc(b.srcs, func(s source) bool { return seen.Rests(s.node.Lower(), n.Ref) }) {
			continue
		}
		if key, ok := keys[n.Ref]; ok {
			n.Ref = key
		}
		for i, r := range n.On {
			if key, ok := keys[r]; ok {
				n.On[i] = key
			}
		}
		below = append(below, n)
	}
	sort.SliceStable(on, func(i, j int) bool { return on[i].FS.Mount < on[j].FS.Mount })
	return slices.Concat(below, on, swaps)
}

// sameTargets refuses two lines of fstab for one mount point, where one of them moves.
func (b *builder) sameTargets() {
	for _, s := range b.srcs {
		if s.node.FS == nil {
			continue
		}
		mount := s.node.FS.Mount
		var specs []string
		for _, e := range b.f.Fstab {
			if path.IsAbs(e.Target) && path.Clean(e.Target) == mount {
				specs = append(specs, e.Spec)
			}
		}
		if len(specs) > 1 {
			b.refuse("mount point "+mount, "keep one line for it in /etc/fstab", "fstab mounts %s there", strings.Join(specs, " and "))
		}
	}
}

// elsewhere refuses a system whose own directories lie on another disk, in an array, or behind a bind mount: they
// would be neither copied nor there while the copy is rebuilt.
func (b *builder) elsewhere() {
	const fix = "this version moves a system whose /usr, /var, /etc and /boot are on one disk"
	seen := map[string]bool{}
	look := func(target, dev, what string) {
		d := b.f.DiskOf(dev)
		if target == "/" || seen[target] || d != nil && b.source(d.Name) || !slices.ContainsFunc(b.f.needed(), func(n string) bool { return within(n, target) }) {
			return
		}
		seen[target] = true
		b.refuse("directory "+target, fix, "%s is mounted there, which is not a partition of %s", what, b.disks[0].Path)
	}
	for _, e := range b.f.Fstab {
		if path.IsAbs(e.Target) && !option(e.Options, "noauto") {
			dev := e.Device
			if e.bind() {
				dev = ""
			}
			look(path.Clean(e.Target), dev, e.Spec)
		}
	}
	for _, m := range b.f.Mounts {
		dev, what := m.Device, m.Source
		if dev != "" {
			what = "/dev/" + dev
		}
		if m.Root != "" && m.Root != "/" {
			dev, what = "", m.Root+" of "+what
		}
		if m.Type != "autofs" { // only what it mounts counts
			look(m.Target, dev, what)
		}
	}
}
