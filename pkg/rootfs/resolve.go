package rootfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// A Tree is the part of [fs.ReadLinkFS] that [Resolve] needs. Names are as in io/fs, "." for the root, and never lead
// through a symbolic link.
type Tree interface {
	Lstat(name string) (fs.FileInfo, error)
	ReadLink(name string) (string, error)
}

// Of returns a file system as a Tree. If the file system cannot read links, every use of the Tree returns
// [errors.ErrUnsupported]: its Stat would follow links to wherever they lead.
func Of(fsys fs.FS) Tree {
	if t, ok := fsys.(Tree); ok {
		return t
	}
	return linkless{}
}

type linkless struct{}

func (linkless) Lstat(string) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (linkless) ReadLink(string) (string, error) { return "", errors.ErrUnsupported }

// A File is where a path leads in a [Tree].
type File struct {
	Path  string      // absolute in the root, clean
	Info  fs.FileInfo // nil if nothing is there, which only [Options].Missing allows
	Links []Link      // the symbolic links that were followed, in order
}

// Resolve resolves a path, absolute or relative to the root, inside t. An error is an [*Error] or a [*LoopError].
func Resolve(t Tree, name string, o Options) (File, error) {
	top, err := t.Lstat(".")
	if err != nil {
		return File{}, &Error{Path: name, At: "/", Err: cause(err)}
	}
	find := func(dir entry, name string) (Element[entry], error) { return below(t, dir, name) }
	p, err := Walk(entry{"/", top}, find, name, o)
	return File{Path: p.Path, Info: p.Node.info, Links: p.Links}, err
}

// entry is the node type for a Tree: a path and its file information.
type entry struct {
	path string
	info fs.FileInfo
}

func below(t Tree, dir entry, name string) (Element[entry], error) {
	at := path.Join(dir.path, name)
	info, err := t.Lstat(Name(at))
	if err != nil {
		return Element[entry]{}, cause(err)
	}
	e := Element[entry]{Node: entry{at, info}}
	switch {
	case info.IsDir():
		e.Kind = Directory
	case info.Mode()&fs.ModeSymlink != 0:
		e.Kind = Symlink
		if e.Target, err = t.ReadLink(Name(at)); err != nil {
			return Element[entry]{}, cause(err)
		}
	}
	return e, nil
}

// Name converts a path in a root to a name of io/fs: without leading slash, "." for the root.
func Name(p string) string {
	if p = strings.TrimPrefix(absolute(p), "/"); p != "" {
		return p
	}
	return "."
}

func absolute(p string) string { return path.Clean("/" + p) }

// cause returns the cause of a path error without the path, because an [Error] names the file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
