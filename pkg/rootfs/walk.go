package rootfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

const (
	maxLinks = 40   // MAXSYMLINKS of linux/namei.h
	pathMax  = 4096 // PATH_MAX of linux/limits.h; a link's target is shorter
)

// Options select how to resolve. The zero value does what open(2) does: it follows all links, and everything has to
// exist.
type Options struct {
	// NoFollow does not follow the last element if it is a symbolic link: for a path that will be replaced, removed
	// or read as a link. As in the kernel, a link in a path that ends in "/" is still followed.
	NoFollow bool
	// Missing allows elements to be missing: for a path that will be created. Missing elements count as empty
	// directories, so that the missing rest of the path becomes the rest of the result. Something that exists but
	// is not a directory is still an error.
	Missing bool
}

// Kind is a kind of element, as far as the rules of path resolution distinguish them.
type Kind uint8

// The kinds.
const (
	Other     Kind = iota // neither a directory nor a symbolic link
	Directory             // has entries
	Symlink               // has a target
)

// An Element is what a tree has under one name. Node is the tree's own handle for it.
type Element[N any] struct {
	Node   N
	Kind   Kind
	Target string // of a symbolic link
}

// A Place is where a path leads.
type Place[N any] struct {
	Path    string // absolute in the root, clean
	Node    N      // zero when missing
	Missing bool   // nothing exists there; only with [Options].Missing
	Links   []Link // the symbolic links that were followed, in order
}

// Walk resolves name in a tree. root is the tree's root, which is a directory. find returns what a directory has under
// a name, which is never "", "." or ".."; if there is nothing, its error must match [fs.ErrNotExist]. Any other error
// of find ends the walk. The error of Walk is an [*Error] or a [*LoopError].
func Walk[N any](root N, find func(dir N, name string) (Element[N], error), name string, o Options) (Place[N], error) {
	w := walk[N]{find: find, name: name, o: o, rest: strings.Split(name, "/"),
		at: []step[N]{{path: "/", Element: Element[N]{Node: root, Kind: Directory}}}}
	for len(w.rest) > 0 {
		if err := w.next(); err != nil {
			return Place[N]{}, err
		}
	}
	top := w.top()
	return Place[N]{Path: top.path, Node: top.Node, Missing: top.missing, Links: w.links}, nil
}

type step[N any] struct {
	Element[N]
	path    string
	missing bool
}

type walk[N any] struct {
	find  func(dir N, name string) (Element[N], error)
	name  string
	o     Options
	at    []step[N] // from the root to the present position
	rest  []string  // elements that remain
	links []Link
}

func (w *walk[N]) top() step[N] { return w.at[len(w.at)-1] }

// next resolves the next element.
func (w *walk[N]) next() error {
	part, dir := w.rest[0], w.top()
	w.rest = w.rest[1:]
	if dir.Kind != Directory {
		return &Error{Path: w.name, At: dir.path, Err: ErrNotDirectory}
	}
	switch part {
	case "", ".":
		return nil
	case "..":
		w.at = w.at[:max(1, len(w.at)-1)]
		return nil
	}
	s, err := w.look(dir, part)
	if err != nil {
		return &Error{Path: w.name, At: s.path, Err: err}
	}
	if s.Kind == Symlink && (len(w.rest) > 0 || !w.o.NoFollow) {
		return w.follow(Link{Path: s.path, Target: s.Target})
	}
	w.at = append(w.at, s)
	return nil
}

// look finds one entry of a directory. The path of the result is set even if there is an error.
func (w *walk[N]) look(dir step[N], part string) (step[N], error) {
	s := step[N]{path: path.Join(dir.path, part)}
	err := fs.ErrNotExist
	if !dir.missing {
		s.Element, err = w.find(dir.Node, part)
	}
	if w.o.Missing && errors.Is(err, fs.ErrNotExist) {
		s.Element, s.missing = Element[N]{Kind: Directory}, true
		return s, nil
	}
	return s, err
}

func (w *walk[N]) follow(l Link) error {
	w.links = append(w.links, l)
	if len(w.links) > maxLinks {
		return &LoopError{Path: w.name, Links: loop(w.links)}
	}
	if l.Target == "" {
		// Linux cannot store an empty target, and reports it as missing.
		return &Error{Path: w.name, At: l.Path, Err: fs.ErrNotExist}
	}
	if strings.HasPrefix(l.Target, "/") {
		w.at = w.at[:1]
	}
	target := strings.Split(l.Target, "/")
	if len(l.Target) >= pathMax || len(target)+len(w.rest) > pathMax {
		return &Error{Path: w.name, At: l.Path, Err: ErrTooLong}
	}
	w.rest = append(target, w.rest...)
	return nil
}
