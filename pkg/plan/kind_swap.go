package plan

// Swap is a swap area.
type Swap struct {
	Spec string `toml:"spec,omitempty" json:"spec,omitempty"` // of a source: what fstab calls it
}

func swapKind() kind {
	return kind{
		name: "swap",
		set:  func(l *Layer) bool { return l.Swap != nil },
		find: func(f *Facts, n *Node) (*Device, error) { return f.Swap(n.Ref.ID()) },
		see: func(f *Facts) []Node {
			return f.carrying((*Device).Swap, func(*Device, *Content) Layer { return Layer{Swap: &Swap{}} })
		},
		overhead: func(_ *Node, size int64) int64 { return size },
		room:     func(_ Graph, n *Node) int64 { return n.Size },
		validate: func(g Graph, n *Node) string {
			if g.Node(n.Lower()) == nil {
				return "swap " + n.Ref.ID() + ": it is on nothing of the plan"
			}
			return ""
		},
		ids: func(*Node) []string { return nil },
		unique: func(p *Plan, f *Facts, n *Node, a *answers) {
			d, err := f.Swap(n.Ref.ID())
			uniqueOn(p, f, n, "planned swap ", d, err, a)
		},
		called: func(*Node) string { return "swap" },
		box:    func(*Node) string { return "swap" },
	}
}

// Swaps lists the swap areas of a graph.
func (g Graph) Swaps() []*Node { return g.only(func(n *Node) bool { return n.Swap != nil }) }
