package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing/fstest"

	"migrate-init/pkg/machine"
)

// file carries out the effects on files.
func (m *Machine) file(e machine.Effect, torn bool) error {
	change := func(name string) (fstest.MapFS, string, error) {
		tree, rel, ro := m.at(name)
		if ro {
			m.TB.Errorf("read-only mount: %v", e)
			return nil, "", errors.New("read-only filesystem")
		}
		return tree, rel, nil
	}
	write := func(name string, data []byte, mode fs.FileMode) error {
		if torn {
			return nil // an atomic write that was cut short leaves what was there
		}
		if !m.isDir(path.Dir(name)) {
			return fmt.Errorf("file %s: no directory: %w", name, fs.ErrNotExist)
		}
		tree, rel, err := change(name)
		if err != nil {
			return err
		}
		if f := tree[rel]; f != nil {
			if f.Mode&fs.ModeSymlink != 0 {
				return fmt.Errorf("file %s: a symbolic link", name)
			}
			mode = f.Mode
		}
		tree[rel] = &fstest.MapFile{Data: data, Mode: mode}
		delete(m.loose[m.idOf(tree)], rel)
		return nil
	}
	switch e := e.(type) {
	case machine.Mkdir:
		for d := path.Clean(e.Path); d != "/"; d = path.Dir(d) {
			tree, rel, err := change(d)
			if err != nil {
				return err
			}
			if rel != "." && tree[rel] == nil {
				tree[rel] = &fstest.MapFile{Mode: fs.ModeDir | e.Mode}
			}
		}
		return nil
	case machine.WriteFile:
		return write(e.Path, e.Data, e.Mode)
	case machine.WriteInPlace:
		tree, rel, err := change(e.Path)
		if err != nil {
			return err
		}
		f := tree[rel]
		if f == nil || len(f.Data) != len(e.Data) {
			return fmt.Errorf("file %s: not there, or of another length", e.Path)
		}
		tree[rel] = &fstest.MapFile{Data: e.Data, Mode: f.Mode}
		return nil
	case machine.CopyFile:
		tree, rel, _ := m.at(e.From)
		if tree[rel] == nil {
			return fmt.Errorf("file %s: %w", e.From, fs.ErrNotExist)
		}
		return write(e.To, tree[rel].Data, e.Mode)
	case machine.Remove:
		tree, rel, err := change(e.Path)
		if err != nil {
			return err
		}
		for n := range tree {
			if strings.HasPrefix(n, rel+"/") {
				return fmt.Errorf("remove %s: directory not empty: %s", e.Path, n)
			}
		}
		delete(tree, rel)
		return nil
	case machine.Rename:
		tree, from, err := change(e.From)
		if err != nil {
			return err
		}
		other, to, err := change(e.To)
		if err != nil {
			return err
		}
		if tree[from] == nil {
			return fmt.Errorf("rename %s: %w", e.From, fs.ErrNotExist)
		}
		if torn {
			return nil
		}
		f := tree[from]
		delete(tree, from)
		other[to] = f
		if id := m.idOf(other); id != "" {
			m.rename(id, to)
		}
		return nil
	case machine.Symlink:
		tree, rel, err := change(e.Path)
		if err != nil || torn {
			return err
		}
		tree[rel] = &fstest.MapFile{Data: []byte(e.Target), Mode: fs.ModeSymlink | 0o777}
		return nil
	}
	return fmt.Errorf("effect %T: not known here", e)
}
