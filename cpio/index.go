package cpio

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/rootfs"
)

// IndexOptions limits an index and chooses the bodies that it keeps.
type IndexOptions struct {
	Options
	// Keep chooses the regular files to keep in memory; nil keeps none. The
	// entry's Name is canonical: symbolic links in its directory are resolved.
	Keep func(e Entry) bool
	// MaxKept is the largest number of bytes to keep; default 64 MiB.
	MaxKept int64
}

// Archive is the contents of the root file system after the kernel has unpacked
// an image. Create it with [Index].
type Archive struct {
	root     *node
	Segments []Segment
	// Dropped names entries that the kernel silently omits: their directory does not
	// exist or is a file, or they have data but are neither a file nor a link.
	Dropped []string
}

type node struct {
	entry Entry
	child map[string]*node // of a directory
	file  *contents        // shared by hard links
}

type contents struct {
	size int64
	data []byte
	kept bool
}

// ErrNotKept is returned for a file whose body Keep did not choose.
var ErrNotKept = errors.New("body was not kept in the index")

// Index reads a whole image. If a limit is exceeded, it returns an error and not a part of the image.
func Index(r io.Reader, opts IndexOptions) (*Archive, error) {
	if opts.MaxKept <= 0 {
		opts.MaxKept = 64 << 20
	}
	b := builder{archive: &Archive{root: newDir(".")}, opts: opts, links: map[linkKey]*contents{}}
	// The archive built into every kernel has these (usr/default_cpio_list).
	b.archive.root.child["dev"] = newDir("dev")
	b.archive.root.child["root"] = newDir("root")
	if err := Walk(r, opts.Options, b.add); err != nil {
		return nil, err
	}
	return b.archive, nil
}

func newDir(name string) *node {
	return &node{entry: Entry{Name: name, Mode: ModeDir | 0o755, Nlink: 2}, child: map[string]*node{}}
}

// linkKey holds what the kernel's find_link compares.
type linkKey struct {
	archive            int
	major, minor, kind uint32
	ino                uint64
}

type builder struct {
	archive *Archive
	opts    IndexOptions
	links   map[linkKey]*contents
	kept    int64
}

func (b *builder) add(seg Segment, e Entry) error {
	a := b.archive
	if len(a.Segments) == 0 || a.Segments[len(a.Segments)-1] != seg {
		a.Segments = append(a.Segments, seg)
	}
	if e.Name == "." {
		if e.IsDir() {
			e.Body = nil
			a.root.entry = e
		}
		return nil
	}
	dir, err := a.resolve(path.Dir(e.Name), true)
	if err != nil || dir.child == nil {
		a.Dropped = append(a.Dropped, e.Name)
		return nil
	}
	name := path.Base(e.Name)
	e.Name = path.Join(dir.entry.Name, name)
	if len(e.Name) >= pathMax {
		// With links to directories, short names can nest without end, and each entry would hold its whole path.
		return fmt.Errorf("entry %q: its path through symbolic links has %d bytes, limit is %d", name, len(e.Name), pathMax-1)
	}
	if e.Size != 0 && !e.IsRegular() && !e.IsSymlink() {
		a.Dropped = append(a.Dropped, e.Name)
		return nil
	}
	body := e.Body
	e.Body = nil
	n := &node{entry: e}
	old := dir.child[name]
	switch {
	case e.IsDir():
		n.child = map[string]*node{}
		if old != nil && old.child != nil {
			n.child = old.child
		}
	case old != nil && len(old.child) > 0:
		// The kernel's rmdir of a directory that is not empty fails, and then the entry fails too.
		a.Dropped = append(a.Dropped, e.Name)
		return nil
	case e.IsRegular():
		n.file, err = b.body(e, body, old)
		if err != nil {
			return err
		}
	}
	dir.child[name] = n
	return nil
}

// body reads the contents of a regular file. Any of several hard links may have
// them, usually the last. A file that already exists is truncated and rewritten, so
// its other names show the new contents.
func (b *builder) body(e Entry, r io.Reader, old *node) (*contents, error) {
	keep := b.opts.Keep != nil && b.opts.Keep(e)
	key := linkKey{archive: e.archive, major: e.devMajor, minor: e.devMinor, kind: e.Mode & ModeType, ino: e.Ino}
	f := &contents{}
	if known := b.links[key]; e.Nlink > 1 && known != nil {
		f = known
	} else {
		if old != nil && old.file != nil {
			f, keep = old.file, keep || old.file.kept
			*f = contents{}
		}
		if e.Nlink > 1 {
			b.links[key] = f
		}
	}
	if e.Size == 0 {
		f.kept = f.kept || keep && f.size == 0
		return f, nil
	}
	f.size = e.Size
	// Keep may have chosen an earlier link, which had no data yet.
	if !keep && !f.kept {
		return f, nil
	}
	if b.kept += e.Size; b.kept > b.opts.MaxKept {
		return nil, fmt.Errorf("file %q: the index would keep more than %d bytes", e.Name, b.opts.MaxKept)
	}
	data, err := readUpTo(r, nil, e.Size)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", e.Name, err)
	}
	f.data, f.kept = data, true
	return f, nil
}

// resolve follows name from the root; ".." stays inside. It follows a symbolic link
// in the last component only if follow is set.
func (a *Archive) resolve(name string, follow bool) (*node, error) {
	p, err := rootfs.Walk(a.root, find, name, rootfs.Options{NoFollow: !follow})
	var e *rootfs.Error
	switch {
	case errors.Is(err, rootfs.ErrNotDirectory):
		return nil, fs.ErrNotExist
	case errors.As(err, &e):
		return nil, e.Err // the caller names the file
	}
	return p.Node, err
}

func find(dir *node, name string) (rootfs.Element[*node], error) {
	n := dir.child[name]
	switch {
	case n == nil:
		return rootfs.Element[*node]{}, fs.ErrNotExist
	case n.entry.IsSymlink():
		return rootfs.Element[*node]{Node: n, Kind: rootfs.Symlink, Target: n.entry.Link}, nil
	case n.child != nil:
		return rootfs.Element[*node]{Node: n, Kind: rootfs.Directory}, nil
	}
	return rootfs.Element[*node]{Node: n}, nil
}

// Lookup finds a file by name, with or without leading "/" or "./", and follows all
// symbolic links inside the image. The entry has its canonical name and the size of
// its contents, even for a hard link whose own record had none; its Body is nil. An
// error is a [*fs.PathError], which wraps [fs.ErrNotExist] if there is no such file.
func (a *Archive) Lookup(name string) (Entry, error) {
	n, err := a.resolve(name, true)
	if err != nil {
		return Entry{}, &fs.PathError{Op: "lookup", Path: name, Err: err}
	}
	return n.describe(), nil
}

func (n *node) describe() Entry {
	e := n.entry
	if n.file != nil {
		e.Size = n.file.size
	}
	return e
}

// ReadFile returns the body of a regular file, or an error that wraps [ErrNotKept] if the body was not kept. The caller
// must not change the bytes.
func (a *Archive) ReadFile(name string) ([]byte, error) {
	n, err := a.resolve(name, true)
	switch {
	case err != nil:
	case n.file == nil:
		err = errors.New("not a regular file")
	case !n.file.kept:
		err = ErrNotKept
	default:
		return n.file.data, nil
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: err}
}

// List returns every entry except the root, sorted by canonical name. Their Bodies
// are nil.
func (a *Archive) List() []Entry {
	var all []Entry
	var visit func(n *node)
	visit = func(n *node) {
		for _, c := range n.child {
			all = append(all, c.describe())
			visit(c)
		}
	}
	visit(a.root)
	slices.SortFunc(all, func(x, y Entry) int { return strings.Compare(x.Name, y.Name) })
	return all
}
