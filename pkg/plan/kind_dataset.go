package plan

import (
	"fmt"
	"strings"
)

// Dataset is a filesystem of the pool that it lies on. It is mounted as fstab says, and by nothing else.
type Dataset struct {
	Name       string   `toml:"name" json:"name"`                                 // with the pool's: "rpool/var"
	Properties []string `toml:"properties,omitempty" json:"properties,omitempty"` // NAME=VALUE
}

// KindDataset is the kind of the device that a dataset of an imported pool stands for: it has no node, and its name is what is mounted.
const KindDataset = "dataset"

// UUIDProperty is the property of a dataset by which a planned filesystem is found again.
const UUIDProperty = "migrate-init:uuid"

func datasetKind() kind {
	return kind{
		name: "dataset",
		set:  func(l *Layer) bool { return l.Dataset != nil },
		find: findDataset,
		see:  func(*Facts) []Node { return nil },
		// All datasets of a pool share its room.
		overhead: func(_ *Node, size int64) int64 { return size },
		room:     func(g Graph, n *Node) int64 { return g.Room(n.Lower()) },
		validate: func(g Graph, n *Node) string {
			p := g.Node(n.Lower())
			switch {
			case p == nil || p.Pool == nil:
				return fmt.Sprintf("dataset %s: it is in no pool of the plan", n.Dataset.Name)
			case !strings.HasPrefix(n.Dataset.Name, p.Pool.Name+"/") || badDataset(n.Dataset.Name[len(p.Pool.Name)+1:]) || n.Ref != datasetRef(p.Ref, n.Dataset.Name[len(p.Pool.Name)+1:]):
				return fmt.Sprintf("dataset %q: not a name in pool %s, or not that of %s", n.Dataset.Name, p.Pool.Name, n.Ref)
			}
			for _, x := range n.Dataset.Properties {
				if !property(x) {
					return fmt.Sprintf("dataset %s: %q is not a property with its value", n.Dataset.Name, x)
				}
			}
			return ""
		},
		ids:    func(*Node) []string { return nil },
		unique: func(*Plan, *Facts, *Node, *answers) {}, // its pool is unique, and names are unique in a pool
		box:    func(*Node) string { return "" },
		called: func(n *Node) string { return n.Dataset.Name },
	}
}

// datasetRef names a dataset by its pool and its name in it.
func datasetRef(pool Ref, name string) Ref { return Ref("dataset:" + pool.ID() + "/" + name) }

// badDataset reports whether a name is none for one dataset directly in a pool.
func badDataset(s string) bool {
	return s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" || s == "." || s == ".." || strings.HasPrefix(s, "-")
}

// findDataset stands for a dataset while its pool is imported. Whether it is there the pool knows.
func findDataset(f *Facts, n *Node) (*Device, error) {
	for i := range f.Pools {
		p := &f.Pools[i]
		if p.TXG == 0 || p.Imported == "" || !strings.HasPrefix(n.Ref.ID(), uuidOf(p.Comment)+"/") {
			continue
		}
		d := &Device{Name: n.Dataset.Name, Path: n.Dataset.Name, Kind: KindDataset}
		for _, m := range f.Mounts {
			if FSTypeOf(m.Type).Pool && m.Source == n.Dataset.Name {
				d.MountedAt = append(d.MountedAt, m.Target)
			}
		}
		for _, m := range p.Members {
			if x := f.Dev(m.Device); x != nil {
				d.Rotational = d.Rotational || x.Rotational
			}
		}
		return d, nil
	}
	return nil, nil
}

// uuidOf puts the dashes back into a planned pool's comment; another one is no UUID.
func uuidOf(comment string) string {
	if len(comment) != 32 {
		return "?"
	}
	return strings.Join([]string{comment[:8], comment[8:12], comment[12:16], comment[16:20], comment[20:]}, "-")
}

// Spec is how fstab and a mount name what a filesystem is on: the dataset of a pool, or a UUID.
func (g Graph) Spec(n *Node) string {
	if d := g.Node(n.Lower()); d != nil && d.Dataset != nil {
		return d.Dataset.Name
	}
	return "UUID=" + n.Ref.ID()
}

// RootParam is the value of the kernel parameter root= for the new system.
func (p *Plan) RootParam() string {
	n := p.Target.MountedAt("/")
	if n == nil {
		return ""
	}
	if d := p.Target.Node(n.Lower()); d != nil && d.Dataset != nil {
		return "ZFS=" + d.Dataset.Name
	}
	return p.Target.Spec(n)
}
