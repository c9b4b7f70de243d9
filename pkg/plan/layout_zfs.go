package plan

import (
	"path"
	"slices"
	"strings"
)

// PoolName is what a new pool is called unless the administrator says otherwise.
const PoolName = "rpool"

// A pooled is a directory of the old system that becomes a dataset.
type pooled struct {
	src   *source
	path  string // from the top of the old filesystem; "" is all of it
	mount string
	props []string
}

// pool plans a layout with a pool: every filesystem becomes a dataset, but for the one that the boot loader reads. That one and swap
// get arrays beside the pool.
func (b *builder) pool(l layout) {
	sets := b.datasets()
	if v, _ := vdevOf(l.vdev); v.parity > 0 && slices.ContainsFunc(b.members, func(m member) bool { return m.joins }) {
		b.refuse("layout "+l.name, "let the old disk out of it (--old keep) and name as many new disks as it is to have", "all devices of a %s have to be there when it is made, and the old disk joins at finish", l.vdev)
	}
	if why := badPoolName(b.poolName()); why != "" {
		b.refuse("--pool "+b.poolName(), "use another name: --pool "+PoolName, "%s", why)
	}
	if b.in.Engine == EngineExtent {
		b.refuse("engine extent", "use --engine tree, or leave the option out", "a pool takes files only")
	}
	if b.out.Err() != nil {
		return
	}
	places := b.poolPlaces(l, sets)
	if b.out.Err() != nil {
		return
	}
	b.drivers()
	b.buildPool(l, places, sets)
}

func (b *builder) poolName() string { return orElse(b.in.Pool, PoolName) }

// besidePool reports whether a source keeps a volume of its own beside the pool: swap, which must never lie in a pool, and what the boot
// loader reads.
func (b *builder) besidePool(s *source) bool {
	return s.node.FS == nil || s.node.FS.Mount == b.bootMount()
}

// bootMount is where the filesystem is mounted that holds kernels and the boot loader's files, "" where that is the root's own.
func (b *builder) bootMount() string {
	if _, at := b.f.Holder(b.f.Boot.Dir); at != "/" {
		return at
	}
	return ""
}

// datasets lists what is to be in the pool: the filesystems that move, and the directories that the administrator names.
func (b *builder) datasets() []pooled {
	var out []pooled
	for i := range b.srcs {
		s := &b.srcs[i]
		switch {
		case b.besidePool(s):
		case len(s.node.FS.Subvols) > 0:
			b.refuse("filesystem at "+s.node.FS.Mount, "use a layout of arrays, which keeps its type: --to raid1", "parts of it (%s) are mounted by themselves; this version makes no datasets of them", s.node.FS.dirs())
		case b.becomes(s.node.FS.Mount, "") != "":
			b.refuse("--fs "+s.node.FS.Mount+"="+b.becomes(s.node.FS.Mount, ""), "leave the option out", "the filesystem becomes a dataset of the pool")
		default:
			out = append(out, pooled{src: s, mount: s.node.FS.Mount})
		}
	}
	for _, arg := range b.in.Datasets {
		dir, list, _ := strings.Cut(arg, ":")
		var props []string
		for _, x := range strings.Split(list, ",") {
			switch name, _, _ := strings.Cut(x, "="); {
			case x == "":
			case !property(x):
				b.refuse("--dataset "+arg, "write it as --dataset DIR:NAME=VALUE,NAME=VALUE", "%q is not a property with its value", x)
			case slices.Contains([]string{"mountpoint", "canmount", "encryption", "keyformat", "keylocation"}, name):
				b.refuse("--dataset "+arg, "leave "+name+" out", "the plan itself says what %s is", name)
			default:
				props = append(props, x)
			}
		}
		if !path.IsAbs(dir) || path.Clean(dir) != dir {
			b.refuse("--dataset "+arg, "name a directory: --dataset /var", "%q is not an absolute path without . and ..", dir)
			continue
		}
		out = b.dataset(out, arg, dir, props)
	}
	slices.SortStableFunc(out, func(x, y pooled) int { return strings.Compare(x.mount, y.mount) })
	return out
}

// dataset adds one that the administrator names to those that there are.
func (b *builder) dataset(sets []pooled, arg, dir string, props []string) []pooled {
	holder := -1
	for i := range sets {
		if sets[i].mount == dir {
			sets[i].props = append(sets[i].props, props...)
			return sets
		}
		if within(dir, sets[i].mount) && sets[i].path == "" && (holder < 0 || len(sets[i].mount) > len(sets[holder].mount)) {
			holder = i
		}
	}
	boot := b.bootMount()
	switch {
	case holder < 0 || boot != "" && within(dir, boot) || within(dir, b.f.Boot.Dir):
		b.refuse("--dataset "+arg, "name a directory of a filesystem that moves into the pool", "%s does not move into the pool", dir)
		return sets
	}
	s := sets[holder].src
	return append(sets, pooled{src: s, path: path.Join("/", strings.TrimPrefix(dir, s.node.FS.Mount)), mount: dir, props: props})
}

// poolPlaces lays the members out: what the boot loader and the journal need, the arrays, and the rest for the pool.
func (b *builder) poolPlaces(l layout, sets []pooled) []place {
	out, add := b.ownPlaces()
	for i := range b.srcs {
		if s := &b.srcs[i]; b.besidePool(s) {
			add(RoleRaid, s.name(), b.member(max(s.vol.Size, b.least(*s))), s)
		}
	}
	left := b.smallest().Size - endGap - mib
	for _, p := range *out {
		left -= p.size
	}
	left = left / mib * mib
	var needed int64
	seen := map[Ref]bool{}
	for _, x := range sets {
		if !seen[x.src.node.Ref] {
			needed += x.src.needed
		}
		seen[x.src.node.Ref] = true
	}
	if room := poolRoom(l.vdev, len(b.members), left); room < needed {
		b.refuse("target disk "+b.targets(), "use larger disks, or free space on the old ones", "too small: the pool would have %s, and %s are needed with margin", size(max(0, room)), size(needed))
		return nil
	}
	add(RoleZFS, "zfs", left, nil)
	return placed(*out)
}

// buildPool makes Target and Final of what was laid out.
func (b *builder) buildPool(l layout, places []place, sets []pooled) {
	parts, target, later := b.partitions(places)
	var arrays, whole, datasets, on, swaps Graph
	labels, node := b.f.inUse(TagLabel), b.nodes()
	for i, x := range places {
		if x.src == nil {
			continue
		}
		a, full := b.array(x, parts[i], node)
		arrays, whole = append(arrays, a), append(whole, full)
		n := b.successor(x.src, a.Ref, b.room(x.size), labels)
		if n.FS != nil {
			on = append(on, n)
		} else {
			swaps = append(swaps, n)
		}
	}
	taken := map[string]bool{}
	pool := b.poolNode(l, parts[len(parts)-1])
	for i := range sets {
		d, fs := b.dataNodes(pool, &sets[i], taken)
		datasets, on = append(datasets, d), append(on, fs)
	}
	slices.SortStableFunc(on, func(x, y Node) int { return strings.Compare(x.FS.Mount, y.FS.Mount) })
	now := pool
	now.On = b.untilFinish(pool.On)
	b.p.Target = slices.Concat(target, arrays, Graph{now}, datasets, on, swaps)
	b.p.Final = slices.Concat(target, later, whole, Graph{pool}, datasets, on, swaps)
}

// poolNode is the pool, as it is at the end. Access lists and attributes are kept where the kernel of Linux looks for them.
func (b *builder) poolNode(l layout, members []Ref) Node {
	p := &Pool{Name: b.poolName(), Type: l.vdev, Ashift: 12, HostID: b.f.Pooling.HostID,
		Options: []string{"mountpoint=none", "canmount=off", "acltype=posixacl", "xattr=sa", "dnodesize=auto", "relatime=on", "compression=lz4"}}
	flash := true
	for _, m := range b.members {
		for s := int64(1) << p.Ashift; s < m.dev.Sector; s <<= 1 {
			p.Ashift++
		}
		flash = flash && !m.dev.Rotational
	}
	if flash {
		p.Properties = append(p.Properties, "autotrim=on")
	}
	if p.HostID == "" {
		p.HostID, p.NewHostID = b.ids.hostID(), true
		b.warn("host id", "", "this system has no /etc/hostid; the image and the new system get the host id %s", p.HostID)
	}
	return Node{Ref: Ref("pool:" + b.ids.uuid()), On: slices.Clone(members), Layer: Layer{Pool: p}}
}

// dataNodes are a dataset and the filesystem in it, with the move that fills it.
func (b *builder) dataNodes(pool Node, x *pooled, taken map[string]bool) (dataset, fs Node) {
	name := "root"
	if x.mount != "/" {
		name = strings.ReplaceAll(strings.Trim(x.mount, "/"), "/", "-")
	}
	if name = unique(taken, name); badDataset(name) {
		b.refuse("dataset for "+x.mount, "give the directory another name", "a dataset cannot be called %q", name)
	}
	dataset = Node{Ref: datasetRef(pool.Ref, name), On: []Ref{pool.Ref}, Layer: Layer{Dataset: &Dataset{Name: pool.Pool.Name + "/" + name, Properties: append([]string{"mountpoint=legacy"}, x.props...)}}}
	fs = Node{Ref: Ref("fs:" + b.ids.uuid()), On: []Ref{dataset.Ref}, Layer: Layer{FS: &FS{Type: PoolType, Mount: x.mount}}}
	b.p.Moves = append(b.p.Moves, Move{From: x.src.node.Ref, To: fs.Ref, Engine: EngineTree, Why: "it becomes a dataset of a pool"})
	return dataset, fs
}

// hostID makes a host id, which is not zero.
func (m *maker) hostID() string {
	for {
		if u := m.uuid(); len(u) < 8 || u[:8] != "00000000" {
			return u[:min(len(u), 8)]
		}
	}
}
