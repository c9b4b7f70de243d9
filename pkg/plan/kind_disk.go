package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Disk is a whole disk, how it is found again, and its partition table. Every non-empty field of serial number, WWN and
// bus address must agree, and so must the node's size.
type Disk struct {
	Serial string `toml:"serial,omitempty" json:"serial,omitempty"`
	WWN    string `toml:"wwn,omitempty" json:"wwn,omitempty"`
	Bus    string `toml:"bus,omitempty" json:"bus,omitempty"` // only when there is neither serial number nor WWN
	Sector int64  `toml:"sector" json:"sector"`
	ByID   string `toml:"by_id,omitempty" json:"by_id,omitempty"` // its link in /dev/disk/by-id, for files that name disks
	Scheme string `toml:"scheme" json:"scheme"`                   // "gpt" or "dos"
	Table  string `toml:"table" json:"table"`                     // the partition table's id
	Wipe   bool   `toml:"wipe,omitempty" json:"wipe,omitempty"`   // known signatures on it may be destroyed
}

func diskKind() kind {
	return kind{
		name: "disk",
		set:  func(l *Layer) bool { return l.Disk != nil },
		find: func(f *Facts, n *Node) (*Device, error) {
			return one(f, "disk "+n.Was, func(d *Device) bool { return n.Matches(d) })
		},
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Devices {
				if d := &f.Devices[i]; d.Kind == KindDisk {
					out = append(out, diskNode(d, d.Name))
				}
			}
			return out
		},
		overhead: func(_ *Node, size int64) int64 { return size },
		room:     func(_ Graph, n *Node) int64 { return n.Size },
		validate: validateDisk,
		ids:      func(n *Node) []string { return []string{n.Disk.Table} },
		unique:   uniqueTable,
		box:      func(*Node) string { return "" },
		called:   func(n *Node) string { return n.Was },
	}
}

// Disks lists the whole disks of a graph.
func (g Graph) Disks() []*Node { return g.only(func(n *Node) bool { return n.Disk != nil }) }

// DisksUnder lists the disks that a node lies on.
func (g Graph) DisksUnder(r Ref) []*Node {
	return slices.DeleteFunc(g.Under(r), func(n *Node) bool { return n.Disk == nil })
}

// diskNode describes a disk as it was seen.
func diskNode(d *Device, key string) Node {
	id := &Disk{Serial: d.Serial, WWN: d.WWN, Sector: d.Sector, ByID: d.ByID}
	if id.Serial == "" && id.WWN == "" {
		id.Bus = d.Bus
	}
	if d.Table != nil {
		id.Scheme, id.Table = d.Table.Scheme, d.Table.ID
	}
	return Node{Ref: Ref("disk:" + key), Size: d.Size, Was: d.Path, Layer: Layer{Disk: id}}
}

// Matches reports whether a device is the disk that a node means; no device is none.
func (n *Node) Matches(d *Device) bool {
	id := n.Disk
	if id == nil || d == nil || d.Kind != KindDisk || d.Size != n.Size || d.Serial != id.Serial || d.WWN != id.WWN {
		return false
	}
	return id.Bus == "" || id.Bus == d.Bus
}

// Identity tells people how a disk is recognised.
func (n *Node) Identity() string {
	by := func(what, v string) string {
		if v == "" {
			return ""
		}
		return what + " " + v
	}
	return joined(by("serial", n.Disk.Serial), by("WWN", n.Disk.WWN), by("bus address", n.Disk.Bus), fmt.Sprintf("%d bytes", n.Size))
}

// validateDisk looks at a disk that gets a table: its partitions must fit it, and not each other's places.
func validateDisk(g Graph, n *Node) string {
	if s := n.Disk.Sector; s < 512 || s > mib || s&(s-1) != 0 {
		return fmt.Sprintf("sectors of %d bytes", s)
	}
	parts := g.Parts(n.Ref)
	if len(parts) == 0 {
		return "no partitions"
	}
	var end int64
	numbers := map[int]bool{}
	for _, p := range slices.SortedFunc(slices.Values(parts), func(a, b *Node) int { return cmp.Compare(a.Part.Start, b.Part.Start) }) {
		if p.Part.Start <= 0 || p.Size <= 0 || p.Part.Start > math.MaxInt64-p.Size {
			return fmt.Sprintf("partition %d starts at byte %d and has %d", p.Part.Number, p.Part.Start, p.Size)
		}
		if p.Part.Number < 1 || numbers[p.Part.Number] {
			return fmt.Sprintf("partition %d: impossible, or two partitions have number %d", p.Part.Number, p.Part.Number)
		}
		numbers[p.Part.Number] = true
		if p.Part.Start < end {
			return fmt.Sprintf("partition %d starts at byte %d, where another has not ended", p.Part.Number, p.Part.Start)
		}
		end = p.Part.Start + p.Size
	}
	return ""
}

func uniqueTable(_ *Plan, f *Facts, n *Node, a *answers) {
	for i := range f.Devices {
		d := &f.Devices[i]
		if d.Table != nil && d.Kind != KindPart && strings.EqualFold(d.Table.ID, n.Disk.Table) && !n.Matches(d) {
			a.refuse("planned partition table "+n.Disk.Table, newIdentities, "it is already in use on %s", d.Path)
		}
	}
}
