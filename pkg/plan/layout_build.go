package plan

import "slices"

// build makes Target and Final of what was laid out: each source's volume is an array of which every member has a partition.
// Until finish, the slots of old disks are empty.
func (b *builder) build(places []place) {
	parts := make([][]Ref, len(places)) // by place and slot
	for i := range parts {
		parts[i] = make([]Ref, len(b.members))
	}
	var target, later Graph
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
	var arrays, whole, on, swaps Graph
	labels, node := b.f.inUse(TagLabel), b.nodes()
	for i, x := range places {
		if x.src == nil {
			continue
		}
		md := b.proto
		md.Name, md.Node = arrayName(b.f.Machine.Hostname, x.Name), node()
		a := Node{Ref: Ref("md:" + b.ids.array()), On: parts[i], Layer: Layer{MD: &md}}
		for range b.members {
			md.Devices = append(md.Devices, b.ids.array())
		}
		whole = append(whole, a)
		a.On = slices.Clone(a.On)
		for _, m := range b.members {
			if m.joins || m.waits {
				a.On[m.slot] = ""
			}
		}
		arrays = append(arrays, a)
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
