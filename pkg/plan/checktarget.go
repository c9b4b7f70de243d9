package plan

import (
	"fmt"
	"slices"
	"strings"
)

func checkTarget(p *Plan, f *Facts, a *answers) {
	for _, t := range p.NewDisks() {
		const fix = "connect the planned disk, or make a new plan"
		d, err := f.Disk(t)
		if err != nil {
			a.refuse("target disk "+t.Was, twins, "%v", err)
			continue
		}
		if d == nil {
			a.refuse("target disk "+t.Was, fix, "no disk with %s was found", t.Identity())
			continue
		}
		for _, s := range p.Source.Disks() {
			if s.Matches(d) {
				a.refuse("target disk "+d.Path, "name another disk", "it is the source disk")
			}
		}
		if d.Sector != t.Disk.Sector {
			a.refuse("target disk "+d.Path, "make a new plan", "its sectors have %d bytes, planned %d", d.Sector, t.Disk.Sector)
		}
		if d.ReadOnly {
			a.refuse("target disk "+d.Path, "make it writable (blockdev --setrw), or name another disk", "it is read-only")
		}
		if d.Removable {
			a.refuse("target disk "+d.Path, "name a fixed disk", "it is removable")
		}
		var end int64
		for _, n := range p.Target.Parts(t.Ref) {
			end = max(end, n.Part.Start+n.Size)
		}
		if end+endGap/2 > d.Size {
			a.refuse("target disk "+d.Path, "use a larger disk", "too small: the plan ends at byte %d, the disk at %d", end, d.Size)
		}
	}
}

// own reports whether a disk has the table that is planned for it.
func (p *Plan) own(d *Device) bool {
	for _, t := range p.NewDisks() {
		if t.Matches(d) {
			if d.Table != nil {
				return strings.EqualFold(d.Table.ID, t.Disk.Table)
			}
			// A power cut before the last sector of the table leaves our own header as a remnant.
			return slices.ContainsFunc(d.Contents, func(c Content) bool { return c.Kind == ContentTable && strings.EqualFold(c.UUID, t.Disk.Table) })
		}
	}
	return false
}

func (p *Plan) ownArray(uuid string) bool { return p.Target.Node(Ref("md:"+uuid)) != nil }

func checkUnused(p *Plan, f *Facts, a *answers) {
	for _, t := range p.NewDisks() {
		d, _ := f.Disk(t)
		if d == nil {
			continue
		}
		for _, x := range append(f.Parts(d.Name), d) {
			if len(x.MountedAt) > 0 {
				a.refuse("target disk "+d.Path, "umount "+x.MountedAt[0], "%s is mounted at %s", x.Path, strings.Join(x.MountedAt, ", "))
			}
			if x.Swapping {
				a.refuse("target disk "+d.Path, "swapoff "+x.Path, "%s is in use as swap", x.Path)
			}
			for _, h := range x.Holders {
				if arr := f.byNode(h); arr != nil && p.ownArray(arr.UUID) {
					checkOwnArray(f.Dev(h), a)
					continue
				}
				a.refuse("target disk "+d.Path, releaseHolder(f, h), "%s is held by /dev/%s", x.Path, h)
			}
			for _, c := range x.Contents {
				if at := f.shared(d, c); at != "" {
					a.refuse("target disk "+d.Path, "unmount or export it first, and take the disk out of it", "%s on %s belongs to what is mounted at %s", c.Type, x.Path, at)
				}
			}
		}
	}
}

// shared is where something is mounted that a signature on a disk may be a part of, "" for nowhere: a filesystem of
// several devices is mounted by one of them and holds the others unseen, and so does a pool.
func (f *Facts) shared(disk *Device, c Content) string {
	switch {
	case c.Ghost:
	case c.Kind == ContentFS && c.UUID != "":
		for i := range f.Devices {
			d := &f.Devices[i]
			if len(d.MountedAt) > 0 && f.DiskOf(d.Name) != disk && slices.ContainsFunc(d.Contents, func(o Content) bool { return o.Type == c.Type && o.UUID == c.UUID }) {
				return d.MountedAt[0] + " from " + d.Path
			}
		}
	case c.Kind == ContentZFS && c.Label != "":
		for _, m := range f.Mounts {
			if pool, _, _ := strings.Cut(m.Source, "/"); FSTypeOf(m.Type).Pool && pool == c.Label {
				return m.Target + " from pool " + pool
			}
		}
	}
	return ""
}

// checkOwnArray looks at an array of this plan that runs: udev may have assembled what an earlier run began.
func checkOwnArray(m *Device, a *answers) {
	switch {
	case m == nil:
	case slices.Contains(m.MountedAt, "/"):
		a.refuse("target array "+m.Path, "migrate-init status shows how far it is; then run finish or rollback", "the running system is on it: this plan was carried out")
	case len(m.MountedAt) > 0:
		a.refuse("target array "+m.Path, "umount "+m.MountedAt[0], "it is mounted at %s", strings.Join(m.MountedAt, ", "))
	case m.Swapping:
		a.refuse("target array "+m.Path, "swapoff "+m.Path, "it is in use as swap")
	}
}

func releaseHolder(f *Facts, h string) string {
	if arr := f.byNode(h); arr != nil {
		return "mdadm --stop /dev/" + h
	}
	return "lsblk and dmsetup ls show what it is; vgchange -an or cryptsetup close releases it"
}

func (f *Facts) byNode(node string) *Array {
	for i := range f.Arrays {
		if f.Arrays[i].Node == node {
			return &f.Arrays[i]
		}
	}
	return nil
}

// seenOn lists what is known to be on a disk and its partitions, remnants too.
func (f *Facts) seenOn(d *Device) []string {
	var seen []string
	for _, x := range append([]*Device{d}, f.Parts(d.Name)...) {
		for _, c := range x.Contents {
			words := fmt.Sprintf("%s: %s %s %s", x.Path, c.Type, c.Label, c.UUID)
			if c.Ghost {
				words += " (a remnant)"
			}
			seen = append(seen, strings.Join(strings.Fields(words), " "))
		}
	}
	if len(seen) == 0 && d.Table != nil {
		seen = []string{fmt.Sprintf("%s: partition table %s %s with %d partitions", d.Path, d.Table.Scheme, d.Table.ID, len(d.Table.Partitions))}
	}
	if parts := f.Parts(d.Name); len(seen) == 0 && len(parts) > 0 {
		seen = []string{fmt.Sprintf("%s: a partition table of another kind, with %d partitions", d.Path, len(parts))}
	}
	return seen
}

func checkEmpty(p *Plan, f *Facts, a *answers) {
	for _, t := range p.NewDisks() {
		d, _ := f.Disk(t)
		if d == nil || t.Disk.Wipe || p.own(d) {
			continue
		}
		seen := f.seenOn(d)
		if len(seen) > 0 {
			a.refuse("target disk "+d.Path, fmt.Sprintf("if nothing on it is wanted: migrate-init plan --to %s --disk %s --wipe %s", p.To, d.Path, d.Path), "it is not empty: %s", strings.Join(seen, "; "))
		} else if d.BootSector == "unknown" {
			a.warn("target disk "+d.Path, "look at it: hexdump -C -n 512 "+d.Path, "it holds nothing known, but its first sector is not empty")
		}
	}
}

// newIdentities is what helps where a planned identity is in use.
const newIdentities = "make a new plan, which has new identities, and find out where the duplicate comes from"

// checkUnique refuses when a planned identity is seen anywhere but where the plan puts it.
func checkUnique(p *Plan, f *Facts, a *answers) {
	if d, err := f.FS(p.Boot.BlockFS); p.Boot.Block != "" && (err != nil || d != nil && !strings.EqualFold(d.GUID, p.Boot.Block.ID())) {
		at := fmt.Sprint(err)
		if d != nil {
			at = d.Path
		}
		a.refuse("planned filesystem "+p.Boot.BlockFS, newIdentities, "it is already in use: %s", at)
	}
	for i := range p.Target {
		n := &p.Target[i]
		if n.Disk != nil && p.Source.Node(n.Ref) != nil {
			continue
		}
		if k, ok := kindOf(n); ok {
			k.unique(p, f, n, a)
		}
	}
}

// sameName reports whether two arrays would want one /dev/md/NAME here: a name without a host is at home everywhere.
func sameName(have, want string) bool {
	if have == "" || have == want {
		return have != ""
	}
	_, short, ok := strings.Cut(want, ":")
	return ok && have == short
}

func checkArrayName(p *Plan, f *Facts, a *answers) {
	for _, n := range p.Target.Arrays() {
		for _, arr := range f.Arrays {
			if sameName(arr.Name, n.MD.Name) && arr.UUID != n.Ref.ID() && !p.ownArray(arr.UUID) && !p.sacrificed(f, arr) {
				a.refuse("array name "+n.MD.Name, "rename or wipe the other array: mdadm --zero-superblock on its members", "array %s (%s) already has this name", arr.UUID, strings.Join(arr.names(), ", "))
			}
		}
	}
}

// sacrificed reports whether every member of an array lies on a target disk whose contents may be destroyed.
func (p *Plan) sacrificed(f *Facts, arr Array) bool {
	return len(arr.Members) > 0 && !slices.ContainsFunc(arr.Members, func(m Member) bool {
		d := f.DiskOf(m.Device)
		return d == nil || !slices.ContainsFunc(p.NewDisks(), func(t *Node) bool { return t.Disk.Wipe && t.Matches(d) })
	})
}

func (r *Array) names() []string {
	var out []string
	for _, m := range r.Members {
		out = append(out, "/dev/"+m.Device)
	}
	return out
}
