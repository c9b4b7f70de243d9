package plan

import "fmt"

// LV is a logical volume of the group that it lies on.
type LV struct {
	Name  string `toml:"name" json:"name"`
	Group string `toml:"group" json:"group"` // name of the group, for people and for its device's name
	Type  string `toml:"type" json:"type"`   // of its segments: "linear", "striped", "mirror", "raid1"
}

// Path is the link by which people find the volume in the running system.
func (l *LV) Path() string { return "/dev/" + l.Group + "/" + l.Name }

func lvKind() kind {
	return kind{
		name: "lv",
		set:  func(l *Layer) bool { return l.LV != nil },
		find: func(f *Facts, n *Node) (*Device, error) {
			v := f.Group(n.Lower().ID()).Volume(n.Ref.ID())
			if v == nil || v.Node == "" {
				return nil, nil
			}
			return f.Dev(v.Node), nil
		},
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Groups {
				g := &f.Groups[i]
				for _, v := range g.Volumes {
					n := Node{Ref: Ref("lv:" + v.UUID), On: []Ref{Ref("vg:" + g.UUID)}, Size: v.Size, Layer: Layer{LV: &LV{Name: v.Name, Group: g.Name, Type: v.Type}}}
					if d := f.Dev(v.Node); v.Node != "" && d != nil {
						n.Was = d.Path
					}
					out = append(out, n)
				}
			}
			return out
		},
		overhead: func(_ *Node, size int64) int64 { return (size + lvExtent - 1) / lvExtent * lvExtent },
		room:     func(_ Graph, n *Node) int64 { return n.Size },
		validate: func(g Graph, n *Node) string {
			vg := g.Node(n.Lower())
			switch {
			case vg == nil || vg.VG == nil:
				return fmt.Sprintf("logical volume %s: it is in no volume group of the plan", n.LV.Name)
			case !lvmName(n.LV.Name) || n.LV.Group != vg.VG.Name:
				return fmt.Sprintf("logical volume %q of group %q: LVM does not allow the name", n.LV.Name, n.LV.Group)
			case n.Size <= 0 || n.Size%vg.VG.Extent != 0:
				return fmt.Sprintf("logical volume %s: %d bytes are not whole extents of %d", n.LV.Name, n.Size, vg.VG.Extent)
			}
			return ""
		},
		ids:    func(*Node) []string { return nil },
		unique: func(*Plan, *Facts, *Node, *answers) {}, // its group is unique, and names are unique in a group
		box:    func(n *Node) string { return "lv/" + n.LV.Name },
		called: func(n *Node) string { return n.LV.Path() },
	}
}

// lvExtent is the size of the extents of a planned group, LVM's default.
const lvExtent = 4 * mib
