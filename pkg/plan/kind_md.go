package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MD is an md array; its slots are the node's On.
type MD struct {
	Name     string   `toml:"name" json:"name"` // "host:root"
	Node     string   `toml:"node" json:"node"` // the node that it gets while the migration runs: "md0"
	Level    int      `toml:"level" json:"level"`
	Metadata string   `toml:"metadata" json:"metadata"`               // version of the superblock: "1.2"
	Chunk    int64    `toml:"chunk,omitempty" json:"chunk,omitempty"` // bytes, of the levels that spread data over their members
	Bitmap   bool     `toml:"bitmap" json:"bitmap"`
	Devices  []string `toml:"devices" json:"devices"` // the device UUID of each slot, filled or not
}

// Short is the name without the host: "root".
func (m *MD) Short() string {
	if _, short, ok := strings.Cut(m.Name, ":"); ok {
		return short
	}
	return m.Name
}

// Path is the link by which people find the array in the running system. udev makes it of the line in mdadm.conf; which
// node it leads to (md0, md127) differs from boot to boot.
func (m *MD) Path() string { return "/dev/md/" + m.Short() }

func mdKind() kind {
	return kind{
		name: "md",
		set:  func(l *Layer) bool { return l.MD != nil },
		find: func(f *Facts, n *Node) (*Device, error) {
			if a := f.Array(n.Ref.ID()); a != nil && a.Node != "" {
				return f.Dev(a.Node), nil
			}
			return nil, nil
		},
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Arrays {
				out = append(out, arrayNode(f, &f.Arrays[i]))
			}
			return out
		},
		overhead: func(n *Node, size int64) int64 { return n.MD.member(len(n.On), size) },
		room:     roomMD,
		validate: validateMD,
		ids:      func(n *Node) []string { return n.MD.Devices },
		unique:   uniqueMD,
		box:      func(n *Node) string { return "md/" + n.MD.Short() + " " + n.marks() },
		called:   func(n *Node) string { return n.MD.Path() },
		whole:    func(n *Node) (string, string) { return n.MD.Path(), fmt.Sprintf("raid%d %s", n.MD.Level, n.marks()) },
	}
}

// Arrays lists the md arrays of a graph.
func (g Graph) Arrays() []*Node { return g.only(func(n *Node) bool { return n.MD != nil }) }

// arrayNode describes an array as it was seen: in its slots the members that its superblocks or the kernel count, and
// empty ones for those that are missing or out of date.
func arrayNode(f *Facts, a *Array) Node {
	n := Node{Ref: Ref("md:" + a.UUID), On: make([]Ref, min(max(a.Devices, 0), maxSlots)), Layer: Layer{MD: &MD{Name: a.Name, Node: a.Node, Level: levelOf(a.Level), Metadata: a.Metadata}}}
	if d := f.Dev(a.Node); a.Node != "" && d != nil {
		n.Size, n.Was = d.Size, d.Path
	}
	for _, m := range a.Members {
		if m.Role >= 0 && m.Role < len(n.On) && m.Stale == "" {
			n.On[m.Role] = f.refTo(m.Device)
		}
	}
	return n
}

// maxSlots bounds what a superblock may claim: version 1 has room for some 1920 roles (linux/raid/md_p.h).
const maxSlots = 1920

// levelOf reads a level as sysfs or a superblock spells it: "raid1", "1", "linear".
func levelOf(s string) int {
	if s == "linear" {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s, "raid"))
	if err != nil {
		return 0
	}
	return n
}

// roomMD is what an array offers on the smallest of its members.
func roomMD(g Graph, n *Node) int64 {
	least := int64(-1)
	for _, r := range n.On {
		if m := g.Node(r); m != nil && (least < 0 || g.Room(r) < least) {
			least = g.Room(r)
		}
	}
	return n.MD.data(len(n.On), max(0, least))
}

func validateMD(g Graph, n *Node) string {
	if len(n.On) < 1 || len(n.MD.Devices) != len(n.On) || !slices.ContainsFunc(n.On, func(r Ref) bool { return r != "" }) {
		return fmt.Sprintf("array %s: %d slots, %d member identities", n.Ref.ID(), len(n.On), len(n.MD.Devices))
	}
	r, ok := raidOf(n.MD.Level)
	present := make([]bool, len(n.On))
	for i, x := range n.On {
		present[i] = x != ""
	}
	switch {
	case !ok || len(n.On) < r.least:
		return fmt.Sprintf("array %s: raid%d of %d members", n.Ref.ID(), n.MD.Level, len(n.On))
	case !r.enough(present):
		return fmt.Sprintf("array %s: raid%d %s cannot be started", n.Ref.ID(), n.MD.Level, n.marks())
	case r.chunked && (n.MD.Chunk < 4*kib || n.MD.Chunk&(n.MD.Chunk-1) != 0) || !r.chunked && n.MD.Chunk != 0:
		return fmt.Sprintf("array %s: raid%d with chunks of %d bytes", n.Ref.ID(), n.MD.Level, n.MD.Chunk)
	}
	return ""
}

func uniqueMD(p *Plan, f *Facts, n *Node, a *answers) {
	arr := f.Array(n.Ref.ID())
	if arr == nil {
		return
	}
	whole := p.Final.Node(n.Ref)
	for _, m := range arr.Members {
		d := f.Dev(m.Device)
		planned := d != nil && d.GUID != "" && slices.ContainsFunc(slices.Concat(n.On, whole.slots()), Ref("part:"+d.GUID).Is)
		if !planned {
			a.refuse("planned array "+n.Ref.ID(), newIdentities, "/dev/%s is a member of it already", m.Device)
		}
	}
}

// slots are the layers below a node; no node has none.
func (n *Node) slots() []Ref {
	if n == nil {
		return nil
	}
	return n.On
}

// marks draws the slots of an array as /proc/mdstat does: [U_].
func (n *Node) marks() string {
	var b strings.Builder
	b.WriteByte('[')
	for _, m := range n.On {
		if m == "" {
			b.WriteByte('_')
		} else {
			b.WriteByte('U')
		}
	}
	b.WriteByte(']')
	return b.String()
}

// LevelModule is the kernel module that runs arrays of a RAID level (drivers/md/Makefile).
func LevelModule(level int) string {
	switch level {
	case -1:
		return "linear"
	case 4, 5, 6:
		return "raid456"
	}
	return fmt.Sprintf("raid%d", level)
}

// arrayName joins host and name as mdadm does: the superblock has room for 32 bytes, and a host too long is left out. One with
// other letters than a host name may have (hostname(7)) is left out too: some of its bytes may have been lost on the way here,
// and mdadm takes an array of "any" host for one of this host.
func arrayName(host, name string) string {
	short, _, _ := strings.Cut(host, ".")
	other := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	if short == "" || strings.ContainsFunc(short, other) {
		short = "any"
	}
	if len(short)+1+len(name) >= 32 {
		return name
	}
	return short + ":" + name
}
