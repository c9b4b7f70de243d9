package plan

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// needed are the places that the copied system's own tools run from and write to while it is rebuilt.
func (f *Facts) needed() []string {
	out := []string{"/usr/sbin", "/usr/lib/modules", "/lib/modules", "/etc", "/boot"}
	if f.Boot.Config != "" {
		out = append(out, path.Dir(f.Boot.Config))
	}
	return append(out, f.Rules.Family(f.Distro.Family).State...)
}

// holdsNeeded reports whether a mount point hides a place that the copied system needs.
func (f *Facts) holdsNeeded(target string) bool {
	return path.IsAbs(target) && slices.ContainsFunc(f.needed(), func(n string) bool { return within(n, target) })
}

// system returns the needed directory a partition is mounted over, "" when it is none.
func (f *Facts) system(p *Device, tab *Fstab) string {
	at := slices.Clone(p.MountedAt)
	if tab != nil {
		at = append(at, path.Clean(tab.Target))
	}
	for _, t := range at {
		if f.holdsNeeded(t) {
			return t
		}
	}
	return ""
}

// A needer is a mount that the system needs: where, the device that is mounted there, and what to call it.
type needer struct{ target, dev, what string }

// needers lists the mounts of fstab and of the running system that hide a place which the copied system needs.
func (f *Facts) needers() []needer {
	var out []needer
	add := func(target, dev, what string) {
		if target != "/" && f.holdsNeeded(target) {
			out = append(out, needer{target, dev, what})
		}
	}
	for _, e := range f.Fstab {
		if path.IsAbs(e.Target) && !option(e.Options, "noauto") {
			dev := e.Device
			if e.bind() {
				dev = ""
			}
			add(path.Clean(e.Target), dev, e.Spec)
		}
	}
	for _, m := range f.Mounts {
		if m.Type == "autofs" {
			continue // only what it mounts counts
		}
		dev, what := m.Device, m.Source
		if dev != "" {
			what = "/dev/" + dev
		}
		if m.Root != "" && m.Root != "/" && !f.subvolumeMount(&m) {
			dev, what = "", m.Root+" of "+what
		}
		add(m.Target, dev, what)
	}
	return out
}

// sourceDisks finds the disks under the root and under every directory that the system needs, and those that share a layer
// with them. It reports whether there are any that can be used.
func (b *builder) sourceDisks() bool {
	in := map[string]bool{}
	add := func(d *Device) bool {
		under := b.f.disksUnder(d)
		for _, x := range under {
			in[x.Name] = true
		}
		return len(under) > 0
	}
	if !add(b.root) {
		b.rootless()
		return false
	}
	for _, n := range b.f.needers() {
		if d := b.f.Dev(n.dev); d != nil && n.dev != "" {
			add(d)
		}
	}
	for i := range b.f.Devices {
		if in[b.f.Devices[i].Name] {
			b.disks = append(b.disks, &b.f.Devices[i])
		}
	}
	b.disks = b.f.spread(b.disks)
	ok := true
	for _, d := range b.disks {
		switch {
		case d.Table == nil && len(b.f.Parts(d.Name)) > 0:
			noun := "source disk " + d.Path
			if d == b.f.DiskOf(b.root.Name) {
				noun = "root filesystem " + b.root.Path
			}
			b.refuse(noun, "run as root, and check the partition table: sfdisk --verify", "the partition table of its disk cannot be read")
			ok = false
		case d.Remote != "":
			b.refuse("source disk "+d.Path, "this version only moves local disks", "it is %s", d.Remote)
			ok = false
		}
	}
	for _, t := range b.in.Disks {
		if d := b.f.Dev(t); d != nil && d.Kind == KindDisk && len(b.disks) > 1 && b.source(d.Name) {
			b.refuse("target disk "+d.Path, "name a disk that the system does not use: `migrate-init inspect` lists the disks"+b.f.leaving(d), "it is a source disk: %s", b.whySource(d))
			ok = false
		}
	}
	return ok
}

// cloned refuses a source disk whose partitions have the identities of another's: a table that was copied from disk to disk, as
// is often done for the members of an array, takes them along.
func (b *builder) cloned(d *Device) {
	for _, x := range b.f.Parts(d.Name) {
		if x.GUID == "" {
			continue
		}
		if _, err := b.f.PartByGUID(x.GUID); err != nil {
			fix := "sgdisk -G " + d.Path
			if d.Table != nil && d.Table.Scheme == "dos" {
				fix = "sfdisk --disk-id " + d.Path + " 0xNUMBER"
			}
			b.refuse("partition table of "+d.Path, "give one of the disks another identity, and look for what names its partitions by PARTUUID: "+fix, "%v", err)
			return
		}
	}
}

// whySource says why a disk is one of the sources.
func (b *builder) whySource(d *Device) string {
	w := b.f.climb([]*Device{d})
	for _, n := range w.layers {
		if under := w.seen.DisksUnder(n.Ref); len(under) > 1 {
			return n.seenAs() + " is on it"
		}
	}
	return "the system has directories on it"
}

// leaving says how a disk leaves the mirrors that it is a member of, "" where it holds anything else.
func (f *Facts) leaving(d *Device) string {
	var out []string
	for _, n := range f.climb([]*Device{d}).layers {
		a := f.Array(n.Ref.ID())
		if n.MD == nil || a == nil || n.MD.Level != 1 || len(a.Members) < 2 {
			return ""
		}
		for _, m := range a.Members {
			if x := f.Dev(m.Device); x != nil && f.DiskOf(x.Name) == d {
				out = append(out, fmt.Sprintf("mdadm %s --fail %s --remove %s", n.Was, x.Path, x.Path))
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "; or take it out of its mirrors, which are without redundancy then: " + strings.Join(out, "; ") + "; and pass --wipe " + d.Path
}

// seenAs names a layer that was seen, for people: by its device where it has one.
func (n *Node) seenAs() string {
	if n.Was != "" {
		return n.Was
	}
	return string(n.Ref)
}

// rootless refuses a root whose disks are not known.
func (b *builder) rootless() {
	noun := "root filesystem " + b.root.Path
	switch kind := b.root.Kind; {
	case kind == KindArray:
		b.refuse(noun, "this version moves arrays with metadata 0.90, 1.0, 1.1 and 1.2: mdadm --detail "+b.root.Path,
			"it lies on an md array whose members carry no superblock of md's own (firmware RAID, or an array without superblocks)")
	case kind == KindDM && b.f.withoutHeader() != "":
		b.refuse(noun, "move the data to a LUKS container, or to a plain volume", "%s", b.f.withoutHeader())
	case kind == KindDM:
		b.refuse(noun, "this version moves a root on partitions, disks, md arrays and the mappings that `migrate-init inspect` understands: dmsetup table "+b.root.Path,
			"it lies on %s that is not understood", kindWords(b.root.Kind))
	default:
		b.refuse(noun, "this version moves a root on local disks", "it lies on %s", kindWords(b.root.Kind))
	}
}

// elsewhere refuses a system whose own directories lie where they would be neither copied nor there while the copy is
// rebuilt: behind a bind mount, or on something that is not a source disk, such as the network.
func (b *builder) elsewhere() {
	said := map[string]bool{}
	for _, n := range b.f.needers() {
		d := b.f.Dev(n.dev)
		moved := slices.ContainsFunc(b.srcs, func(s source) bool { return s.vol == d })
		ours := n.dev != "" && d != nil && b.onSources(d)
		if said[n.target] || moved || ours && b.out.Err() != nil { // the volume itself was refused
			continue
		}
		said[n.target] = true
		b.refuse("directory "+n.target, "this version moves a system whose /usr, /var, /etc and /boot are on local disks, arrays or volumes, each mounted from its own device",
			"%s is mounted there, which is not a volume of %s that is moved", n.what, pathsOf(b.disks))
	}
}

// onSources reports whether a device lies on source disks alone.
func (b *builder) onSources(d *Device) bool {
	under := b.f.disksUnder(d)
	return len(under) > 0 && !slices.ContainsFunc(under, func(x *Device) bool { return !b.source(x.Name) })
}

func pathsOf(ds []*Device) string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Path)
	}
	return strings.Join(out, ", ")
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

// noun names a volume in a finding.
func (d *Device) noun() string {
	switch d.Kind {
	case KindPart:
		return "partition " + d.Path
	case KindArray:
		return "array " + d.Path
	case KindDisk:
		return "disk " + d.Path
	}
	return "volume " + d.Path
}
