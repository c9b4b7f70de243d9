package rootfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// FuzzWalk resolves paths in trees that a hostile archive could contain. Each line of spec is a link, "path -> target",
// or the path of a file; everything else is missing.
func FuzzWalk(f *testing.F) {
	f.Add("srv -> /data/srv\ndata/srv/x", "/srv/x", true, true)
	f.Add("a -> b/../a\nb -> ../../a/", "a/b", false, false)
	f.Add("a -> /a/a/a/a/a/a/a/a\n", "//a/./..", false, true)
	f.Add("a -> \nb -> .", "b/a/..", true, false)
	f.Fuzz(func(t *testing.T, spec, name string, noFollow, missing bool) {
		entries := map[string]Element[string]{}
		for line := range strings.SplitSeq(spec, "\n") {
			at, target, link := strings.Cut(line, " -> ")
			e := Element[string]{Node: absolute(at)}
			if link {
				e.Kind, e.Target = Symlink, target
			}
			for d := path.Dir(e.Node); d != "/"; d = path.Dir(d) {
				if _, there := entries[d]; !there {
					entries[d] = Element[string]{Node: d, Kind: Directory}
				}
			}
			entries[e.Node] = e
		}
		looks := 0
		find := func(dir, name string) (Element[string], error) {
			looks++
			if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
				t.Fatalf("asked for %q in %s", name, dir)
			}
			e, there := entries[path.Join(dir, name)]
			if !there {
				return e, fs.ErrNotExist
			}
			return e, nil
		}
		o := Options{NoFollow: noFollow, Missing: missing}
		p, err := Walk("/", find, name, o)
		if limit := (maxLinks+1)*pathMax + len(name) + 1; looks > limit {
			t.Errorf("%d looks, more than %d", looks, limit)
		}
		var e *Error
		var loop *LoopError
		if err != nil {
			if !errors.As(err, &e) && !errors.As(err, &loop) {
				t.Fatalf("%T: %v", err, err)
			}
			if missing && errors.Is(err, fs.ErrNotExist) && entries[e.At].Kind != Symlink {
				t.Errorf("missing is allowed: %v", err)
			}
			return
		}
		if p.Path != absolute(p.Path) || len(p.Links) > maxLinks || p.Missing && !missing {
			t.Fatalf("%q: %+v", name, p)
		}
		// The result leads through no link: it resolves to itself.
		again, err := Walk("/", find, p.Path, o)
		if err != nil || again.Path != p.Path || len(again.Links) > 0 {
			t.Errorf("%q is %s, which is %s by %v, %v", name, p.Path, again.Path, again.Links, err)
		}
	})
}
