package plan

import (
	"slices"
	"sort"
)

// findSource finds the disks that the system lies on and everything on them that has to move.
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
	if !b.sourceDisks() {
		return
	}
	if fs := b.root.Filesystem(); fs != nil && !FSTypeOf(fs.Type).Movable {
		b.typed("/", fs.Type)
		return
	}
	w := b.f.climb(b.disks)
	if !slices.Contains(w.leaves, b.root) {
		b.refuse("root filesystem "+b.root.Path, "look at it with lsblk and wipefs "+b.root.Path, "it is %s, and yet others lie on it", kindWords(b.root.Kind))
		return
	}
	for _, d := range b.disks {
		b.f.refuseUnseen(d, &b.answers)
		b.cloned(d)
	}
	for _, n := range w.layers {
		if d := b.f.find(n); d != nil {
			b.f.refuseUnseen(d, &b.answers)
		}
	}
	left := b.leaves(w)
	for _, p := range w.leaves {
		b.addPart(p, left[p.Name])
	}
	b.sameTargets()
	b.elsewhere()
	b.p.Source = b.sourceGraph(w.seen)
	b.keyFiles()
}

// sourceGraph is what moves, with everything that it lies on, as it was seen, and the source disks: filesystems by their
// mount points, swap last. The disks get their keys.
func (b *builder) sourceGraph(seen Graph) Graph {
	keys := map[Ref]Ref{}
	for i, d := range b.disks {
		keys[b.f.refTo(d.Name)] = Ref("disk:" + oldKey(i))
	}
	var below, on, swaps Graph
	for _, s := range b.srcs {
		s.node.On = slices.Clone(s.node.On)
		for i, r := range s.node.On {
			if key, ok := keys[r]; ok {
				s.node.On[i] = key
			}
		}
		if s.node.FS != nil {
			on = append(on, s.node)
		} else {
			swaps = append(swaps, s.node)
		}
	}
	for _, n := range seen {
		key, disk := keys[n.Ref]
		if !disk && !slices.ContainsFunc(b.srcs, func(s source) bool { return seen.Rests(s.node.Lower(), n.Ref) }) {
			continue
		}
		if disk {
			n.Ref = key
		}
		n.On = slices.Clone(n.On)
		for i, r := range n.On {
			if key, ok := keys[r]; ok {
				n.On[i] = key
			}
		}
		below = append(below, n)
	}
	sort.SliceStable(on, func(i, j int) bool { return on[i].FS.Mount < on[j].FS.Mount })
	return slices.Concat(below.sorted(), on, swaps)
}

// sorted orders nodes so that each comes after those it lies on, and else as they were. Nodes that lie on each other in a
// circle stay behind the others, where validation finds them.
func (g Graph) sorted() Graph {
	out, left := Graph{}, slices.Clone(g)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(n Node) bool {
			return !slices.ContainsFunc(n.On, func(r Ref) bool { return r != "" && g.Node(r) != nil && out.Node(r) == nil })
		})
		if i < 0 {
			return append(out, left...)
		}
		out, left = append(out, left[i]), slices.Delete(left, i, i+1)
	}
	return out
}
