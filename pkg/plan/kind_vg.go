package plan

import (
	"fmt"
	"slices"
	"strings"
)

// VG is an LVM volume group; the node's On are its physical volumes, in the order of its metadata.
type VG struct {
	Name   string   `toml:"name" json:"name"`
	Extent int64    `toml:"extent" json:"extent"` // bytes
	PVs    []string `toml:"pvs" json:"pvs"`       // the UUID of each physical volume
}

// pvStart is where LVM puts the first extent, in bytes; its default since 2.02.
const pvStart = mib

func vgKind() kind {
	return kind{
		name: "vg",
		set:  func(l *Layer) bool { return l.VG != nil },
		// A group has no device of its own: its volumes have.
		find: func(*Facts, *Node) (*Device, error) { return nil, nil },
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Groups {
				out = append(out, groupNode(f, &f.Groups[i]))
			}
			return out
		},
		overhead: func(_ *Node, size int64) int64 { return size + pvStart },
		room:     func(g Graph, n *Node) int64 { return max(0, g.Room(n.Lower())-pvStart) / lvExtent * lvExtent },
		validate: func(g Graph, n *Node) string {
			switch {
			case !lvmName(n.VG.Name):
				return fmt.Sprintf("volume group %q: LVM does not allow the name", n.VG.Name)
			case len(n.On) == 0 || len(n.VG.PVs) != len(n.On) || slices.Contains(n.On, ""):
				return fmt.Sprintf("volume group %s: %d physical volumes, %d identities", n.VG.Name, len(n.On), len(n.VG.PVs))
			case n.VG.Extent < 512 || n.VG.Extent&(n.VG.Extent-1) != 0:
				return fmt.Sprintf("volume group %s: extents of %d bytes", n.VG.Name, n.VG.Extent)
			}
			return ""
		},
		ids:    func(n *Node) []string { return n.VG.PVs },
		unique: uniqueVG,
		box:    func(n *Node) string { return "vg/" + n.VG.Name },
		called: func(n *Node) string { return "volume group " + n.VG.Name },
		whole:  func(n *Node) (string, string) { return "vg/" + n.VG.Name, "LVM volume group" },
	}
}

// groupNode describes a group as it was seen; the slot of a physical volume that is missing is empty.
func groupNode(f *Facts, g *VolumeGroup) Node {
	n := Node{Ref: Ref("vg:" + g.UUID), Layer: Layer{VG: &VG{Name: g.Name, Extent: g.Extent}}}
	for _, p := range g.PVs {
		on := Ref("")
		if p.Device != "" {
			on = f.refTo(p.Device)
		}
		n.On, n.VG.PVs = append(n.On, on), append(n.VG.PVs, p.UUID)
	}
	return n
}

// lvmName reports whether LVM allows a name (lib/misc/lvm-string.c).
func lvmName(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-"
	return s != "" && len(s) <= 127 && s[0] != '-' && s != "." && s != ".." && strings.Trim(s, allowed) == ""
}

// uniqueVG refuses a planned group whose name or identity another group has: LVM then activates neither.
func uniqueVG(p *Plan, f *Facts, n *Node, a *answers) {
	for i := range f.Groups {
		g := &f.Groups[i]
		if Ref("vg:" + g.UUID).Is(n.Ref) {
			for j, pv := range g.PVs {
				d, _ := f.Volume(p, at(n.On, j))
				if pv.Device != "" && (d == nil || d.Name != pv.Device) {
					a.refuse("planned volume group "+n.VG.Name, newIdentities, "/dev/%s is a physical volume of it already", pv.Device)
				}
			}
		} else if g.Name == n.VG.Name {
			a.refuse("planned volume group "+n.VG.Name, newIdentities, "another group (%s) has this name", g.UUID)
		}
	}
}

func at(refs []Ref, i int) Ref {
	if i < len(refs) {
		return refs[i]
	}
	return ""
}
