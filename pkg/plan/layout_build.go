package plan

import "slices"

// partitions gives each member its table: the references of its partitions, by place and slot, and the nodes of the disks that are
// there from the start and of those that join later.
func (b *builder) partitions(places []place) (parts [][]Ref, target, later Graph) {
	parts = make([][]Ref, len(places))
	for i := range parts {
		parts[i] = make([]Ref, len(b.members))
	}
	for k := range b.members {
		m := &b.members[k]
		m.disk.Disk.Scheme, m.disk.Disk.Table = "gpt", b.ids.uuid()
		if m.joins {
			m.disk.Disk.Wipe = true
		}
		g := Graph{m.disk}
		for i, x := range places {
			part := x.Part
			n := Node{Ref: Ref("part:" + b.ids.uuid()), On: []Ref{m.disk.Ref}, Size: x.size, Layer: Layer{Part: &part}}
			parts[i][m.slot] = n.Ref
			g = append(g, n)
			if part.Role == RoleJournal && k == 0 {
				b.p.Journal = n.Ref
			}
		}
		if m.joins {
			later = append(later, g...)
		} else {
			target = append(target, g...)
		}
	}
	return parts, target, later
}

// array is the array on the partitions of a place: as it is before finish, and whole.
func (b *builder) array(x place, parts []Ref, node func() string) (now, whole Node) {
	md := b.proto
	md.Name, md.Node = arrayName(b.f.Machine.Hostname, x.Name), node()
	a := Node{Ref: Ref("md:" + b.ids.array()), On: parts, Layer: Layer{MD: &md}}
	for range b.members {
		md.Devices = append(md.Devices, b.ids.array())
	}
	now = a
	now.On = b.untilFinish(a.On)
	return now, a
}

// untilFinish are the slots of an array or pool with those empty that are filled later.
func (b *builder) untilFinish(on []Ref) []Ref {
	out := slices.Clone(on)
	for _, m := range b.members {
		if m.joins || m.waits {
			out[m.slot] = ""
		}
	}
	return out
}

// build makes Target and Final of what was laid out: each source's volume is an array of which every member has a partition.
// Until finish, the slots of old disks are empty.
func (b *builder) build(places []place) {
	parts, target, later := b.partitions(places)
	var arrays, whole, on, swaps Graph
	labels, node := b.f.inUse(TagLabel), b.nodes()
	for i, x := range places {
		if x.src == nil {
			continue
		}
		a, full := b.array(x, parts[i], node)
		arrays, whole = append(arrays, a), append(whole, full)
		n := b.successor(x.src, a.Ref, b.room(x.size), labels)
		if n.FS != nil {
			on = append(on, n)
		} else {
			swaps = append(swaps, n)
		}
	}
	b.p.Target = slices.Concat(target, arrays, on, swaps)
	b.p.Final = slices.Concat(target, later, whole, on, swaps)
}
