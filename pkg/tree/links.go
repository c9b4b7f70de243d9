package tree

import (
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// links keeps the inodes with more than one link until their last name has been made. Apart from directories, nothing else
// grows with the size of the source.
type links struct {
	mu    sync.Mutex
	busy  map[inode]*busyLink
	ready tables[storedLink]
	wide  map[inode][8]byte // the rest of handles that do not fit storedLink: btrfs
	paths map[inode]string  // used if the target does not support file handles
}

// linkRec locates the copy of an inode on the target by a file handle (open_by_handle_at).
type linkRec struct {
	left   uint32 // names still to be made
	frozen uint8  // flFrozen bits to set after the last name
	hlen   uint8  // 0: look in paths
	htype  uint16
	handle [20]byte
}

// storedLink is a linkRec with the shorter file handle of ext4 and xfs.
type storedLink struct {
	left         uint32
	frozen, hlen uint8
	htype        uint16
	handle       [12]byte
}

func (l *links) load(k inode) (r linkRec, ok bool) {
	p, ok := l.ready.get(k)
	r = linkRec{left: p.left, frozen: p.frozen, hlen: p.hlen, htype: p.htype}
	copy(r.handle[:], p.handle[:])
	if tail, long := l.wide[k]; long {
		copy(r.handle[12:], tail[:])
	}
	return r, ok
}

func (l *links) store(k inode, r linkRec) error {
	if tail := [8]byte(r.handle[12:]); tail != [8]byte{} {
		l.wide[k] = tail
	}
	return l.ready.put(k, storedLink{r.left, r.frozen, r.hlen, r.htype, [12]byte(r.handle[:])})
}

func (l *links) drop(k inode) {
	l.ready.del(k)
	delete(l.wide, k)
	delete(l.paths, k)
}

type busyLink struct {
	waiting []waiter
}

// waiter is another name of an inode that was being copied, or a file that shares extents with a file being copied.
type waiter struct {
	d    *dir
	name string
	ino  uint64
	size int64
}

func newLinks() *links {
	return &links{busy: map[inode]*busyLink{}, wide: map[inode][8]byte{}, paths: map[inode]string{}}
}

type claim uint8

const (
	claimFirst claim = iota
	claimWait        // queued: the worker that copies the first name makes this one
	claimReady
)

func (l *links) claim(k inode, w waiter) (claim, linkRec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.load(k); ok {
		return claimReady, r
	}
	if b := l.busy[k]; b != nil {
		w.d.pending.Add(1)
		b.waiting = append(b.waiting, w)
		return claimWait, linkRec{}
	}
	l.busy[k] = &busyLink{}
	return claimFirst, linkRec{}
}

// publish records where the first name is, and returns the names that wait for it.
func (l *links) publish(k inode, r linkRec, path string) ([]waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.busy[k]
	delete(l.busy, k)
	if path != "" {
		l.paths[k] = path
	}
	if r.left > 0 {
		if err := l.store(k, r); err != nil {
			return nil, err
		}
	}
	if b == nil {
		return nil, nil
	}
	return b.waiting, nil
}

// used counts one more name. last reports whether it was the last name of the inode in the source.
func (l *links) used(k inode) (r linkRec, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.load(k)
	if !ok {
		return r, false
	}
	if r.left--; r.left == 0 {
		l.drop(k)
		return r, true
	}
	_ = l.store(k, r) // cannot fail: the key exists
	return r, false
}

// handleOf fills r for the object name in dir.
func (r *linkRec) handleOf(dir int, name string) bool {
	flags := 0
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	h, _, err := unix.NameToHandleAt(dir, name, flags)
	if err != nil || h.Size() > len(r.handle) || h.Size() == 0 || h.Type() < 0 || h.Type() > math.MaxUint16 {
		return false
	}
	r.htype, r.hlen = uint16(h.Type()), uint8(h.Size())
	copy(r.handle[:], h.Bytes())
	return true
}

// openLink opens the target's copy of k.
func (c *copier) openLink(k inode, r linkRec, flags int) (int, error) {
	if r.hlen != 0 {
		h := unix.NewFileHandle(int32(r.htype), r.handle[:r.hlen])
		fd, err := unix.OpenByHandleAt(c.dst.fd, h, flags|unix.O_CLOEXEC)
		if err == nil {
			return fd, nil
		}
		return -1, err
	}
	c.links.mu.Lock()
	path := c.links.paths[k]
	c.links.mu.Unlock()
	return openPath(c.dst.fd, path, flags)
}

// makeLink makes name in d a link to the copy of k. d must be held.
func (c *copier) makeLink(d *dir, name string, k inode, r linkRec) error {
	fail := func(err error) error {
		return &Error{Side: Target, Op: "link", Path: d.path(name), Err: err}
	}
	fd, err := c.openLink(k, r, unix.O_PATH)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Linkat(fd, "", d.dst, name, unix.AT_EMPTY_PATH)
	if err != nil && err != unix.EEXIST {
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), d.dst, name, unix.AT_SYMLINK_FOLLOW)
	}
	if err == unix.EEXIST && d.existed {
		if err = c.remove(d, name); err == nil {
			err = unix.Linkat(fd, "", d.dst, name, unix.AT_EMPTY_PATH)
		}
	}
	if err != nil {
		return fail(err)
	}
	if r, last := c.links.used(k); last && r.frozen != 0 {
		return c.freeze(k, r, d.path(name))
	}
	return nil
}

// freeze sets the flags that were deferred until the last name.
func (c *copier) freeze(k inode, r linkRec, path string) error {
	fd, err := c.openLink(k, r, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW)
	if err != nil {
		return &Error{Side: Target, Op: "open to set flags", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	if bits, err := (object{fd: fd}).addFlags(uint32(r.frozen), uint32(r.frozen)); err != nil {
		return c.loss(path, "flags "+formatBits(bits, flagNames()), err)
	}
	return nil
}

// freezeRest sets the deferred flags of inodes that have names outside the copied tree.
func (c *copier) freezeRest() error {
	return c.links.ready.each(func(k inode, p storedLink) error {
		if p.frozen == 0 {
			return nil
		}
		r, _ := c.links.load(k)
		return c.freeze(k, r, "inode "+strconv.FormatUint(k.ino, 10))
	})
}
