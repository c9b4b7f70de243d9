package plan

import (
	"slices"
	"strings"
)

// Ref names a node by its identity: a kind and what that kind is recognised by, such as "part:GUID" or "md:UUID". A disk
// has no identity of its own that fits; it is named by a key of the plan, "disk:old1", and found by its fields.
type Ref string

// ID is what follows the kind.
func (r Ref) ID() string {
	_, id, _ := strings.Cut(string(r), ":")
	return id
}

// Is reports whether two references name the same thing. GUIDs and UUIDs are compared without regard to case.
func (r Ref) Is(o Ref) bool { return r != "" && strings.EqualFold(string(r), string(o)) }

// Node is one layer of storage with its identity. On lists the layers below it in slot order; an empty one is a slot that
// nothing fills yet. Sizes are in bytes.
type Node struct {
	Ref  Ref    `toml:"ref" json:"ref"`
	On   []Ref  `toml:"on,omitempty" json:"on,omitempty"`
	Size int64  `toml:"size,omitempty" json:"size,omitempty"`
	Was  string `toml:"was,omitempty" json:"was,omitempty"` // its device node when the plan was made
	// Also are further names of a source when the plan was made, as fstab would spell them: links, labels, numbers.
	Also []string `toml:"also,omitempty" json:"also,omitempty"`
	Layer
}

// Lower is the one layer that a node lies on, "" where it lies on none or on several.
func (n *Node) Lower() Ref {
	if len(n.On) == 1 {
		return n.On[0]
	}
	return ""
}

// Graph lists nodes so that each comes after those it lies on.
type Graph []Node

// Node returns the node of a reference, or nil.
func (g Graph) Node(r Ref) *Node {
	for i := range g {
		if g[i].Ref.Is(r) {
			return &g[i]
		}
	}
	return nil
}

// only lists the nodes that a test holds for, in the graph's order.
func (g Graph) only(want func(*Node) bool) []*Node {
	var out []*Node
	for i := range g {
		if want(&g[i]) {
			out = append(out, &g[i])
		}
	}
	return out
}

// Above lists the nodes that lie directly on a reference.
func (g Graph) Above(r Ref) []*Node {
	return g.only(func(n *Node) bool { return slices.ContainsFunc(n.On, r.Is) })
}

// Over lists everything that lies on a reference, however many layers are between.
func (g Graph) Over(r Ref) []*Node {
	return g.only(func(n *Node) bool { return !n.Ref.Is(r) && g.Rests(n.Ref, r) })
}

// Rests reports whether a node is another, or lies on it, however many layers are between.
func (g Graph) Rests(r, on Ref) bool {
	return r.Is(on) || slices.ContainsFunc(g.reach(r), on.Is)
}

// reach lists the references that a node lies on. A graph that was seen may claim that a thing lies on itself (a member
// whose superblock names the array it is in): each is visited once.
func (g Graph) reach(r Ref) []Ref {
	var out []Ref
	for next := []Ref{r}; len(next) > 0; {
		n := g.Node(next[0])
		next = next[1:]
		if n == nil {
			continue
		}
		for _, o := range n.On {
			if o != "" && !slices.ContainsFunc(out, o.Is) {
				out, next = append(out, o), append(next, o)
			}
		}
	}
	return out
}

// Under lists everything that a node lies on, in the graph's order, without itself.
func (g Graph) Under(r Ref) []*Node {
	below := g.reach(r)
	return g.only(func(n *Node) bool { return !n.Ref.Is(r) && slices.ContainsFunc(below, n.Ref.Is) })
}

// Room is how many bytes a planned node offers to what lies on it, 0 for one that is not in the graph.
func (g Graph) Room(r Ref) int64 {
	n := g.Node(r)
	if n == nil {
		return 0
	}
	k, _ := kindOf(n)
	if k.room == nil {
		return n.Size
	}
	return k.room(g, n)
}

// A Slot is a place in a node that lies on several, and what fills it.
type Slot struct {
	Node   *Node // as it is in the later graph
	Index  int
	Member Ref
}

// A Change says how one graph becomes another: nodes that only the later one has, in its order; nodes that only the
// earlier one has; and slots that were empty and are filled.
type Change struct {
	New, Gone []*Node
	Fill      []Slot
}

// Diff compares two graphs by the references of their nodes.
func Diff(from, to Graph) Change {
	var c Change
	for i := range to {
		n, was := &to[i], from.Node(to[i].Ref)
		if was == nil {
			c.New = append(c.New, n)
			continue
		}
		for slot, r := range n.On {
			if r != "" && (slot >= len(was.On) || was.On[slot] == "") {
				c.Fill = append(c.Fill, Slot{n, slot, r})
			}
		}
	}
	c.Gone = from.only(func(n *Node) bool { return to.Node(n.Ref) == nil })
	return c
}
