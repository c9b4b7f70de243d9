package plan

import (
	"fmt"
	"strings"
)

// Roles of partitions.
const (
	RoleBIOSGrub = "bios_grub"
	RoleESP      = "esp"
	RoleJournal  = "journal"
	RoleOneShot  = "one-shot"
	RoleRaid     = "raid"
	RoleSwap     = "swap"
	RoleLinux    = "linux"
	RoleOther    = "other"
)

// JournalType is the type GUID of the journal's partition: ours alone, so that nothing else ever claims the partition.
const JournalType = "6d696772-6174-4e69-9469-6a6f75726e61"

// OneShotType is the type GUID of the partition whose block says what boots once; it is ours alone, too.
const OneShotType = "6d696772-6174-4e69-9469-6f6e6573686f"

// Part is a partition of the disk it lies on; Start is in bytes.
type Part struct {
	Number int    `toml:"number" json:"number"`
	Role   string `toml:"role" json:"role"`
	Name   string `toml:"name,omitempty" json:"name,omitempty"`
	Start  int64  `toml:"start" json:"start"`
}

func partKind() kind {
	return kind{
		name: "part",
		set:  func(l *Layer) bool { return l.Part != nil },
		find: func(f *Facts, n *Node) (*Device, error) { return f.PartByGUID(n.Ref.ID()) },
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Devices {
				if d := &f.Devices[i]; d.Kind == KindPart && d.GUID != "" {
					if disk := f.Dev(d.Parent); disk != nil {
						out = append(out, partNode(d, f.refTo(d.Parent), disk.Table))
					}
				}
			}
			return out
		},
		overhead: func(_ *Node, size int64) int64 { return size },
		room:     func(_ Graph, n *Node) int64 { return n.Size },
		validate: func(g Graph, n *Node) string {
			if d := g.Node(n.Lower()); d == nil || d.Disk == nil {
				return fmt.Sprintf("partition %s: it is on no disk of the plan", n.Ref.ID())
			}
			return ""
		},
		ids:    func(*Node) []string { return nil },
		unique: uniquePart,
		box:    func(*Node) string { return "" },
		called: func(n *Node) string { return fmt.Sprintf("partition %d", n.Part.Number) },
	}
}

// Parts lists the partitions of a disk.
func (g Graph) Parts(disk Ref) []*Node {
	return g.only(func(n *Node) bool { return n.Part != nil && n.Lower().Is(disk) })
}

// PartUnder is the first partition that a node lies on, itself when it is one; nil for none.
func (g Graph) PartUnder(r Ref) *Node {
	for i := range g {
		if g[i].Part != nil && g.Rests(r, g[i].Ref) {
			return &g[i]
		}
	}
	return nil
}

// partNode describes a partition as it was seen.
func partNode(d *Device, disk Ref, table *Table) Node {
	p := &Part{Number: d.Number, Start: d.Start, Role: roleIn(table, d.Number), Name: nameIn(table, d.Number)}
	return Node{Ref: Ref("part:" + d.GUID), On: []Ref{disk}, Size: d.Size, Was: d.Path, Layer: Layer{Part: p}}
}

func uniquePart(p *Plan, f *Facts, n *Node, a *answers) {
	d, err := f.PartByGUID(n.Ref.ID())
	if err != nil {
		a.refuse("planned partition "+n.Ref.ID(), newIdentities, "%v", err)
	} else if disk := p.Target.Node(n.Lower()); d != nil && disk != nil && !disk.Matches(f.DiskOf(d.Name)) {
		a.refuse("planned partition "+n.Ref.ID(), newIdentities, "it is already in use: %s", d.Path)
	}
}

// roleIn is the role that a table gives a partition, "" where it has none of the number.
func roleIn(t *Table, number int) string {
	for _, x := range t.partitions() {
		if x.Number == number {
			return x.Role
		}
	}
	return ""
}

// nameIn is the name that a table gives a partition.
func nameIn(t *Table, number int) string {
	for _, x := range t.partitions() {
		if x.Number == number {
			return x.Name
		}
	}
	return ""
}

// partName is a partition's name in its table.
func (f *Facts) partName(d *Device) string {
	if disk := f.DiskOf(d.Name); d.Kind == KindPart && disk != nil {
		return nameIn(disk.Table, d.Number)
	}
	return ""
}

// extended reports whether a partition only holds others (types 05, 0f and 85 of an MBR).
func extended(t *Table, number int) bool {
	for _, x := range t.partitions() {
		if x.Number == number && t.Scheme == "dos" {
			switch strings.ToLower(x.Type) {
			case "0x5", "0x05", "0xf", "0x0f", "0x85":
				return true
			}
		}
	}
	return false
}
