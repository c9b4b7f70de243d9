package plan

// Layer is what a node is: exactly one field is set. A new kind of layer is a field here, a row in kinds, and a file of
// its own here and in each room that looks at it, makes it or packs what it needs.
type Layer struct {
	Disk *Disk `toml:"disk,omitempty" json:"disk,omitempty"`
	Part *Part `toml:"part,omitempty" json:"part,omitempty"`
	MD   *MD   `toml:"md,omitempty" json:"md,omitempty"`
	LUKS *LUKS `toml:"luks,omitempty" json:"luks,omitempty"`
	VG   *VG   `toml:"vg,omitempty" json:"vg,omitempty"`
	LV   *LV   `toml:"lv,omitempty" json:"lv,omitempty"`
	FS   *FS   `toml:"fs,omitempty" json:"fs,omitempty"`
	Swap *Swap `toml:"swap,omitempty" json:"swap,omitempty"`
}

// kind is a row of the table of layers.
type kind struct {
	name string // what a Ref of it begins with
	set  func(*Layer) bool
	// see lists the nodes of the kind that facts show.
	see func(f *Facts) []Node
	// find returns the device that a node is on this machine now: nil when it is not there (or does not run), an
	// AmbiguousError when several are.
	find func(f *Facts, n *Node) (*Device, error)
	// overhead is how large each layer below has to be, so that a node like this one offers size bytes.
	overhead func(n *Node, size int64) int64
	// room is how many bytes a planned node offers to what lies on it.
	room func(g Graph, n *Node) int64
	// validate says what is impossible in a planned node of the graph, "" for nothing.
	validate func(g Graph, n *Node) string
	// ids are the identities that making it writes beside the one in its Ref.
	ids func(n *Node) []string
	// unique refuses when the identity of a planned node is already in use elsewhere.
	unique func(p *Plan, f *Facts, n *Node, a *answers)
	// box describes it in the picture of a partition it lies on, "" for not at all.
	box func(n *Node) string
	// called is what people call a node, without saying what it is: "/var", "/dev/vda".
	called func(n *Node) string
	// whole describes a node that gathers several others, as it is after finish: a label and what it is; nil for none.
	whole func(n *Node) (label, text string)
}

// kinds is every kind of layer, the lowest first.
func kinds() []kind {
	return []kind{diskKind(), partKind(), mdKind(), luksKind(), vgKind(), lvKind(), fsKind(), swapKind()}
}

// kindOf returns the row of a node; ok is false where none or several fields are set, or the Ref is of another kind.
func kindOf(n *Node) (k kind, ok bool) {
	found := 0
	for _, x := range kinds() {
		if x.set(&n.Layer) {
			k, found = x, found+1
		}
	}
	return k, found == 1 && len(n.Ref) > len(k.name)+1 && string(n.Ref[:len(k.name)+1]) == k.name+":"
}

// Called is what people call a node of a plan: a mount point, a device, an array's name.
func (n *Node) Called() string {
	if k, ok := kindOf(n); ok && k.called != nil {
		return k.called(n)
	}
	return string(n.Ref)
}

// Type is the row of the table of filesystem types that a filesystem or swap area has, by its name.
func (n *Node) Type() string {
	if n.FS != nil {
		return n.FS.Type
	}
	return SwapType
}

// what names the kind of a filesystem or swap area to people.
func (n *Node) what() string {
	if n.FS != nil {
		return "filesystem"
	}
	k, _ := kindOf(n)
	return k.name
}
