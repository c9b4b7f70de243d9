package manifest

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// Difference is one path that is not the same on both sides, and in what.
type Difference struct {
	Path string
	What string
}

func (d Difference) String() string { return d.Path + ": " + d.What }

// Diff returns what differs between a source and its copy, by path. Entries that ignore accepts are not looked at, on
// either side; nil ignores nothing.
func Diff(source, copied []Entry, ignore func(path string) bool) []Difference {
	have := map[string]Entry{}
	for _, e := range copied {
		have[e.Path] = e
	}
	var out []Difference
	add := func(path, format string, args ...any) {
		out = append(out, Difference{path, fmt.Sprintf(format, args...)})
	}
	for _, s := range source {
		c, ok := have[s.Path]
		delete(have, s.Path)
		switch {
		case ignore != nil && ignore(s.Path):
		case !ok:
			add(s.Path, "missing in the copy")
		default:
			compare(s, c, add)
		}
	}
	for path := range have {
		if ignore == nil || !ignore(path) {
			add(path, "only in the copy")
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

func compare(s, c Entry, add func(path, format string, args ...any)) {
	if s.Mode != c.Mode {
		add(s.Path, "mode %o, copy has %o", s.Mode, c.Mode)
	}
	if s.UID != c.UID || s.GID != c.GID {
		add(s.Path, "owner %d:%d, copy has %d:%d", s.UID, s.GID, c.UID, c.GID)
	}
	if s.Size != c.Size {
		add(s.Path, "size %d, copy has %d", s.Size, c.Size)
	}
	if s.Sum != c.Sum {
		add(s.Path, "sha256 %.12s, copy has %.12s", s.Sum, c.Sum)
	}
	if s.Mtime != c.Mtime {
		add(s.Path, "mtime %d ns, copy has %d", s.Mtime, c.Mtime)
	}
	if s.Rdev != c.Rdev {
		add(s.Path, "device number %#x, copy has %#x", s.Rdev, c.Rdev)
	}
	if s.Target != c.Target {
		add(s.Path, "points to %s, copy to %s", s.Target, c.Target)
	}
	if s.Link != c.Link {
		add(s.Path, "hard link of %q, in the copy of %q", s.Link, c.Link)
	}
	if !maps.Equal(s.Xattr, c.Xattr) {
		add(s.Path, "extended attributes: %s", attributes(s.Xattr, c.Xattr))
	}
}

func attributes(s, c map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if v, ok := c[name]; !ok {
			out = append(out, name+" missing in the copy")
		} else if v != s[name] {
			out = append(out, fmt.Sprintf("%s is %s, in the copy %s", name, s[name], v))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if _, ok := s[name]; !ok {
			out = append(out, name+" only in the copy")
		}
	}
	return strings.Join(out, ", ")
}
