package tree

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// dir is a directory with unfinished work below it. Its descriptors are closed if too many are open, and reopened from the
// nearest open ancestor.
type dir struct {
	parent     *dir
	name       string
	src, dst   int // -1: closed
	refs       int
	idle       *list.Element
	meta       meta
	pending    atomic.Int64 // unfinished pieces of work, plus one while its names are being read
	vol        uint64       // see volume
	existed    bool         // it existed on the target before this run
	incomplete atomic.Bool  // something in or below it could not be read; in Verify: its names, according to the manifest
	short      bool         // not all of its names could be read in this run
	files      atomic.Int64 // in the subtree, for the manifest
	bytes      atomic.Int64
}

// key identifies d in a manifest. Device numbers change from boot to boot, so the filesystem of the root is 0, and a subvolume
// is identified by its path.
func (d *dir) key() inode { return inode{d.vol, d.meta.ino} }

// volume returns the vol of the directory name in d, which is on device dev.
func (d *dir) volume(name string, dev uint64) uint64 {
	if dev == d.meta.dev {
		return d.vol
	}
	return xxh3.HashString(d.path(name)) | 1
}

// path returns the path of name in d, relative to the root, or that of d if name is empty. It is for messages and the manifest,
// and is never passed to the kernel.
func (d *dir) path(name string) string {
	var parts []string
	if name != "" {
		parts = append(parts, name)
	}
	for p := d; p.parent != nil; p = p.parent {
		parts = append(parts, p.name)
	}
	if len(parts) == 0 {
		return "."
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// dirFDs bounds the descriptors of dirs.
type dirFDs struct {
	mu    sync.Mutex
	limit int
	open  map[*dir]struct{}
	idle  list.List // of *dir, longest idle first
}

// adopt registers a dir whose descriptors are open. It starts with one reference.
func (c *dirFDs) adopt(d *dir) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.refs = 1
	c.opened(d)
	c.shrink()
}

// hold keeps d open until the matching drop.
func (c *dirFDs) hold(d *dir) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.idle != nil {
		c.idle.Remove(d.idle)
		d.idle = nil
	}
	if d.src < 0 {
		if err := c.reopen(d); err != nil {
			return err
		}
		c.opened(d)
		c.shrink()
	}
	d.refs++
	return nil
}

func (c *dirFDs) drop(d *dir) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.refs--
	if d.refs == 0 && d.parent != nil {
		d.idle = c.idle.PushBack(d)
		c.shrink()
	}
}

// finish closes d, which must have no references.
func (c *dirFDs) finish(d *dir) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.idle != nil {
		c.idle.Remove(d.idle)
		d.idle = nil
	}
	return c.closeDir(d)
}

func (c *dirFDs) closeDir(d *dir) error {
	if d.src < 0 {
		return nil
	}
	err := unix.Close(d.src)
	if d.dst >= 0 {
		if e := unix.Close(d.dst); e != nil {
			err = e
		}
	}
	d.src, d.dst = -1, -1
	delete(c.open, d)
	return err
}

func (c *dirFDs) opened(d *dir) {
	if c.open == nil {
		c.open = map[*dir]struct{}{}
	}
	c.open[d] = struct{}{}
}

// closeAll closes what an error left open. No worker may be running.
func (c *dirFDs) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range c.open {
		_ = c.closeDir(d)
	}
}

func (c *dirFDs) shrink() {
	for len(c.open) > c.limit && c.idle.Len() > 0 {
		d := c.idle.Remove(c.idle.Front()).(*dir)
		d.idle = nil
		_ = c.closeDir(d) // nothing is lost if closing a directory fails
	}
}

func (c *dirFDs) reopen(d *dir) error {
	up := d.parent
	names := []string{d.name}
	for up.src < 0 {
		names = append(names, up.name)
		up = up.parent
	}
	slices.Reverse(names)
	rel := strings.Join(names, "/")
	src := -1
	err := tries(func() (err error) {
		src, err = openDeep(up.src, rel)
		return err
	})
	if err != nil {
		return &Error{Side: Source, Op: "open again", Path: d.path(""), Err: err}
	}
	if up.dst < 0 { // only the source is walked
		d.src = src
		return nil
	}
	dst, err := openDeep(up.dst, rel)
	if err != nil {
		_ = unix.Close(src)
		return &Error{Side: Target, Op: "open again", Path: d.path(""), Err: err}
	}
	d.src, d.dst = src, dst
	return nil
}
