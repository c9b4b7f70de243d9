package plan

import (
	"path"
	"slices"
	"sort"
	"strings"
)

// A Subvol is a part of a filesystem that is mounted by itself. Path leads to it from the top level, without a leading slash; it
// is "" for the top level.
type Subvol struct {
	Path  string `toml:"path" json:"path"`
	Mount string `toml:"mount" json:"mount"`
}

// Subvolumes are those of a mounted filesystem, as it listed them.
type Subvolumes struct {
	Default string      `json:"default,omitempty"` // the path of what a mount without an option shows; "" for the top level
	List    []Subvolume `json:"list,omitempty"`
}

// Subvolume is one of them.
type Subvolume struct {
	Path     string `json:"path"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Snapshot bool   `json:"snapshot,omitempty"`
}

func (s *Subvolumes) has(name string) bool {
	return slices.ContainsFunc(s.List, func(x Subvolume) bool { return x.Path == name })
}

// A Place is a directory at which a filesystem, or a part of it, is mounted.
type Place struct {
	Node    *Node
	Dir     string
	Subvol  string // "" for all of it
	Options string // those that mount this part of it
}

// Places lists where a filesystem is mounted.
func (fs *FS) Places() []Place {
	if len(fs.Subvols) == 0 {
		return []Place{{Dir: fs.Mount}}
	}
	t := FSTypeOf(fs.Type)
	var out []Place
	for _, s := range fs.Subvols {
		x := Place{Dir: s.Mount, Subvol: s.Path, Options: t.Whole}
		if s.Path != "" {
			x.Options = t.Part + "/" + s.Path
		}
		out = append(out, x)
	}
	return out
}

// Root is what the kernel's list of mounts says of a place: the path of its part below the top level.
func (x Place) Root() string { return "/" + x.Subvol }

// Places lists where the filesystems of a graph are mounted, so that each place comes after the one that it is in.
func (g Graph) Places() []Place {
	var out []Place
	for _, n := range g.Filesystems() {
		for _, x := range n.FS.Places() {
			x.Node = n
			out = append(out, x)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].Dir) < len(out[j].Dir) })
	return out
}

// PlaceAt returns what a graph mounts at a directory; its Node is nil where that is nothing.
func (g Graph) PlaceAt(dir string) Place {
	for _, x := range g.Places() {
		if x.Dir == dir {
			return x
		}
	}
	return Place{}
}

// JoinOptions joins lists of mount options, some of which may be empty.
func JoinOptions(lists ...string) string {
	return strings.Join(slices.DeleteFunc(lists, func(s string) bool { return s == "" }), ",")
}

// value returns that of the last option with a name.
func (e *Fstab) value(name string) (string, bool) {
	v, found := "", false
	for _, o := range strings.Split(e.Options, ",") {
		if k, x, _ := strings.Cut(o, "="); k == name {
			v, found = x, true
		}
	}
	return v, found
}

// shows is the path of the subvolume that a line of fstab mounts; why says why that is not known.
func (e *Fstab) shows(s *Subvolumes) (name, why string) {
	name, named := e.value("subvol")
	id, byID := e.value("subvolid")
	switch {
	case named:
		name = strings.TrimPrefix(path.Clean("/"+name), "/")
	case byID && (id == "5" || id == "0"):
		return "", ""
	case byID:
		return "", "it names a subvolume by its number, which is another one in the copy"
	default:
		return s.Default, ""
	}
	if name != "" && !s.has(name) {
		return "", "there is no subvolume " + name
	}
	return name, ""
}

// subvolumes fills in where the parts of a filesystem are mounted. It reports whether the filesystem can be moved.
func (b *builder) subvolumes(p *Device, c *Content, fs *FS) bool {
	noun, before := "filesystem "+p.Path, len(b.out.Refusals())
	if c.Members > 1 {
		b.several(p, c)
		return false
	}
	if c.Subvolumes == nil {
		b.refuse(noun, "mount it", "it is not mounted, so its subvolumes are not known")
		return false
	}
	for i := range b.f.Fstab {
		e := &b.f.Fstab[i]
		if e.Device != p.Name || e.bind() || !path.IsAbs(e.Target) {
			continue
		}
		name, why := e.shows(c.Subvolumes)
		if why != "" {
			b.refuse("fstab line "+e.Spec+" at "+e.Target, "name the subvolume by its path from the top level: subvol=/PATH (btrfs subvolume list / lists them)", "%s", why)
			continue
		}
		fs.Subvols = append(fs.Subvols, Subvol{name, path.Clean(e.Target)})
		for _, key := range FSTypeOf(c.Type).Keep {
			if v, ok := e.value(key); ok && fs.Options == "" {
				fs.Options = strings.TrimSuffix(key+"="+v, "=")
			}
		}
	}
	sort.SliceStable(fs.Subvols, func(i, j int) bool { return fs.Subvols[i].Mount < fs.Subvols[j].Mount })
	fs.Default = c.Subvolumes.Default
	for _, s := range fs.Subvols {
		if s.Mount == "/" {
			fs.Mount = "/"
		}
		b.sameMounted(p, s)
	}
	if fs.Mount != "/" && len(fs.Subvols) > 0 {
		fs.Mount = fs.Subvols[0].Mount
	}
	fs.LeaveSnapshots = b.in.LeaveSnapshots
	b.snapshots(noun, c.Subvolumes, fs)
	if len(fs.Subvols) == 1 && fs.Subvols[0].Path == "" && fs.Default == "" {
		fs.Subvols = nil // an ordinary mount of all of it
	}
	return len(b.out.Refusals()) == before
}

// sameMounted refuses a system that runs from another subvolume than the one that fstab would mount next time.
func (b *builder) sameMounted(p *Device, s Subvol) {
	for _, m := range slices.Backward(b.f.Mounts) {
		if m.Target != s.Mount {
			continue
		}
		if m.Device == p.Name && m.Root != "" && m.Root != "/"+s.Path {
			b.refuse("mount point "+s.Mount, "boot the subvolume that /etc/fstab names, or correct its line", "fstab mounts subvolume /%s there, but %s is mounted", s.Path, m.Root)
		}
		return
	}
}

// Moved reports whether a subvolume of the source is moved: all are, but for snapshots that fstab does not mount.
func (fs *FS) Moved(name string, snapshot bool) bool {
	return !snapshot || name == fs.Default || slices.ContainsFunc(fs.Subvols, func(s Subvol) bool { return s.Path == name })
}

// Stray says why the subvolumes that a source has now cannot all be dealt with: snapshots that no one agreed to leave behind, and
// what would be lost with one; "" for nothing.
func (fs *FS) Stray(list []Subvolume) (why, fix string) {
	var left []string
	for _, s := range list {
		if !fs.Moved(s.Path, s.Snapshot) {
			left = append(left, s.Path)
		}
	}
	for _, s := range list {
		for _, l := range left {
			if s.Path != l && within(s.Path, l) && fs.Moved(s.Path, s.Snapshot) {
				return "subvolume " + s.Path + " lies in snapshot " + l + ", which is not mounted and would be left behind", "move it elsewhere (mv), or delete it (btrfs subvolume delete)"
			}
		}
	}
	if len(left) > 0 && !fs.LeaveSnapshots {
		return "it has snapshots that no line of fstab mounts, and a copy by files would make each of them a full copy: " + some(left),
			"pass --leave-snapshots to leave them behind (finish erases them), or delete them (btrfs subvolume delete)"
	}
	return "", ""
}

// some names the first of many.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and " + count(len(names)-most, "more")
	}
	return strings.Join(names, ", ")
}

func (b *builder) snapshots(noun string, s *Subvolumes, fs *FS) {
	if why, fix := fs.Stray(s.List); why != "" {
		b.refuse(noun, fix, "%s", why)
		return
	}
	var left []string
	for _, x := range s.List {
		if !fs.Moved(x.Path, x.Snapshot) {
			left = append(left, x.Path)
		}
	}
	if len(left) > 0 {
		b.warn(noun, "", "its snapshots are left behind, and finish erases them: %s", some(left))
	}
}

// subvolumeMount reports whether a mount shows a subvolume, and not a directory that was bound elsewhere.
func (f *Facts) subvolumeMount(m *Mount) bool {
	d := f.Dev(m.Device)
	if d == nil || d.Filesystem() == nil || d.Filesystem().Subvolumes == nil {
		return false
	}
	return d.Filesystem().Subvolumes.has(strings.TrimPrefix(m.Root, "/"))
}

// checkSubvolumes asks again for what New asked: snapshots come and go by themselves.
func checkSubvolumes(p *Plan, f *Facts, a *answers) {
	for _, s := range p.Source.Filesystems() {
		d, _ := f.FS(s.Ref.ID())
		if d == nil || d.Filesystem().Subvolumes == nil || FSTypeOf(s.FS.Type).Part == "" {
			continue
		}
		now := d.Filesystem().Subvolumes
		if why, fix := s.FS.Stray(now.List); why != "" {
			a.refuse("source filesystem "+d.Path, fix, "%s", why)
		}
		if now.Default != s.FS.Default {
			a.refuse("source filesystem "+d.Path, "make a new plan", "its default subvolume is /%s, planned /%s", now.Default, s.FS.Default)
		}
		for _, x := range s.FS.Subvols {
			if x.Path != "" && !now.has(x.Path) {
				a.refuse("source filesystem "+d.Path, "make a new plan", "subvolume %s does not exist any more", x.Path)
			}
		}
	}
}

// checkSubvolMounts refuses where fstab mounts other parts of a filesystem by now, or elsewhere.
func checkSubvolMounts(f *Facts, d *Device, s *Node, a *answers) {
	left := s.FS.Places()
	for i := range f.Fstab {
		e := &f.Fstab[i]
		if e.Device != d.Name || e.bind() || !path.IsAbs(e.Target) {
			continue
		}
		list := d.Filesystem().Subvolumes
		at := slices.IndexFunc(left, func(x Place) bool {
			if x.Dir != path.Clean(e.Target) {
				return false
			}
			if list == nil {
				return true // it is not mounted; the image asks once more
			}
			name, why := e.shows(list)
			return why == "" && name == x.Subvol
		})
		if at < 0 {
			a.refuse("fstab line of "+d.Path, "make a new plan", "it mounts %s, which is not planned", e.Target)
			continue
		}
		left = slices.Delete(left, at, at+1)
	}
	for _, x := range left {
		a.refuse("fstab line of "+d.Path, "make a new plan", "no line mounts subvolume /%s at %s any more", x.Subvol, x.Dir)
	}
}

func okSubvolumes(p *Plan, _ *Facts) string {
	n := 0
	for _, s := range p.Source.Filesystems() {
		n += len(s.FS.Subvols)
	}
	if n == 0 {
		return "no subvolume is mounted by itself"
	}
	return count(n, "subvolume") + " are mounted by fstab, and the others that are not snapshots move with them"
}

// Shown reports whether a mount shows the part of its filesystem that belongs at a place.
func (x Place) Shown(m *Mount) bool { return m.Root == x.Root() || m.Root == "" && x.Subvol == "" }

// ShownAt is the path, below the top level of its filesystem, of what is mounted at a directory.
func (f *Facts) ShownAt(dir string) string {
	for _, m := range slices.Backward(f.Mounts) {
		if m.Target == dir {
			return m.Root
		}
	}
	return ""
}

// several refuses a filesystem that lies on several devices by itself. Each of them shows its UUID, so that fstab's line for it
// matches all of them.
func (b *builder) several(p *Device, c *Content) {
	var on []string
	for i := range b.f.Devices {
		if x := b.f.Devices[i].Filesystem(); x != nil && x.UUID == c.UUID {
			on = append(on, b.f.Devices[i].Path)
		}
	}
	missing := ""
	if n := c.Members - len(on); n > 0 {
		missing = "; missing: " + count(n, "device")
	}
	b.refuse("filesystem "+p.Path, "move it to one device first (btrfs balance, then btrfs device remove)",
		"it is a %s on %d devices (%s%s), and this version moves one that lies on a single device", c.Type, c.Members, strings.Join(on, ", "), missing)
}

// WithoutNumber returns mount options without the number of a subvolume that they name by its path as well: in the copy it is another
// one, and the kernel refuses a pair that does not match.
func WithoutNumber(options []string) []string {
	named := slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "subvol=") })
	return slices.DeleteFunc(slices.Clone(options), func(o string) bool { return named && strings.HasPrefix(o, "subvolid=") })
}
