package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clearInherited clears the attributes of an existing directory that new entries would inherit, or that forbid new entries. apply sets
// them again.
func clearInherited(o object) (op string, err error) {
	if _, err := o.addFlags(0, flCopied&^flCasefold); err != nil && !noAttr(err) {
		return "clear flags", err
	}
	if err := unix.Fchmod(o.fd, 0o700); err != nil {
		return "chmod", err
	}
	for _, name := range []string{"system.posix_acl_default", "btrfs.compression"} {
		if err := o.removexattr(name); err != nil && !errors.Is(err, unix.ENODATA) && !noAttr(err) {
			return "remove xattr " + name, err
		}
	}
	if err := o.setFSX(fsxattr{}, xfOnly); err != nil && !noAttr(err) {
		return "clear attributes", err
	}
	return "", nil
}

// early returns the flags that an object must have before its data or children. A directory gets all others last, because its
// children would inherit them.
func (m *meta) early() (flags, xflags uint32) {
	if m.isDir() {
		return flCasefold, 0
	}
	return flEarly, xfEarly
}

// applyEarly sets the flags that an object must have before its data or children.
func (c *copier) applyEarly(o object, m *meta, path func() string) error {
	early, xearly := m.early()
	if m.flags&early != 0 {
		if bits, err := o.addFlags(m.flags, early); bits != 0 || err != nil {
			if err := c.loss(path(), "flags "+formatBits(bits, flagNames()), err); err != nil {
				return err
			}
		}
	}
	if m.fsx.xflags&xearly != 0 {
		if err := o.setFSX(m.fsx, xearly); err != nil {
			return c.loss(path(), "flags "+formatBits(m.fsx.xflags&xearly, xflagNames()), err)
		}
	}
	return nil
}

// apply sets the metadata m on o, in an order in which no step undoes an earlier one: owner, mode, xattrs, project, times,
// flags. existed means that an earlier run made o or its directory. hold means that o gets more names, so immutable and
// append-only are set later.
func (c *copier) apply(o object, m *meta, existed, hold bool, path func() string) error {
	clean := c.clean.Load() || existed && m.isDir()
	fail := func(op string, err error) error {
		return &Error{Side: Target, Op: op, Path: path(), Err: err}
	}
	if !clean && m.uid == 0 && m.gid == 0 && c.rootOwned.Load() {
		// New objects already belong to root.
	} else if err := o.chown(&m.stat); err != nil {
		return fail(fmt.Sprintf("chown to %d:%d", m.uid, m.gid), err)
	}
	if m.typ() != unix.S_IFLNK && !c.bornWith(m, existed) {
		if err := o.chmod(&m.stat); err != nil {
			return fail("chmod", err)
		}
	}
	if clean {
		if err := c.cleanXattrs(o, m); err != nil {
			return fail("remove xattr", err)
		}
	}
	for _, x := range m.xattrs {
		if err := o.setxattr(x.name, x.value); err != nil {
			if !lossy(err) && !c.noXattrRoom(err) {
				return fail("set xattr "+x.name, err)
			}
			if err := c.loss(path(), "xattr "+x.name, err); err != nil {
				return err
			}
		}
	}
	early, xearly := m.early()
	if m.fsx.projid != 0 || m.fsx.xflags&^xearly != 0 {
		if err := o.setFSX(m.fsx, xfOnly); err != nil {
			if err := c.loss(path(), fmt.Sprintf("project %d", m.fsx.projid), err); err != nil {
				return err
			}
		}
	}
	if err := o.times(&m.stat); err != nil {
		return fail("set times", err)
	}
	mask := flCopied &^ early
	if hold {
		mask &^= flFrozen
	}
	if m.flags&mask != 0 || clean && m.isDir() {
		if bits, err := o.addFlags(m.flags, mask); bits != 0 || err != nil && m.flags&mask != 0 {
			return c.loss(path(), "flags "+formatBits(bits, flagNames()), err)
		}
	}
	return nil
}

// bornModes returns the permission bits that the umask does not clear on a new object; 0600 if the umask is unknown.
func bornModes() uint32 {
	b, err := os.ReadFile("/proc/self/status")
	_, v, ok := strings.Cut(string(b), "\nUmask:")
	v, _, _ = strings.Cut(v, "\n")
	mask, e := strconv.ParseUint(strings.TrimSpace(v), 8, 32)
	if err != nil || !ok || e != nil {
		return 0o600
	}
	return 0o777 &^ uint32(mask)
}

// bornWith reports whether o was created with its final mode. If the directory may have a default ACL, or the object may have
// an ACL, that is not certain.
func (c *copier) bornWith(m *meta, existed bool) bool {
	return !existed && !m.isDir() && m.mode&0o7777&^c.bornModes == 0 && !c.clean.Load()
}

// noXattrRoom reports whether err is the ENOSPC that ext4 returns for too many xattrs on one inode, and not that of a full
// filesystem.
func (c *copier) noXattrRoom(err error) bool {
	var fs unix.Statfs_t
	return errors.Is(err, unix.ENOSPC) && unix.Fstatfs(c.dst.fd, &fs) == nil && fs.Bavail > 1024 && (fs.Files == 0 || fs.Ffree > 16)
}

func (c *copier) cleanXattrs(o object, m *meta) error {
	have, err := o.xattrs(c.dst.magic, make([]byte, 64<<10))
	if err != nil {
		return err
	}
	for _, h := range have {
		keep := false
		for _, x := range m.xattrs {
			keep = keep || x.name == h.name && bytes.Equal(x.value, h.value)
		}
		if !keep {
			if err := o.removexattr(h.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// observe checks once whether new objects have xattrs, as under an LSM, and whether they belong to root, as without the mount
// option grpid.
func (c *copier) observe(o object) {
	c.newborn.Do(func() {
		xs, err := o.xattrs(c.dst.magic, make([]byte, 64<<10))
		c.clean.Store(err != nil || len(xs) > 0)
		var st stat
		err = statFD(o.fd, &st)
		c.rootOwned.Store(err == nil && st.uid == 0 && st.gid == 0)
	})
}
