package plan

import (
	"path"
	"strings"
)

// FS is a filesystem: of the source as it was found, of the target as it is made.
type FS struct {
	Type  string `toml:"type" json:"type"`
	Label string `toml:"label,omitempty" json:"label,omitempty"`
	Mount string `toml:"mount" json:"mount"`
	// Of a source.
	Spec string `toml:"spec,omitempty" json:"spec,omitempty"` // what fstab calls it
	Used int64  `toml:"used,omitempty" json:"used,omitempty"`
	// Of both, where a filesystem has parts that are mounted by themselves.
	Subvols        []Subvol `toml:"subvol,omitempty" json:"subvols,omitempty"`
	Default        string   `toml:"default_subvol,omitempty" json:"default_subvol,omitempty"` // what a mount without an option shows; "" for all of it
	LeaveSnapshots bool     `toml:"leave_snapshots,omitempty" json:"leave_snapshots,omitempty"`
	Options        string   `toml:"options,omitempty" json:"options,omitempty"` // with which its files are written, as fstab has them
	// Of a target.
	Features  []string `toml:"features,omitempty" json:"features,omitempty"`
	BlockSize int64    `toml:"block_size,omitempty" json:"block_size,omitempty"`
	InodeSize int64    `toml:"inode_size,omitempty" json:"inode_size,omitempty"`
	Inodes    int64    `toml:"inodes,omitempty" json:"inodes,omitempty"`
	HashSeed  string   `toml:"hash_seed,omitempty" json:"hash_seed,omitempty"`
	NodeSize  int64    `toml:"node_size,omitempty" json:"node_size,omitempty"`
	Checksum  string   `toml:"checksum,omitempty" json:"checksum,omitempty"`
	// Tools is the version of the package that makes it, which decides what can be said to it; "" where it is not known.
	Tools string `toml:"tools,omitempty" json:"tools,omitempty"`
}

func fsKind() kind {
	return kind{
		name: "fs",
		set:  func(l *Layer) bool { return l.FS != nil },
		// What it lies on is asked by the layer below; here the question is what carries the UUID.
		find: func(f *Facts, n *Node) (*Device, error) { return f.FS(n.Ref.ID()) },
		see: func(f *Facts) []Node {
			return f.carrying((*Device).Filesystem, func(d *Device, c *Content) Layer {
				fs := &FS{Type: c.Type, Label: c.Label, Used: c.Used}
				if len(d.MountedAt) > 0 {
					fs.Mount = d.MountedAt[0]
				}
				return Layer{FS: fs}
			})
		},
		overhead: func(_ *Node, size int64) int64 { return size },
		room:     func(_ Graph, n *Node) int64 { return n.Size },
		validate: func(g Graph, n *Node) string {
			if g.Node(n.Lower()) == nil {
				return "filesystem " + n.Ref.ID() + ": it is on nothing of the plan"
			}
			for _, x := range n.FS.Places() {
				if !strings.HasPrefix(x.Dir, "/") || path.Clean("/"+x.Subvol) != "/"+x.Subvol {
					return "filesystem " + n.Ref.ID() + ": it is mounted nowhere"
				}
			}
			return ""
		},
		ids: func(*Node) []string { return nil },
		unique: func(p *Plan, f *Facts, n *Node, a *answers) {
			d, err := f.FS(n.Ref.ID())
			uniqueOn(p, f, n, "planned filesystem ", d, err, a)
		},
		called: func(n *Node) string { return n.FS.Mount },
		box:    func(n *Node) string { return n.FS.Type + " " + n.FS.dirs() },
	}
}

// Filesystems lists the filesystems of a graph.
func (g Graph) Filesystems() []*Node { return g.only(func(n *Node) bool { return n.FS != nil }) }

// MountedAt returns the filesystem that a graph mounts at a directory, or nil.
func (g Graph) MountedAt(dir string) *Node {
	return g.PlaceAt(dir).Node
}

// dirs are the directories at which it is mounted.
func (fs *FS) dirs() string {
	var out []string
	for _, x := range fs.Places() {
		out = append(out, x.Dir)
	}
	return strings.Join(out, " ")
}

// carrying lists a node for each device on which one content of a kind was found, that has a UUID.
func (f *Facts) carrying(content func(*Device) *Content, layer func(*Device, *Content) Layer) []Node {
	var out []Node
	for i := range f.Devices {
		d := &f.Devices[i]
		c := content(d)
		if c == nil || c.UUID == "" {
			continue
		}
		n := Node{Size: d.Size, Was: d.Path, Layer: layer(d, c)}
		k, _ := kindOf(&n)
		n.Ref = Ref(k.name + ":" + c.UUID)
		if on := f.refTo(d.Name); on != "" {
			n.On = []Ref{on}
		}
		out = append(out, n)
	}
	return out
}

// uniqueOn refuses a planned identity that is carried by another device than the planned one, or by several.
func uniqueOn(p *Plan, f *Facts, n *Node, noun string, d *Device, err error, a *answers) {
	if err != nil {
		a.refuse(noun+n.Ref.ID(), newIdentities, "%v", err)
	} else if v, _ := f.Volume(p, n.Lower()); d != nil && d != v {
		a.refuse(noun+n.Ref.ID(), newIdentities, "it is already in use on %s", d.Path)
	}
}
