package tree

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// look compares the metadata of one object with what the target can store. It returns false for another name of an inode that it
// has seen.
func (s *scanner) look(pathOf func(string) string, name string, m *meta) bool {
	c := &s.caps
	path := func() string { return pathOf(name) }
	if !s.tally(m) {
		return false
	}
	for _, t := range []stamp{m.mtime, m.atime} {
		if t.Sec < c.TimeMin || t.Sec > c.TimeMax {
			s.find("tree.time", Loss, path(), "mkfs with 256-byte inodes (ext4) or bigtime (xfs)", "%s is outside the range %d to %d of %s", t, c.TimeMin, c.TimeMax, c.FS)
			break
		}
		if t.Nsec != 0 && !c.Nanoseconds {
			s.find("tree.nanoseconds", Loss, path(), "mkfs with 256-byte inodes (mkfs.ext4 -I 256)", "%s: %s stores only whole seconds", t, c.FS)
			break
		}
	}
	if bad := m.flags &^ c.Flags; bad != 0 {
		sev, fix := Loss, "a target of the source's filesystem type, or clear them on the source (chattr)"
		if bad&flCasefold != 0 {
			sev, fix = Fail, "mkfs.ext4 -O casefold on the target, and a kernel with CONFIG_UNICODE"
		}
		s.find("tree.flags", sev, path(), fix, "flags %s are not supported by the target's %s", formatBits(bad, flagNames()), c.FS)
	}
	if bad := m.fsx.xflags &^ c.XFlags; bad != 0 {
		s.find("tree.xflags", Loss, path(), "a target of the source's filesystem type", "attributes %s are not supported by the target's %s", formatBits(bad, xflagNames()), c.FS)
	}
	s.lookProject(path, m)
	if m.attrs&unix.STATX_ATTR_ENCRYPTED != 0 && !m.isDir() {
		s.notEncrypted(path())
	}
	if m.isReg() && m.size > c.FileSize {
		s.find("tree.size", Fail, path(), "a target of another filesystem type (xfs)", "size %d, the target's %s allows %d", m.size, c.FS, c.FileSize)
	}
	if !m.isDir() && m.nlink > c.Links {
		s.find("tree.links", Fail, path(), "a target of another filesystem type (xfs)", "%d links, the target's %s allows %d", m.nlink, c.FS, c.Links)
	}
	switch t := m.typ(); {
	case t != unix.S_IFCHR && t != unix.S_IFBLK:
	case uint32(m.rdev) > c.DevMinor:
		s.find("tree.device", Fail, path(), "use an ext4 target, or remove the file: udev makes device nodes in /dev, not here", "device %s, the target's %s allows minor numbers up to %d", device(m.rdev), c.FS, c.DevMinor)
	case uint32(m.rdev>>32) > c.DevMajor:
		s.find("tree.device", Fail, path(), "use an ext4 target, or remove the file: no current device has this number", "device %s, the target's %s allows major numbers up to %d", device(m.rdev), c.FS, c.DevMajor)
	}
	if m.isReg() && !strings.Contains(path(), "/") {
		switch name {
		case "aquota.user", "aquota.group", "quota.user", "quota.group":
			s.mu.Lock()
			s.quotaFiles = true
			s.mu.Unlock()
			s.find("tree.quota", Info, path(), "run quotacheck on the target", "a quota file has the usage of the source; it is copied as a file")
		}
	}
	s.lookXattrs(path, m)
	return true
}

// tally counts an inode once.
func (s *scanner) tally(m *meta) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.isDir() {
		s.scan.Dirs++
		s.scan.Bytes += m.blocks * 512
		return true
	}
	if m.nlink > 1 {
		left, ok := s.once.get(m.inode())
		if !ok {
			left = m.nlink
		}
		if left--; left == 0 {
			s.once.del(m.inode())
		} else if err := s.once.put(m.inode(), left); err != nil {
			s.q.fail(fmt.Errorf("memory for links: %w", err))
		}
		if ok {
			return false
		}
	}
	s.scan.Files++
	s.scan.Bytes += m.blocks * 512
	return true
}

func (s *scanner) lookXattrs(path func() string, m *meta) {
	c, total := &s.caps, 0
	for _, x := range m.xattrs {
		space, _, _ := strings.Cut(x.name, ".")
		held := map[string]bool{"user": c.User, "trusted": c.Trusted, "security": c.Security, "system": c.ACL, "btrfs": c.FS == "btrfs"}[space]
		if !held {
			s.find("tree.xattr", Loss, path(), "mount the target with user_xattr and acl, or a target of another filesystem type", "xattr %q: the target's %s does not support this namespace", x.name, c.FS)
		}
		if len(x.value) > c.XattrValue {
			s.find("tree.xattrsize", Loss, path(), "mkfs.ext4 -O ea_inode, or xfs", "xattr %q has %d bytes, the target's %s allows %d", x.name, len(x.value), c.FS, c.XattrValue)
		}
		if len(x.value) <= 2048 || c.XattrValue <= 4096 {
			total += len(x.value)
		}
	}
	if total > c.XattrTotal && total > 0 {
		s.find("tree.xattrs", Loss, path(), "mkfs.ext4 -O ea_inode, or xfs", "%d bytes of xattrs; the target's %s is only certain to store %d", total, c.FS, c.XattrTotal)
	}
}
