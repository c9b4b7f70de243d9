package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Pool is a ZFS pool with one top-level vdev; the node's On are that vdev's devices. The kernel gives a pool its GUID when it is
// created. What is planned is its comment, the digits of the node's UUID, which are in each label.
type Pool struct {
	Name       string   `toml:"name" json:"name"`
	Type       string   `toml:"type" json:"type"` // of the vdev: "mirror", "raidz1" ...
	Ashift     int      `toml:"ashift" json:"ashift"`
	Properties []string `toml:"properties,omitempty" json:"properties,omitempty"` // of the pool, NAME=VALUE
	Options    []string `toml:"options,omitempty" json:"options,omitempty"`       // of its top dataset, which the others inherit
	// HostID is that of the machine, eight hexadecimal digits, in the image and in the new system alike. NewHostID says that the old
	// system has none.
	HostID    string `toml:"host_id" json:"host_id"`
	NewHostID bool   `toml:"new_host_id,omitempty" json:"new_host_id,omitempty"`
}

// poolComment is the property by which a planned pool is found: 32 digits, the most that the property holds.
func poolComment(r Ref) string { return strings.ReplaceAll(strings.ToLower(r.ID()), "-", "") }

// Comment is the property by which a planned pool is found.
func (n *Node) Comment() string { return poolComment(n.Ref) }

func poolKind() kind {
	return kind{
		name: "pool",
		set:  func(l *Layer) bool { return l.Pool != nil },
		// A pool has no device: what is in it has.
		find: func(*Facts, *Node) (*Device, error) { return nil, nil },
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Pools {
				out = append(out, poolNode(f, &f.Pools[i]))
			}
			return out
		},
		overhead: func(n *Node, size int64) int64 { return poolMember(n.Pool.Type, len(n.On), size) },
		room:     roomPool,
		validate: validatePool,
		ids:      func(*Node) []string { return nil },
		unique:   uniquePool,
		box:      func(n *Node) string { return "zfs " + n.Pool.Name + " " + n.marks() },
		called:   func(n *Node) string { return "pool " + n.Pool.Name },
		whole:    func(n *Node) (string, string) { return "pool " + n.Pool.Name, n.Pool.Type + " " + n.marks() },
	}
}

// Pools lists the pools of a graph.
func (g Graph) Pools() []*Node { return g.only(func(n *Node) bool { return n.Pool != nil }) }

// poolNode describes a pool as it was seen. Its name stands for it where it is not a planned one.
func poolNode(f *Facts, p *StoragePool) Node {
	n := Node{Ref: Ref("pool:" + p.GUID), Layer: Layer{Pool: &Pool{Name: p.Name, HostID: p.HostID}}}
	for _, m := range p.Members {
		if r := f.refTo(m.Device); r != "" && !slices.Contains(n.On, r) {
			n.On = append(n.On, r)
		}
	}
	return n
}

// A vdev type is a row: how many of its devices hold data, and which may be missing.
type vdevType struct {
	name   string
	parity int // devices of parity; -1 for a mirror
}

func vdevTypes() []vdevType {
	return []vdevType{{"mirror", -1}, {"raidz1", 1}, {"raidz2", 2}, {"raidz3", 3}}
}

func vdevOf(name string) (vdevType, bool) {
	i := slices.IndexFunc(vdevTypes(), func(v vdevType) bool { return v.name == name })
	if i < 0 {
		return vdevType{}, false
	}
	return vdevTypes()[i], true
}

// holds is how many devices' worth of data a vdev of n devices has.
func (v vdevType) holds(n int) int {
	if v.parity < 0 {
		return 1
	}
	return max(0, n-v.parity)
}

// raid is what a vdev is to a layout, which asks about members as it does for an array.
func (v vdevType) raid() raid {
	if v.parity < 0 {
		r, _ := raidOf(1)
		return r
	}
	// GRUB does not read it: /boot lies on a mirror of its own.
	return raid{least: v.parity + 2, boots: mostMembers, halves: func(n int) int64 { return 2 * int64(n-v.parity) }, after: inOrder, wait: func(int) int { return 0 },
		enough: func(present []bool) bool { return countOf(present, false) <= v.parity }, lives: v.lives()}
}

func (v vdevType) lives() string {
	switch {
	case v.parity < 0:
		return "all disks but one may fail"
	case v.parity == 1:
		return "one disk may fail"
	}
	return number(v.parity) + " disks may fail"
}

const (
	// vdevOwn is what a device gives up for labels and boot area (VDEV_LABEL_START_SIZE and VDEV_LABEL_END_SIZE in
	// include/sys/vdev_impl.h: 4 MiB and 512 KiB), rounded up.
	vdevOwn = 5 * mib
	// slopShift, slopLeast and slopMost are how much of a pool ordinary writes never get (spa_get_slop_space in module/zfs/spa_misc.c).
	slopShift = 5
	slopLeast = 128 * mib
	slopMost  = 128 << 30
)

// poolRoom is what a pool offers on devices of n bytes each.
func poolRoom(typ string, devices int, n int64) int64 {
	v, ok := vdevOf(typ)
	if !ok {
		return 0
	}
	all := max(0, n-vdevOwn) * int64(v.holds(devices))
	slop := min(max(all>>slopShift, min(all/2, slopLeast)), slopMost)
	return all - slop
}

// poolMember is the least number of whole MiB that each device needs, so that a pool on them offers size bytes.
func poolMember(typ string, devices int, size int64) int64 {
	v, ok := vdevOf(typ)
	if !ok || v.holds(devices) == 0 {
		return size
	}
	per := int64(v.holds(devices))
	n := (size/per + vdevOwn + mib - 1) / mib * mib
	for poolRoom(typ, devices, n) < size {
		n += max(mib, (size-poolRoom(typ, devices, n))/per/mib*mib)
	}
	return n
}

// roomPool is what all datasets of a pool have together.
func roomPool(g Graph, n *Node) int64 {
	least := int64(-1)
	for _, r := range n.On {
		if m := g.Node(r); m != nil && (least < 0 || g.Room(r) < least) {
			least = g.Room(r)
		}
	}
	return poolRoom(n.Pool.Type, len(n.On), max(0, least))
}

func validatePool(g Graph, n *Node) string {
	v, ok := vdevOf(n.Pool.Type)
	present := make([]bool, len(n.On))
	for i, r := range n.On {
		present[i] = r != ""
	}
	switch {
	case badPoolName(n.Pool.Name) != "":
		return fmt.Sprintf("pool %q: %s", n.Pool.Name, badPoolName(n.Pool.Name))
	case len(poolComment(n.Ref)) != 32:
		return fmt.Sprintf("pool %s: its identity %q is not a UUID", n.Pool.Name, n.Ref.ID())
	case !ok || len(n.On) < v.raid().least || !v.raid().enough(present):
		return fmt.Sprintf("pool %s: %s %s cannot be started", n.Pool.Name, orUnknown(n.Pool.Type), n.marks())
	case n.Pool.Ashift < 9 || n.Pool.Ashift > 16:
		return fmt.Sprintf("pool %s: ashift %d", n.Pool.Name, n.Pool.Ashift)
	case len(n.Pool.HostID) != 8 || n.Pool.HostID == "00000000" || strings.Trim(n.Pool.HostID, "0123456789abcdef") != "":
		return fmt.Sprintf("pool %s: host id %q is not eight hexadecimal digits", n.Pool.Name, n.Pool.HostID)
	}
	for _, x := range slices.Concat(n.Pool.Properties, n.Pool.Options) {
		if !property(x) {
			return fmt.Sprintf("pool %s: %q is not a property with its value", n.Pool.Name, x)
		}
	}
	return ""
}

// property reports whether a text is NAME=VALUE, so that it is one argument and nothing else.
func property(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789:-_.") == "" && !strings.HasPrefix(name, "-") && !strings.ContainsAny(s, "\x00\n\t")
}

// badPoolName says why a pool cannot have a name, "" when it can: what ZFS takes (module/zcommon/zfs_namecheck.c), less the letters
// that a kernel command line or fstab would have to quote.
func badPoolName(s string) string {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	switch {
	case s == "" || !strings.ContainsRune(allowed[:52], rune(s[0])):
		return "a pool's name begins with a letter"
	case len(s) > 64 || strings.Trim(s, allowed) != "":
		return "a pool's name has at most 64 of the letters a-z, A-Z, 0-9, -, _ and ."
	}
	for _, reserved := range []string{"mirror", "raidz", "draid", "spare", "log"} {
		if strings.HasPrefix(s, reserved) {
			return "names that begin with " + reserved + " are reserved"
		}
	}
	return ""
}

// uniquePool refuses a pool of which something is seen where it is not planned, and another one of its name: a pool that is
// exported, or of which only labels are left, too. Two pools of one name cannot both be imported, and an initrd imports by name.
func uniquePool(p *Plan, f *Facts, n *Node, a *answers) {
	noun := "planned pool " + n.Pool.Name
	own, err := f.Pool(n)
	if err != nil {
		a.refuse(noun, "disconnect the copy, or wipe its labels: zpool labelclear DEVICE", "%v", err)
		return
	}
	for i := range f.Pools {
		o := &f.Pools[i]
		if o == own || o.TXG == 0 && o.Comment == poolComment(n.Ref) {
			continue
		}
		if o.Name == n.Pool.Name && !p.givenUp(f, o) {
			a.refuse(noun, "rename one of them: --pool NAME, or zpool import "+o.GUID+" NEWNAME; or wipe the other one if nothing in it is wanted: zpool labelclear "+strings.Join(o.devices(), " "),
				"another pool has this name: GUID %s, %s on %s%s", o.GUID, o.State, strings.Join(o.devices(), ", "), comma(ownGUID(own)))
		}
	}
	if own == nil {
		return
	}
	whole := p.Final.Node(n.Ref)
	for _, m := range own.Members {
		d := f.Dev(m.Device)
		if planned := d != nil && d.GUID != "" && slices.ContainsFunc(slices.Concat(n.On, whole.slots()), Ref("part:"+d.GUID).Is); !planned {
			a.refuse(noun, newIdentities, "/dev/%s has a label of it (GUID %s)", m.Device, own.GUID)
		}
	}
}

func ownGUID(own *StoragePool) string {
	if own == nil {
		return ""
	}
	return "the planned one has GUID " + own.GUID
}

// givenUp reports whether everything that is left of a pool lies on target disks whose contents may be destroyed, or that have the
// planned table already: what is seen there is wiped before the pool is made.
func (p *Plan) givenUp(f *Facts, o *StoragePool) bool {
	return o.Imported == "" && !slices.ContainsFunc(o.Members, func(m PoolMember) bool {
		d := f.DiskOf(m.Device)
		return d == nil || !slices.ContainsFunc(p.NewDisks(), func(t *Node) bool { return t.Matches(d) && t.Disk.Wipe })
	})
}
