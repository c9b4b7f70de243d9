package plan

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// LUKS is an encrypted container that is opened as a mapping of Name.
type LUKS struct {
	Name    string   `toml:"name" json:"name"` // of the mapping: "vda3_crypt"
	Version int      `toml:"version" json:"version"`
	Modules []string `toml:"modules,omitempty" json:"modules,omitempty"` // of the kernel's crypto API: ciphers and hashes
	Memory  int64    `toml:"memory,omitempty" json:"memory,omitempty"`   // bytes that deriving a key takes
	// KeyFile is a file of the old system that goes into the image and opens it; "" asks for a passphrase at the consoles.
	KeyFile string `toml:"key_file,omitempty" json:"key_file,omitempty"`
}

// Path is the node of the open container.
func (l *LUKS) Path() string { return "/dev/mapper/" + l.Name }

// luksHeader is what LUKS2 puts before the data.
const luksHeader = 16 * mib

func luksKind() kind {
	return kind{
		name: "luks",
		set:  func(l *Layer) bool { return l.LUKS != nil },
		find: func(f *Facts, n *Node) (*Device, error) {
			c, err := f.crypt(n.Ref.ID())
			if c == nil || c.Node == "" || err != nil {
				return nil, err
			}
			return f.Dev(c.Node), nil
		},
		see: func(f *Facts) []Node {
			var out []Node
			for i := range f.Crypts {
				if c := &f.Crypts[i]; c.UUID != "" {
					out = append(out, cryptNode(f, c))
				}
			}
			return out
		},
		overhead: func(_ *Node, size int64) int64 { return size + luksHeader },
		room:     func(g Graph, n *Node) int64 { return max(0, g.Room(n.Lower())-luksHeader) },
		validate: func(g Graph, n *Node) string {
			switch {
			case g.Node(n.Lower()) == nil:
				return "encrypted container " + n.Ref.ID() + ": it is on nothing of the plan"
			case n.LUKS.Name == "" || strings.ContainsAny(n.LUKS.Name, "/\x00 ") || len(n.LUKS.Name) > 127:
				return fmt.Sprintf("encrypted container %s: device-mapper does not allow the name %q", n.Ref.ID(), n.LUKS.Name)
			}
			return ""
		},
		ids: func(*Node) []string { return nil },
		unique: func(p *Plan, f *Facts, n *Node, a *answers) {
			c, err := f.crypt(n.Ref.ID())
			if c != nil {
				uniqueOn(p, f, n, "planned encrypted container ", f.Dev(c.Device), err, a)
			} else if err != nil {
				a.refuse("planned encrypted container "+n.Ref.ID(), newIdentities, "%v", err)
			}
		},
		box:    func(*Node) string { return "luks" },
		called: func(n *Node) string { return n.LUKS.Path() },
	}
}

// crypt finds the container of a UUID: nil when there is none, an AmbiguousError when there are several.
func (f *Facts) crypt(uuid string) (*Crypt, error) {
	found := f.crypts(uuid)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	e := &AmbiguousError{Subject: "encrypted container " + uuid}
	for _, c := range found {
		e.Candidates = append(e.Candidates, "/dev/"+c.Device)
	}
	return nil, e
}

// Crypt finds the container of a UUID, open or not.
func (f *Facts) Crypt(uuid string) (*Crypt, error) {
	c, err := f.crypt(uuid)
	if c == nil && err == nil {
		err = errors.New("encrypted container " + uuid + ": not found")
	}
	return c, err
}

func cryptNode(f *Facts, c *Crypt) Node {
	n := Node{Ref: Ref("luks:" + c.UUID), Layer: Layer{LUKS: &LUKS{Name: c.Name, Version: c.Version, Modules: c.Modules, Memory: c.Memory}}}
	if n.LUKS.Name == "" {
		n.LUKS.Name = "luks-" + c.UUID
	}
	if on := f.refTo(c.Device); on != "" {
		n.On = []Ref{on}
	}
	if d := f.Dev(c.Node); c.Node != "" && d != nil {
		n.Size, n.Was = d.Size, d.Path
	}
	return n
}

// keyFiles notes which key files open which containers of the source, as the operator said.
func (b *builder) keyFiles() {
	for _, k := range b.in.Keys {
		dev, file, ok := strings.Cut(k, "=")
		d := b.f.Dev(dev)
		var n *Node
		for i := range b.f.Crypts {
			if c := &b.f.Crypts[i]; d != nil && (c.Device == d.Name || c.Node == d.Name) {
				n = b.p.Source.Node(Ref("luks:" + c.UUID))
			}
		}
		switch {
		case !ok || !path.IsAbs(file) || path.Clean(file) != file:
			b.refuse("--unlock "+k, "write it as --unlock DEVICE=/PATH/TO/KEY-FILE", "it names no device and no file")
		case n == nil:
			b.refuse("--unlock "+k, "name the device of an encrypted container, as `migrate-init inspect` lists it", "%s is not an encrypted container that the source lies on", dev)
		default:
			n.LUKS.KeyFile = file
		}
	}
}
