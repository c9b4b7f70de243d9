package plan

import (
	"cmp"
	"slices"
)

// A place is a partition that every member has at the same place, and the source whose volume it carries a part of; nil for
// one of the layout's own.
type place struct {
	Part
	size int64
	src  *source
}

// member is how large each member's partition has to be, so that the volume on them has at least n bytes.
func (b *builder) member(n int64) int64 {
	return mdKind().overhead(&Node{On: make([]Ref, len(b.members)), Layer: Layer{MD: &b.proto}}, n)
}

// room is what a volume offers that lies on partitions of n bytes.
func (b *builder) room(n int64) int64 { return b.proto.data(len(b.members), n) }

// least is what a source's new volume has to hold.
func (b *builder) least(s source) int64 {
	if b.in.Engine == EngineExtent {
		return max(s.needed, s.use.Size)
	}
	return s.needed
}

// leastSwap is what is left of a swap area that gives room to filesystems.
func leastSwap(n int64) int64 { return max(n/2, min(n, 64*mib)) }

// places lays the members out: what the boot loader and the journal need, then each source in its old order.
func (b *builder) places() []place {
	var out []place
	names := b.taken() // the old system has to stay bootable beside the new disks
	add := func(role, name string, size int64, src *source) {
		out = append(out, place{Part: Part{Number: len(out) + 1, Role: role, Name: unique(names, name)}, size: size, src: src})
	}
	for _, r := range b.f.loader().Parts {
		add(r.Role, r.Name, r.Size, nil)
	}
	add(RoleJournal, "migrate-init journal", sizeJournal, nil)
	total := b.smallest().Size - endGap - mib
	for _, p := range out {
		total -= p.size
	}
	sizes := b.sizes(total)
	if sizes == nil {
		return nil
	}
	for i := range b.srcs {
		add(RoleRaid, b.srcs[i].name(), sizes[i], &b.srcs[i])
	}
	at := mib
	for i := range out {
		out[i].Start = at
		at += out[i].size
	}
	return out
}

// sizes gives each source the size of its partitions, of total bytes on each member: at first what it has now, and the largest
// filesystem all that is left. Where superblocks and journal leave a filesystem too small to be copied by its used blocks, it
// gets those few MiB from swap, which is made again anyway.
func (b *builder) sizes(total int64) []int64 {
	grow := b.largest()
	if grow < 0 {
		b.refuse("root filesystem", "add its line to /etc/fstab", "no filesystem is to be moved")
		return nil
	}
	out := make([]int64, len(b.srcs))
	left, give := total/mib*mib, int64(0)
	for i, s := range b.srcs {
		switch {
		case s.node.FS == nil:
			out[i] = b.member(s.vol.Size)
			give += out[i] - b.member(leastSwap(s.vol.Size))
		case i == grow:
			out[i] = b.member(b.least(s))
		default:
			out[i] = max((s.vol.Size+mib-1)/mib*mib, b.member(b.least(s)))
			if len(b.members) > 1 && b.proto.Chunk > 0 {
				out[i] = b.member(max(s.vol.Size, b.least(s)))
			}
		}
		left -= out[i]
	}
	if left+give < 0 {
		s := b.srcs[grow]
		b.refuse("target disk "+b.targets(), "use a larger disk, or free space on the old one",
			"too small: %s would get %s of its %s, but %s are used and %s are needed with margin", s.node.FS.Mount, size(max(0, out[grow]+left)), size(b.smallest().Size), size(s.node.FS.Used), size(out[grow]))
		return nil
	}
	for _, i := range b.byBlocks() {
		if more := b.member(b.srcs[i].use.Size) - out[i]; more > 0 && more <= left+give {
			out[i] += more
			left -= more
		}
	}
	for i, s := range b.srcs {
		if s.node.FS == nil && left < 0 {
			less := min(-left, out[i]-b.member(leastSwap(s.vol.Size)))
			out[i] -= less
			left += less
		}
	}
	out[grow] += left
	return out
}

// targets names the new disks.
func (b *builder) targets() string {
	var out []*Device
	for _, m := range b.members {
		if !m.joins {
			out = append(out, m.dev)
		}
	}
	return pathsOf(out)
}

// byBlocks are the sources that could be copied by their used blocks, the largest first.
func (b *builder) byBlocks() []int {
	var out []int
	for i, s := range b.srcs {
		if s.node.FS != nil && b.in.Engine != EngineTree && b.notByBlocks(s) == "" {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(x, y int) int { return cmp.Compare(b.srcs[y].vol.Size, b.srcs[x].vol.Size) })
	return out
}

// largest is the source with the largest filesystem's volume, -1 for none.
func (b *builder) largest() int {
	grow := -1
	for i, s := range b.srcs {
		if s.node.FS != nil && (grow < 0 || s.vol.Size > b.srcs[grow].vol.Size) {
			grow = i
		}
	}
	return grow
}
