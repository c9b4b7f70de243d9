package tree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Caps describes what a target filesystem can store. Sizes are in bytes, times in seconds since 1970.
type Caps struct {
	FS               string // "ext4", "xfs", "btrfs", or the magic in hex
	TimeMin, TimeMax int64
	Nanoseconds      bool
	Flags            uint32 // the flags FS_*_FL of FS_IOC_GETFLAGS that it keeps
	XFlags           uint32 // the flags FS_XFLAG_* that it keeps and that are not in Flags
	Project, ACL     bool
	ProjectSpecial   bool // project ids of symlinks and special files can be set
	Reflink, Verity  bool // files can share extents; fs-verity can protect them
	User, Trusted    bool // xattr namespaces
	Security         bool
	XattrValue       int // largest value of one xattr
	XattrTotal       int // total size of the values up to 2 KiB that surely fits one file (of all values if XattrValue is below 4 KiB)
	FileSize         int64
	Links            uint32
	DevMajor         uint32 // largest major number of a device
	DevMinor         uint32 // largest minor number
	BlockSize        int64
	FreeBytes        int64
	FreeInodes       int64 // 0: allocated on demand
}

// ProbeCaps finds out what the filesystem of dst can store by trying it, in a directory below dst that it removes again. The
// result holds for this kernel, these mount options and these mkfs options.
func ProbeCaps(dst string) (c Caps, err error) {
	dir, err := os.MkdirTemp(dst, ".migrate-init-probe-")
	if err != nil {
		return c, fmt.Errorf("target %s: %w", dst, err)
	}
	defer func() {
		if e := RemoveProbe(dir); err == nil && e != nil {
			err = fmt.Errorf("target %s: %w", dst, e)
		}
	}()
	r, err := openRoot(Target, dir, false, false)
	if err != nil {
		return c, err
	}
	defer func() { _ = r.close() }()
	fd, err := openBelow(r.fd, "f", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return c, &Error{Side: Target, Op: "create", Path: filepath.Join(dir, "f"), Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	c.FS, c.Links = fsName(r.magic), maxLinks(r.magic)
	c.BlockSize, c.FreeBytes = r.bsize, int64(r.fs.Bfree)*r.bsize // the copy runs as root, and may use the blocks reserved for root
	if r.magic != unix.BTRFS_SUPER_MAGIC && r.magic != unix.XFS_SUPER_MAGIC {
		c.FreeInodes = int64(r.fs.Ffree)
	}
	o := object{fd: fd}
	if err := c.probeTimes(o); err != nil {
		return c, err
	}
	c.probeXattrs(o)
	if err := unix.Mkdirat(r.fd, "empty", 0o700); err != nil {
		return c, &Error{Side: Target, Op: "make directory", Path: filepath.Join(dir, "empty"), Err: err}
	}
	empty, err := openBelow(r.fd, "empty", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return c, &Error{Side: Target, Op: "open", Path: filepath.Join(dir, "empty"), Err: err}
	}
	defer func() { _ = unix.Close(empty) }()
	c.probeFlags(o, object{fd: empty})
	c.Reflink, c.Verity = knowsShares(r.magic) && canShare(r.fd), probeVerity(r.fd, r.bsize)
	c.Project = o.setFSX(fsxattr{projid: 1}, 0) == nil
	c.DevMajor = 4095
	if unix.Mknodat(r.fd, "d", unix.S_IFCHR|0o600, int(unix.Mkdev(4095, 0))) != nil {
		c.DevMajor = 511 // xfs
		_ = unix.Mknodat(r.fd, "d", unix.S_IFIFO|0o600, 0)
	}
	c.DevMinor = 1<<20 - 1
	if unix.Mknodat(r.fd, "minor", unix.S_IFCHR|0o600, int(unix.Mkdev(1, c.DevMinor))) != nil {
		c.DevMinor = 1<<18 - 1 // xfs: sysv_valid_dev in linux/kdev_t.h
	}
	c.ProjectSpecial = c.Project && object{fd: r.fd, name: "d"}.setFSX(fsxattr{projid: 1}, 0) == nil
	for c.FileSize = 1<<63 - 1; c.FileSize > 1<<20 && unix.Ftruncate(fd, c.FileSize) != nil; {
		c.FileSize -= c.FileSize / 16
	}
	return c, nil
}

// probeTimes relies on the kernel, which clamps times that are out of range.
func (c *Caps) probeTimes(o object) error {
	for _, at := range []int64{-1 << 60, 1 << 60} {
		var st stat
		want := stat{atime: stamp{0, 1}, mtime: stamp{at, 0}}
		if err := o.times(&want); err != nil {
			return &Error{Side: Target, Op: "set times", Path: ".", Err: err}
		}
		if err := statFD(o.fd, &st); err != nil {
			return &Error{Side: Target, Op: "stat", Path: ".", Err: err}
		}
		if at < 0 {
			c.TimeMin = st.mtime.Sec
		} else {
			c.TimeMax = st.mtime.Sec
		}
		c.Nanoseconds = st.atime.Nsec == 1
	}
	return nil
}

func (c *Caps) probeXattrs(o object) {
	c.User = o.setxattr("user.probe", nil) == nil
	c.Trusted = o.setxattr("trusted.probe", nil) == nil
	c.Security = o.setxattr("security.probe", nil) == nil
	// posix_acl_xattr.h: version 2; user::rw-, user:1:r--, group::---, mask::r--, other::---
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	c.ACL = o.setxattr("system.posix_acl_access", acl) == nil
	if c.ACL {
		_ = o.removexattr("system.posix_acl_access")
	}
	low, high := 0, 64<<10 // XATTR_SIZE_MAX
	for low < high {
		mid := (low + high + 1) / 2
		if o.setxattr("user.probe", bytes.Repeat([]byte{1}, mid)) == nil {
			low = mid
		} else {
			high = mid - 1
		}
	}
	c.XattrValue = low
	_ = o.setxattr("user.probe", nil)
	// Use different values, because ea_inode of ext4 shares equal ones.
	for i := range 80 {
		if o.setxattr(fmt.Sprintf("user.p%d", i), bytes.Repeat([]byte{byte(i)}, min(1000, low))) != nil {
			break
		}
		c.XattrTotal += min(1000, low)
	}
	if c.XattrTotal == 80*1000 {
		c.XattrTotal = 1<<31 - 1 // no limit found
	}
}

// probeFlags sets each flag on its own, on a file and on a directory. The directory must be empty for casefold.
func (c *Caps) probeFlags(file, dir object) {
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if flCopied&bit == 0 {
			continue
		}
		for _, o := range []object{file, dir} {
			if refused, err := o.addFlags(bit, bit); refused == 0 && err == nil {
				c.Flags |= bit
				_, _ = o.addFlags(0, bit)
			}
		}
	}
	for _, b := range xflagNames() {
		for _, o := range []object{file, dir} {
			want := fsxattr{xflags: b.bit}
			if b.bit&(xfExtsize|xfExtszinherit) != 0 {
				want.extsize = uint32(c.BlockSize)
			}
			if b.bit == xfCowextsize {
				want.cowextsize = uint32(c.BlockSize)
			}
			if o.setFSX(want, xfOnly) != nil {
				continue
			}
			if x, err := getFSX(o.fd); err == nil && x.xflags&b.bit != 0 {
				c.XFlags |= b.bit
			}
			_ = o.setFSX(fsxattr{}, xfOnly)
		}
	}
}

func fsName(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4" // or ext2, ext3: one driver
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	}
	return fmt.Sprintf("%#x", magic)
}

// maxLinks returns EXT4_LINK_MAX, BTRFS_LINK_MAX or XFS_MAXLINK.
func maxLinks(magic int64) uint32 {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return 65000
	case unix.BTRFS_SUPER_MAGIC:
		return 65535
	}
	return 1<<31 - 1
}
