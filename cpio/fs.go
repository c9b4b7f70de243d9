package cpio

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// FS returns the archive as a read-only file system whose symbolic links are resolved inside it, so that code that
// reads an [fs.FS] can read an image. Opening a file whose body was not kept fails with [ErrNotKept].
func (a *Archive) FS() fs.ReadLinkFS { return archiveFS{a} }

type archiveFS struct{ a *Archive }

func (f archiveFS) find(op, name string, follow bool) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, err := f.a.resolve(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

func (f archiveFS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	info := fileInfo{path.Base(name), n}
	switch {
	case n.child != nil:
		return &openDir{info: info, list: n.list()}, nil
	case n.file == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	case !n.file.kept:
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotKept}
	}
	return &openFile{Reader: bytes.NewReader(n.file.data), info: info}, nil
}

func (f archiveFS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return fileInfo{path.Base(name), n}, nil
}

func (f archiveFS) Lstat(name string) (fs.FileInfo, error) {
	n, err := f.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return fileInfo{path.Base(name), n}, nil
}

func (f archiveFS) ReadLink(name string) (string, error) {
	n, err := f.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if !n.entry.IsSymlink() {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return n.entry.Link, nil
}

func (n *node) list() []fs.DirEntry {
	list := make([]fs.DirEntry, 0, len(n.child))
	for name, c := range n.child {
		list = append(list, fs.FileInfoToDirEntry(fileInfo{name, c}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// fileInfo describes a node; its Sys returns an Entry.
type fileInfo struct {
	name string
	n    *node
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.n.describe().Size }
func (i fileInfo) ModTime() time.Time { return time.Unix(i.n.entry.MTime, 0) }
func (i fileInfo) IsDir() bool        { return i.n.entry.IsDir() }
func (i fileInfo) Sys() any           { return i.n.describe() }

func (i fileInfo) Mode() fs.FileMode {
	m := i.n.entry.Mode
	mode := fs.FileMode(m & 0o777)
	for bit, is := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= is
		}
	}
	switch m & ModeType {
	case ModeRegular:
	case ModeDir:
		mode |= fs.ModeDir
	case ModeSymlink:
		mode |= fs.ModeSymlink
	case ModeBlock:
		mode |= fs.ModeDevice
	case ModeChar:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case ModeFifo:
		mode |= fs.ModeNamedPipe
	case ModeSocket:
		mode |= fs.ModeSocket
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

type openFile struct {
	*bytes.Reader
	info fileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info fileInfo
	list []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
