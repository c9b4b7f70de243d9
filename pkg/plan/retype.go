package plan

import (
	"maps"
	"slices"
	"strings"
)

// A NewFeature is one that a new filesystem gets where the old one was of another type, unless an installed kernel is older than
// the release that reads it.
type NewFeature struct {
	Name         string
	Major, Minor int
}

// becomes is the type of the filesystem that takes the place of one that is mounted at a directory.
func (b *builder) becomes(mount, typ string) string {
	if t, ok := b.in.Types[mount]; ok {
		return t
	}
	return typ
}

// retypes refuses changes of type that cannot be made, and says what the lines of fstab lose by the others.
func (b *builder) retypes() {
	for _, mount := range slices.Sorted(maps.Keys(b.in.Types)) {
		typ, noun := b.in.Types[mount], "--fs "+mount+"="+b.in.Types[mount]
		i := slices.IndexFunc(b.srcs, func(s source) bool { return s.node.FS != nil && s.node.FS.Mount == mount })
		if i < 0 {
			b.refuse(noun, "name the mount point of a filesystem that is moved", "no filesystem that is moved is mounted at %s", mount)
			continue
		}
		fs := b.srcs[i].node.FS
		switch {
		case len(FSTypeOf(typ).New) == 0:
			b.refuse(noun, "use "+namesOf("or", func(t FSType) bool { return len(t.New) > 0 }), "this version makes no new filesystem of type %s", typ)
		case typ == fs.Type:
			delete(b.in.Types, mount) // nothing changes
		case len(fs.Subvols) > 0:
			b.refuse(noun, "leave the option out", "subvolumes of the old filesystem are mounted by themselves, and %s has none", typ)
		case b.in.Engine == EngineExtent:
			b.refuse(noun, "use --engine tree, or leave the option out", "a copy by blocks keeps the type")
		default:
			b.retyped(noun, typ, fs)
		}
	}
}

// retyped says what a change of type means for what is set up for the old type.
func (b *builder) retyped(noun, typ string, fs *FS) {
	for _, e := range b.f.Fstab {
		if e.Target != fs.Mount {
			continue
		}
		var lost []string
		for _, o := range strings.Split(e.Options, ",") {
			if o != "" && !AnyType(o) {
				lost = append(lost, o)
			}
		}
		if len(lost) > 0 {
			b.warn(noun, "add what the new type needs afterwards", "options of its line in fstab that are not known to every type are dropped: %s", strings.Join(lost, ","))
		}
	}
	for _, p := range b.f.Kernel.Params {
		if fs.Mount == "/" && (p.Key == "rootfstype" || p.Key == "rootflags") {
			b.refuse(noun, "remove it from the boot loader's settings, and boot without it", "kernel parameter %s is for a root of type %s", p.Raw, fs.Type)
		}
	}
}

// AnyType reports whether every filesystem has a mount option: those of mount(8) itself, and those for systemd and other programs.
func AnyType(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	return slices.Contains([]string{"defaults", "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "auto", "noauto", "user", "nouser", "users", "owner", "group",
		"nofail", "_netdev", "sync", "async", "dirsync", "atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime", "nolazytime",
		"comment", "discard", "nodiscard", "context", "fscontext", "defcontext", "rootcontext"}, name) || strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-")
}

// newFeatures are those of a new filesystem of a type: what GRUB 2.06 reads, and the oldest kernel that is installed.
func (b *builder) newFeatures(typ string) []string {
	var out []string
	for _, x := range FSTypeOf(typ).New {
		old := slices.ContainsFunc(b.f.Boot.Kernels, func(k Image) bool { return x.Major > 0 && !atLeast(k.Release, x.Major, x.Minor) })
		if !old {
			out = append(out, x.Name)
		}
	}
	return out
}

// Retyped reports whether a filesystem of the source becomes one of another type, and returns the new type.
func (p *Plan) Retyped(from Ref) (string, bool) {
	s, m := p.Source.Node(from), p.MoveFrom(from)
	if s == nil || m == nil || s.FS == nil {
		return "", false
	}
	n := p.Target.Node(m.To)
	if n == nil || n.FS == nil || n.FS.Type == s.FS.Type {
		return "", false
	}
	return n.FS.Type, true
}
