package tree

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// root is one side of a copy: an open directory and the properties of its filesystem.
type root struct {
	side   Side
	fd     int
	cloned bool // opened on a private mount without submounts
	st     stat
	magic  int64
	bsize  int64 // unit of allocation according to statfs, in bytes
	fs     unix.Statfs_t
}

// roundUp rounds n up to whole units of allocation.
func (r *root) roundUp(n int64) int64 { return (n + r.bsize - 1) / r.bsize * r.bsize }

const resolveAll = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// openRoot opens path on a private clone of its mount, which is noatime and, if readOnly is set, read-only. If the kernel or the
// privileges do not allow a clone, or plain is set, it opens path itself.
func openRoot(side Side, path string, readOnly, plain bool) (*root, error) {
	fail := func(op string, err error) (*root, error) {
		return nil, &Error{Side: side, Op: op, Path: path, Err: err}
	}
	r := &root{side: side}
	mnt, err := -1, error(unix.EPERM)
	if !plain {
		mnt, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	}
	if err == nil {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOATIME, Attr_clr: unix.MOUNT_ATTR__ATIME}
		if readOnly {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV
		}
		err = unix.MountSetattr(mnt, "", unix.AT_EMPTY_PATH, &attr)
		if err != nil {
			_ = unix.Close(mnt)
		}
	}
	if err == nil {
		r.cloned = true
		r.fd, err = openBelow(mnt, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		_ = unix.Close(mnt)
	} else {
		r.fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return fail("open", err)
	}
	if err := r.look(); err != nil {
		_ = unix.Close(r.fd)
		return fail("stat", err)
	}
	return r, nil
}

func (r *root) look() error {
	if err := unix.Fstatfs(r.fd, &r.fs); err != nil {
		return err
	}
	r.magic, r.bsize = int64(r.fs.Type), max(512, int64(r.fs.Bsize))
	if unix.O_NOATIME != 0 && !r.cloned {
		// Open it with O_NOATIME: reading must not change the source.
		if fd, err := openBelow(r.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
			_ = unix.Close(r.fd)
			r.fd = fd
		}
	}
	return statFD(r.fd, &r.st)
}

func (r *root) close() error { return unix.Close(r.fd) }

// openBelow opens name, which may have several components, below dir. It never leaves the mount, never follows a symlink, and
// never blocks on a fifo.
func openBelow(dir int, name string, flags int, mode uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Mode: mode, Resolve: resolveAll}
	if flags&unix.O_PATH == 0 {
		how.Flags |= unix.O_NOATIME | unix.O_NONBLOCK
	}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.EPERM) && how.Flags&unix.O_NOATIME != 0:
			how.Flags &^= unix.O_NOATIME
			continue
		}
		return fd, err
	}
}

// openDeep opens the directory at path below dir. path may be longer than PATH_MAX.
func openDeep(dir int, path string) (int, error) {
	const chunk = 4000
	at := dir
	for {
		part := path
		if len(part) > chunk {
			part = part[:strings.LastIndexByte(part[:chunk], '/')]
		}
		path = strings.TrimPrefix(path[len(part):], "/")
		fd, err := openBelow(at, part, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if at != dir {
			_ = unix.Close(at)
		}
		if err != nil || path == "" {
			return fd, err
		}
		at = fd
	}
}

// openPath opens the object at path below dir. path may be longer than PATH_MAX.
func openPath(dir int, path string, flags int) (int, error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return openBelow(dir, path, flags, 0)
	}
	up, err := openDeep(dir, path[:i])
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(up) }()
	return openBelow(up, path[i+1:], flags, 0)
}
