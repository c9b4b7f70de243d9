package tree

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamp is a file time: seconds since 1970, which may be negative, and nanoseconds.
type stamp struct {
	Sec  int64
	Nsec uint32
}

// stat is the result of statx for an inode. size is in bytes, blocks in units of 512 bytes.
type stat struct {
	mode, uid, gid, nlink uint32
	ino                   uint64
	size, blocks          int64
	atime, mtime          stamp
	dev, rdev             uint64 // major<<32 | minor
	mnt, attrs            uint64
	direct                bool // O_DIRECT bypasses the page cache for this file; reported since Linux 6.1
}

func (s *stat) typ() uint32 { return s.mode & unix.S_IFMT }
func (s *stat) isDir() bool { return s.typ() == unix.S_IFDIR }
func (s *stat) isReg() bool { return s.typ() == unix.S_IFREG }

type inode struct{ dev, ino uint64 }

func (s *stat) inode() inode { return inode{s.dev, s.ino} }

func statFD(fd int, st *stat) error { return statx(fd, "", unix.AT_EMPTY_PATH, st) }

func statAt(dir int, name string, st *stat) error {
	return statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, st)
}

func statx(dir int, name string, flags int, st *stat) error {
	var x unix.Statx_t
	for {
		err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID|unix.STATX_DIOALIGN, &x)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	*st = stat{
		mode: uint32(x.Mode), uid: x.Uid, gid: x.Gid, nlink: x.Nlink, ino: x.Ino,
		size: int64(x.Size), blocks: int64(x.Blocks),
		atime: stamp{x.Atime.Sec, x.Atime.Nsec}, mtime: stamp{x.Mtime.Sec, x.Mtime.Nsec},
		dev:  uint64(x.Dev_major)<<32 | uint64(x.Dev_minor),
		rdev: uint64(x.Rdev_major)<<32 | uint64(x.Rdev_minor),
		mnt:  x.Mnt_id, attrs: x.Attributes, direct: x.Dio_mem_align != 0,
	}
	return nil
}

// object addresses an inode for calls that differ between an open file or directory (name is empty) and anything else, which is
// addressed by its name in the directory fd.
type object struct {
	fd   int
	name string
}

// proc returns a path to the object itself: /proc resolves the directory's descriptor, and the l variants of the xattr calls do
// not follow the last name if it is a symlink.
func (o object) proc() string { return "/proc/self/fd/" + strconv.Itoa(o.fd) + "/" + o.name }

// times sets atime and mtime.
func (o object) times(st *stat) error {
	ts := [2]unix.Timespec{timespec(st.atime), timespec(st.mtime)}
	if o.name != "" {
		return unix.UtimesNanoAt(o.fd, o.name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	}
	// Like futimens, without a path: utimensat supports AT_EMPTY_PATH only since Linux 5.8.
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(o.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func timespec(t stamp) (ts unix.Timespec) {
	ts.Sec, ts.Nsec = t.Sec, int64(t.Nsec)
	return ts
}

func (o object) chown(st *stat) error {
	if o.name != "" {
		return unix.Fchownat(o.fd, o.name, int(st.uid), int(st.gid), unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.Fchown(o.fd, int(st.uid), int(st.gid))
}

// chmod must not be called for symlinks, which have no mode of their own.
func (o object) chmod(st *stat) error {
	if o.name != "" {
		return unix.Fchmodat(o.fd, o.name, st.mode&0o7777, 0)
	}
	return unix.Fchmod(o.fd, st.mode&0o7777)
}

// xattr is one extended attribute, or an ACL, in the kernel's representation.
type xattr struct {
	name  string
	value []byte
}

// xattrs returns all extended attributes, sorted by name. magic is that of the filesystem.
func (o object) xattrs(magic int64, buf []byte) ([]xattr, error) {
	n, err := o.listxattr(buf)
	if err != nil || n == 0 {
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		}
		return nil, err
	}
	var xs []xattr
	for _, name := range strings.Split(string(buf[:n-1]), "\x00") {
		if magic == unix.XFS_SUPER_MAGIC && (name == "trusted.SGI_ACL_FILE" || name == "trusted.SGI_ACL_DEFAULT") {
			continue // the same ACL is also listed as system.posix_acl_*
		}
		n, err := o.getxattr(name, buf)
		if errors.Is(err, unix.ENODATA) {
			continue // a name without a value: ext4 lists ACLs even with noacl
		}
		if err != nil {
			return nil, &xattrError{name, err}
		}
		xs = append(xs, xattr{name, bytes.Clone(buf[:n])})
	}
	slices.SortFunc(xs, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return xs, nil
}

type xattrError struct {
	name string
	err  error
}

func (e *xattrError) Error() string { return "xattr " + e.name + ": " + e.err.Error() }
func (e *xattrError) Unwrap() error { return e.err }

func (o object) listxattr(buf []byte) (int, error) {
	if o.name != "" {
		return unix.Llistxattr(o.proc(), buf)
	}
	return unix.Flistxattr(o.fd, buf)
}

func (o object) getxattr(name string, buf []byte) (int, error) {
	if o.name != "" {
		return unix.Lgetxattr(o.proc(), name, buf)
	}
	return unix.Fgetxattr(o.fd, name, buf)
}

func (o object) setxattr(name string, value []byte) error {
	if o.name != "" {
		return unix.Lsetxattr(o.proc(), name, value, 0)
	}
	return unix.Fsetxattr(o.fd, name, value, 0)
}

func (o object) removexattr(name string) error {
	if o.name != "" {
		return unix.Lremovexattr(o.proc(), name)
	}
	return unix.Fremovexattr(o.fd, name)
}

// meta is all of an inode except its data and names.
type meta struct {
	stat
	flags  uint32  // FS_*_FL, only those that can be copied
	fsx    fsxattr // projid, and only those xflags that have no FS_*_FL
	xattrs []xattr
}

// readMeta reads the metadata of o into m. buf must hold the longest xattr and list of names, 64 KiB.
func readMeta(o object, magic int64, m *meta, buf []byte) error {
	var err error
	if o.name == "" {
		err = statFD(o.fd, &m.stat)
	} else {
		err = statAt(o.fd, o.name, &m.stat)
	}
	if err != nil {
		return err
	}
	if m.xattrs, err = o.xattrs(magic, buf); err != nil {
		return err
	}
	m.flags, m.fsx = 0, fsxattr{}
	return o.readAttr(magic, m)
}
