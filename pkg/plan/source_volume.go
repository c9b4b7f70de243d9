package plan

import (
	"path"
	"slices"
	"unicode/utf8"
)

// addPart decides what becomes of a volume of the source: a partition, an array, a logical volume, an opened LUKS device, a
// disk without a table. It is moved, left behind, given up with a warning, or refused.
func (b *builder) addPart(p *Device, leave bool) {
	role, tab := roleIn(b.f.tableOf(p), p.Number), b.line(p)
	fs, swap := p.Filesystem(), p.Swap()
	used := tab != nil || p.usedBy() != ""
	noun := p.noun()
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
	case b.spare(p):
	case p.layered():
		b.layered(p)
	case used:
		b.refuse(noun, "give it a line in /etc/fstab that mounts it, so that it is moved; or take it out of use and pass --leave "+p.Path+" to leave it behind (finish erases it)",
			"it is in use and would not be copied: %s", joined(orNothing(p.carries()), p.usedBy(), fstabWords(tab)))
	case fs != nil || len(p.Contents) > 0 && !p.remnants():
		b.refuse(noun, "give it a line in /etc/fstab, so that it is moved; or pass --leave "+p.Path+" to leave it behind (finish erases it)", "it holds %s that no fstab line mounts, so it would not be copied", p.carries())
	case !extended(b.f.tableOf(p), p.Number):
		b.warn(noun, "", "%s: it is not moved, and finish erases it", orNothing(p.carries()))
	}
}

// typed refuses a filesystem that cannot be made here, in the words of the check.
func (b *builder) typed(mount, typ string) {
	a := &answers{id: "filesystem.type"}
	refuseType(a, mount, typ)
	b.out = append(b.out, a.out...)
}

// movable refuses what could not be found again.
func (b *builder) movable(p *Device, c *Content, fix string) bool {
	switch {
	case b.refOf(p) == "":
		b.nameless(p)
	case c.UUID == "":
		b.refuse(p.noun(), fix, "its %s has no UUID, so it cannot be identified later", c.Type)
	case !utf8.ValidString(c.Label):
		b.refuse(p.noun(), "give it another label", "its label %q is not UTF-8", c.Label)
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
	b.srcs = append(b.srcs, source{vol: p, use: c, node: Node{Ref: Ref("swap:" + c.UUID), On: []Ref{b.refOf(p)}, Size: p.Size, Was: p.Path, Also: b.f.alsoCalled(p), Layer: Layer{Swap: old}}})
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
		b.refuse("filesystem "+p.Path, "find out which of the two is wrong ("+fill(FSTypeOf(c.Type).Fixes.Look, "check the filesystem", p.Path, "")+", and the partition table) before anything is copied", "its superblock says %d bytes, its %s has %d", max(c.Size, c.Used), p.short(), p.Size)
		return
	}
	if FSTypeOf(c.Type).Part != "" && !b.subvolumes(p, c, s) {
		return
	}
	if p == b.root && s.Mount != "/" || p != b.root && s.Mount == "/" {
		b.refuse("filesystem "+p.Path, "fix the line in /etc/fstab", "fstab mounts it at %s, but %s is mounted at /", s.Mount, b.root.Path)
		return
	}
	b.srcs = append(b.srcs, source{vol: p, use: c, needed: c.Used + c.Used/10 + 64*mib + FSTypeOf(b.becomes(s.Mount, c.Type)).Extra,
		node: Node{Ref: Ref("fs:" + c.UUID), On: []Ref{b.refOf(p)}, Size: p.Size, Was: p.Path, Also: b.f.alsoCalled(p), Layer: Layer{FS: s}}})
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
	if c.Members > 1 {
		b.several(p, c)
		return true
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
		b.refuse(p.noun(), apart(err, "the other one", " ("+FSTypeOf(c.Type).identify("DEVICE")+", sgdisk -G DISK)"), "%v", err)
	}
	return err != nil
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

// remnants reports that nothing on a device is more than a ghost.
func (d *Device) remnants() bool {
	return !slices.ContainsFunc(d.Contents, func(c Content) bool { return !c.Ghost })
}

// refOf is the reference of a volume in the plan, "" where it has no identity.
func (b *builder) refOf(p *Device) Ref {
	if i := slices.Index(b.disks, p); i >= 0 {
		return Ref("disk:" + oldKey(i))
	}
	return b.f.refTo(p.Name)
}

// nameless refuses a volume that could not be found again.
func (b *builder) nameless(p *Device) {
	if p.Kind == KindPart {
		b.refuse(p.noun(), "re-read the table: partprobe /dev/"+p.Parent, "the kernel's view of it differs from the partition table on the disk")
		return
	}
	b.refuse(p.noun(), "pass --leave "+p.Path+" to leave it behind, or make it what `migrate-init inspect` understands", "it has no identity by which it could be found again")
}

// short is what a volume is, in one word.
func (d *Device) short() string {
	switch d.Kind {
	case KindPart:
		return "partition"
	case KindArray:
		return "array"
	case KindDisk:
		return "disk"
	}
	return "volume"
}
