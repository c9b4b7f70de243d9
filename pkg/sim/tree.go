package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"sort"
	"strings"
	"testing/fstest"
)

func (m *Machine) isDir(name string) bool {
	if name == "/" {
		return true
	}
	st, err := fs.Stat(m.View(), strings.TrimPrefix(path.Clean(name), "/"))
	return err == nil && st.IsDir()
}

// Files makes a tree of names and texts, with the directories that these need.
func Files(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for n, s := range files {
		out[n] = &fstest.MapFile{Data: []byte(s), Mode: 0o644}
		for d := path.Dir(n); d != "."; d = path.Dir(d) {
			if out[d] == nil {
				out[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			}
		}
	}
	return out
}

// at finds the tree that a path is on, and its name there.
func (m *Machine) at(name string) (tree fstest.MapFS, rel string, ro bool) {
	name = path.Clean(name)
	best := ""
	tree, rel = m.Root, strings.TrimPrefix(name, "/")
	for _, mount := range m.Mounts {
		if (mount.Dir == "/" || name == mount.Dir || strings.HasPrefix(name, mount.Dir+"/")) && len(mount.Dir) >= len(best) {
			best, tree, ro = mount.Dir, mount.Tree, mount.ReadOnly
			rel = strings.TrimPrefix(strings.TrimPrefix(name, mount.Dir), "/")
		}
	}
	if rel == "" {
		rel = "."
	}
	return tree, rel, ro
}

// View is the whole machine's root as one file system: mounted trees over each other, /proc and /sys as the kernel shows.
func (m *Machine) View() fstest.MapFS {
	out := maps.Clone(m.Root)
	for _, mount := range m.Mounts {
		dir := strings.TrimPrefix(mount.Dir, "/")
		if dir == "" {
			out = maps.Clone(mount.Tree)
			continue
		}
		for n := range out {
			if strings.HasPrefix(n, dir+"/") {
				delete(out, n)
			}
		}
		if mount.file != nil {
			out[dir] = mount.file
			continue
		}
		out[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		for n, f := range mount.Tree {
			out[dir+"/"+n] = f
		}
	}
	m.kernel(out)
	return out
}

// Below is View from a directory.
func (m *Machine) Below(dir string) fstest.MapFS {
	all := m.View()
	pre := strings.TrimPrefix(path.Clean(dir), "/")
	if pre == "" {
		return all
	}
	out := fstest.MapFS{}
	for n, f := range all {
		if rel, ok := strings.CutPrefix(n, pre+"/"); ok {
			out[rel] = f
		}
	}
	return out
}

// idOf gives the UUID of the filesystem that a tree is.
func (m *Machine) idOf(tree fstest.MapFS) string {
	for id, x := range m.Trees {
		if reflect.ValueOf(x).Pointer() == reflect.ValueOf(tree).Pointer() {
			return id
		}
	}
	return ""
}

// loosen notes a file as the disk has it, before a write that only reaches the page cache.
func (m *Machine) loosen(tree fstest.MapFS, rel string) {
	id := m.idOf(tree)
	if id == "" {
		return
	}
	if m.loose == nil {
		m.loose = map[string]fstest.MapFS{}
	}
	if m.loose[id] == nil {
		m.loose[id] = fstest.MapFS{}
	}
	if _, noted := m.loose[id][rel]; !noted {
		m.loose[id][rel] = tree[rel]
	}
}

// flush is a sync: what the page cache had is on the disk, and what the journal had is in its place.
func (m *Machine) flush(tree fstest.MapFS) {
	delete(m.loose, m.idOf(tree))
	delete(m.journaled, m.idOf(tree))
}

// rename notes a name that only the filesystem's journal has.
func (m *Machine) rename(id, name string) {
	if m.journaled == nil {
		m.journaled = map[string]map[string]bool{}
	}
	if m.journaled[id] == nil {
		m.journaled[id] = map[string]bool{}
	}
	m.journaled[id][name] = true
}

// Replay puts what the journals of all filesystems have in its place, as a sync does.
func (m *Machine) Replay() { m.journaled = nil }

// unreplayed is a filesystem as a reader sees it that does not replay its journal: a boot loader, or a mount with noload.
func (m *Machine) unreplayed(id string) fstest.MapFS {
	out := maps.Clone(m.Trees[id])
	for name := range m.journaled[id] {
		delete(out, name)
	}
	return out
}

// Diff names the first difference of two trees, "" for none.
func Diff(a, b fstest.MapFS) string {
	names := map[string]bool{}
	for n := range a {
		names[n] = true
	}
	for n := range b {
		names[n] = true
	}
	var all []string
	for n := range names {
		all = append(all, n)
	}
	sort.Strings(all)
	for _, n := range all {
		x, y := a[n], b[n]
		switch {
		case x == nil || y == nil:
			return fmt.Sprintf("%s: there %v, here %v", n, x != nil, y != nil)
		case x.Mode != y.Mode:
			return fmt.Sprintf("%s: mode %v, %v", n, x.Mode, y.Mode)
		case string(x.Data) != string(y.Data):
			return fmt.Sprintf("%s: %.200q, %.200q", n, x.Data, y.Data)
		}
	}
	return ""
}
