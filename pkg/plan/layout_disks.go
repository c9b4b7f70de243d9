package plan

import (
	"slices"
	"strconv"
	"strings"
)

// newKey is the key of a new disk by its place in the list of --disk.
func newKey(i int) string { return "new" + strconv.Itoa(i+1) }

// newDisks are those that --disk names; none where one of them is refused.
func (b *builder) newDisks() []*Device {
	var out []*Device
	if len(b.in.Disks) == 0 {
		b.refuse("target disks", "name each new disk: --disk /dev/NAME", "none is named")
	}
	for _, name := range b.in.Disks {
		d := b.f.Dev(name)
		switch {
		case d == nil:
			b.refuse("target disk "+name, "`migrate-init inspect` lists the disks", "there is no such block device, or it cannot hold a system (a CD, RAM, the network)")
		case d.Kind != KindDisk:
			b.refuse("target disk "+d.Path, "name a whole disk", "it is %s", kindWords(d.Kind))
		case d.Remote != "":
			b.refuse("target disk "+d.Path, "name a local disk", "it is %s", d.Remote)
		case slices.Contains(out, d):
			b.refuse("target disk "+d.Path, "name each disk once", "it is named twice")
		case slices.Contains(b.disks, d):
			b.refuse("target disk "+d.Path, "name another disk", "it is the source disk")
		default:
			out = append(out, d)
		}
	}
	for _, w := range b.in.Wipe {
		if !slices.Contains(out, b.f.Dev(w)) && b.out.Err() == nil {
			b.refuse("--wipe "+w, "name the target disk itself: --wipe "+strings.ReplaceAll(pathsOf(out), ", ", " or --wipe "), "it is not a target disk of this plan")
		}
	}
	if b.out.Err() != nil {
		return nil
	}
	return out
}

// wipes reports whether what is known to be on a disk may be destroyed.
func (b *builder) wipes(d *Device) bool {
	return slices.ContainsFunc(b.in.Wipe, func(w string) bool { return b.f.Dev(w) == d })
}

// smallest is the member that decides how much of each one is used.
func (b *builder) smallest() *Device {
	least := b.members[0].dev
	for _, m := range b.members {
		if m.dev.Size < least.Size {
			least = m.dev
		}
	}
	return least
}

// sectors looks for what disks of different sectors, or sizes, mean.
func (b *builder) sectors() {
	old, least := b.disks[0], b.smallest()
	var big int64
	for _, m := range b.members {
		big = max(big, m.dev.Sector)
	}
	for _, m := range b.members {
		if m.dev.Sector != old.Sector {
			b.warn("target disk "+m.dev.Path, "", "its sectors have %d bytes, those of %s %d: the array uses the larger size", m.dev.Sector, old.Path, old.Sector)
		}
		if more := m.dev.Size - least.Size; !m.joins && more > max(least.Size/20, 64*mib) {
			b.warn("target disk "+m.dev.Path, "", "it is larger than %s: %s at its end stay unused, so that %s can be a member of the same arrays", least.Path, size(more), least.Path)
		}
	}
	for _, s := range b.srcs {
		if s.node.FS != nil && s.use.BlockSize > 0 && s.use.BlockSize < big {
			b.refuse("filesystem at "+s.node.FS.Mount, "use disks with sectors of 512 bytes", "its blocks (%d bytes) are smaller than the sectors (%d bytes)", s.use.BlockSize, big)
		}
	}
}
