package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// tree returns a file system of "dir/", "file" and "link -> target".
func tree(entries ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, e := range entries {
		name, target, link := strings.Cut(e, " -> ")
		switch {
		case link:
			m[name] = &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte(target)}
		case strings.HasSuffix(name, "/"):
			m[strings.TrimSuffix(name, "/")] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		default:
			m[name] = &fstest.MapFile{Mode: 0o644}
		}
	}
	return m
}

func TestResolve(t *testing.T) {
	root := tree("data/srv/www/", "srv -> /data/srv", "var/log/x", "log -> var/log/", "up -> ../../data", "etc/file",
		"etc/abs -> /etc/file", "etc/rel -> abs", "gone -> /data/none/such", "dot -> .", "top -> /")
	for _, c := range []struct {
		name, want string
		o          Options
	}{
		{"/", "/", Options{}},
		{"", "/", Options{}},
		{"/../..", "/", Options{}},
		{"/srv", "/data/srv", Options{}},
		{"srv", "/data/srv", Options{}},
		{"/srv/www/../..", "/data", Options{}},
		{"//srv/.//www/", "/data/srv/www", Options{}},
		{"/up/srv", "/data/srv", Options{}},
		{"/log/x", "/var/log/x", Options{}},
		{"/etc/rel", "/etc/file", Options{}},
		{"/dot/top/dot/srv", "/data/srv", Options{}},
		{"/srv", "/srv", Options{NoFollow: true}},
		{"/srv/", "/data/srv", Options{NoFollow: true}},
		{"/srv/.", "/data/srv", Options{NoFollow: true}},
		{"/top/etc/rel", "/etc/rel", Options{NoFollow: true}},
		{"/gone", "/gone", Options{NoFollow: true}},
		{"/srv/new/deep", "/data/srv/new/deep", Options{Missing: true}},
		{"/gone", "/data/none/such", Options{Missing: true}},
		{"/gone/../../srv", "/data/srv", Options{Missing: true}},
		{"/new/../srv/x", "/data/srv/x", Options{Missing: true}},
	} {
		got, err := Resolve(root, c.name, c.o)
		if err != nil || got.Path != c.want {
			t.Errorf("%q %+v: %s, %v; want %s", c.name, c.o, got.Path, err, c.want)
		}
		if _, err := root.Lstat(Name(c.want)); (err == nil) != (got.Info != nil) {
			t.Errorf("%q %+v: info %v, but the tree says %v", c.name, c.o, got.Info, err)
		}
	}
}

func TestResolveSaysWhatIsWrong(t *testing.T) {
	root := tree("etc/file", "into -> /etc/file/", "gone -> /no/such", "self -> self", "a -> /d/b", "d/b -> ../c", "c -> a",
		"empty -> ", "long -> "+strings.Repeat("x/", 2048), "lead -> a")
	for _, c := range []struct {
		name, want string
		is         error
		o          Options
	}{
		{"/etc/none", "path /etc/none: file does not exist", fs.ErrNotExist, Options{}},
		{"/none/x", "path /none/x: /none: file does not exist", fs.ErrNotExist, Options{}},
		{"/none/../etc", "path /none/../etc: /none: file does not exist", fs.ErrNotExist, Options{}},
		{"/gone", "path /gone: /no: file does not exist", fs.ErrNotExist, Options{}},
		{"/empty", "path /empty: file does not exist", fs.ErrNotExist, Options{}},
		{"/etc/file/", "path /etc/file/: not a directory", ErrNotDirectory, Options{}},
		{"/etc/file/..", "path /etc/file/..: /etc/file: not a directory", ErrNotDirectory, Options{}},
		{"/etc/file/new", "path /etc/file/new: /etc/file: not a directory", ErrNotDirectory, Options{Missing: true}},
		{"/into", "path /into: /etc/file: not a directory", ErrNotDirectory, Options{}},
		{"/long", "path /long: path too long after following symbolic links", ErrTooLong, Options{Missing: true}},
		{"/self", "path /self: too many symbolic links: /self -> self", nil, Options{Missing: true}},
		{"/lead/x", "path /lead/x: too many symbolic links: /a -> /d/b, /d/b -> ../c, /c -> a", nil, Options{NoFollow: true}},
	} {
		_, err := Resolve(root, c.name, c.o)
		if err == nil || err.Error() != c.want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q %+v: %v; want %s", c.name, c.o, err, c.want)
		}
		var loop *LoopError
		if (c.is == nil) != errors.As(err, &loop) {
			t.Errorf("%q: %T", c.name, err)
		}
	}
}

func TestResolveFollowsFortyLinks(t *testing.T) {
	var links []string
	for i := range 41 {
		links = append(links, fmt.Sprintf("l%d -> l%d", i+1, i))
	}
	root := tree(append(links, "l0/")...)
	f, err := Resolve(root, "/l40", Options{})
	if err != nil || f.Path != "/l0" || len(f.Links) != 40 || f.Links[0].String() != "/l40 -> l39" {
		t.Errorf("40 links: %s by %d links, %v", f.Path, len(f.Links), err)
	}
	const want = "path /l41: too many symbolic links: /l41 -> l40, /l40 -> l39, /l39 -> l38, /l38 -> l37, /l37 -> l36, and 36 more"
	if _, err := Resolve(root, "/l41", Options{}); err == nil || err.Error() != want {
		t.Errorf("41 links: %v", err)
	}
}

// A file system without Lstat would follow links by itself.
func TestOfRefusesWhatCannotReadLinks(t *testing.T) {
	type blind struct{ fs.FS }
	if _, err := Resolve(Of(blind{tree("a")}), "/a", Options{Missing: true}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if f, err := Resolve(Of(tree("a")), "/a", Options{}); err != nil || f.Path != "/a" {
		t.Errorf("got %s, %v", f.Path, err)
	}
}

type broken struct{ fstest.MapFS }

func (b broken) Lstat(name string) (fs.FileInfo, error) {
	if name == "bad" {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Lstat(name)
}

// An element that cannot be examined does not count as missing.
func TestResolvePassesErrorsOn(t *testing.T) {
	_, err := Resolve(broken{tree("bad")}, "/bad/x", Options{Missing: true})
	if want := "path /bad/x: /bad: permission denied"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestName(t *testing.T) {
	for p, want := range map[string]string{"/": ".", "": ".", "/a/b": "a/b", "a/": "a", "/..": "."} {
		if got := Name(p); got != want || !fs.ValidPath(got) {
			t.Errorf("%q: %q, want %q", p, got, want)
		}
	}
}
