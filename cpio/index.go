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

// IndexOptions bounds an index and chooses whose bodies it holds.
type IndexOptions struct {
	Options
	// Keep chooses the regular files to hold in memory; nil keeps none. The
	// entry's Name is canonical: symbolic links in its directory are resolved.
	Keep func(e Entry) bool
	// MaxKept is the most bytes that are held; default 64 MiB.
	MaxKept int64
}

// Archive is what the root file system holds once the kernel has unpacked
// an image.
type Archive struct {
	root     *node
	Segments []Segment
	// Dropped names entries which the kernel silently leaves out: their directory
	// is not there, or is a file; or they have data and are neither a file nor a link.
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

// Index reads a whole image. A limit that is exceeded is an error, not a cut.
func Index(r io.Reader, opts IndexOptions) (*Archive, error) {
	if opts.MaxKept <= 0 {
		opts.MaxKept = 64 << 20
	}
	b := builder{archive: &Archive{root: newDir(".")}, opts: opts, links: map[linkKey]*contents{}}
	// The archive inside every kernel has these (usr/default_cpio_list).
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

// linkKey is what the kernel's find_link compares.
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
		// Links to directories let short names nest without end, and each entry would hold its whole path.
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
		// The kernel's rmdir of a directory with contents fails, and so does what follows.
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

// body takes the contents of a regular file. Of hard links any may carry them,
// usually the last. A file that is there already is emptied and written, so its other names show the new contents.
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
	// Links before this one may have been chosen, when their data was not there yet.
	if !keep && !f.kept {
		return f, nil
	}
	if b.kept += e.Size; b.kept > b.opts.MaxKept {
		return nil, fmt.Errorf("file %q: index would hold more than %d bytes", e.Name, b.opts.MaxKept)
	}
	data, err := readUpTo(r, nil, e.Size)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", e.Name, err)
	}
	f.data, f.kept = data, true
	return f, nil
}

// resolve follows name from the root; ".." stays inside. The last component's
// symbolic link is followed only on demand.
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

// Lookup finds a file by name, with or without leading "/" or "./", through all symbolic
// links, inside the image. The entry has its canonical name and the size
// of its contents, also for a hard link whose own record had none; its Body is nil.
// An error is a [*fs.PathError], with [fs.ErrNotExist] when it is that.
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

// ReadFile returns the body of a regular file that was kept. The caller must not change
// it.
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

// List returns every entry, sorted by canonical name, the root left out. Their
// Bodies are nil.
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
