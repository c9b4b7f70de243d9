package tree

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// compare reports every difference in the metadata of one object. It ignores the size and link count of directories, which
// depend on the filesystem.
func (v *verifier) compare(path func() string, s, t *meta) {
	num := func(what string, a, b uint64, format string) {
		if a != b {
			v.differ(path(), what, fmt.Sprintf(format, a), fmt.Sprintf(format, b))
		}
	}
	num("mode", uint64(s.mode&0o7777), uint64(t.mode&0o7777), "%04o")
	num("uid", uint64(s.uid), uint64(t.uid), "%d")
	num("gid", uint64(s.gid), uint64(t.gid), "%d")
	if !s.isDir() {
		num("size", uint64(s.size), uint64(t.size), "%d")
		v.compareLinks(path, s, t)
	}
	if f := s.typ(); f == unix.S_IFCHR || f == unix.S_IFBLK {
		if s.rdev != t.rdev {
			v.differ(path(), "device", device(s.rdev), device(t.rdev))
		}
	}
	if s.mtime != t.mtime {
		v.differ(path(), "mtime", s.mtime.String(), t.mtime.String())
	}
	if s.atime != t.atime {
		v.differ(path(), "atime", s.atime.String(), t.atime.String())
	}
	if s.flags != t.flags {
		v.differ(path(), "flags", formatBits(s.flags, flagNames()), formatBits(t.flags, flagNames()))
	}
	num("project", uint64(s.fsx.projid), uint64(t.fsx.projid), "%d")
	if a, b := s.fsx, t.fsx; a.xflags != b.xflags || a.extsize != b.extsize || a.cowextsize != b.cowextsize {
		v.differ(path(), "xflags", a.String(), b.String())
	}
	v.compareXattrs(path, s.xattrs, t.xattrs)
}

func (x fsxattr) String() string {
	return fmt.Sprintf("%s extsize %d cowextsize %d", formatBits(x.xflags, xflagNames()), x.extsize, x.cowextsize)
}

// String returns seconds and nanoseconds, and the date in parentheses.
func (s stamp) String() string {
	return fmt.Sprintf("%d.%09d (%s)", s.Sec, s.Nsec, time.Unix(s.Sec, int64(s.Nsec)).UTC().Format(time.RFC3339Nano))
}

func device(d uint64) string { return fmt.Sprintf("%d:%d", d>>32, uint32(d)) }

// compareXattrs merges two lists sorted by name.
func (v *verifier) compareXattrs(path func() string, s, t []xattr) {
	for len(s) > 0 || len(t) > 0 {
		switch {
		case len(t) == 0 || len(s) > 0 && s[0].name < t[0].name:
			v.differ(path(), "xattr "+s[0].name, value(s[0].value), "none")
			s = s[1:]
		case len(s) == 0 || t[0].name < s[0].name:
			v.differ(path(), "xattr "+t[0].name, "none", value(t[0].value))
			t = t[1:]
		default:
			if !bytes.Equal(s[0].value, t[0].value) {
				v.differ(path(), "xattr "+s[0].name, value(s[0].value), value(t[0].value))
			}
			s, t = s[1:], t[1:]
		}
	}
}

// value formats the beginning of an xattr's value.
func value(b []byte) string {
	const most = 32
	if len(b) > most {
		return fmt.Sprintf("%x... (%d bytes)", b[:most], len(b))
	}
	return fmt.Sprintf("%x (%d bytes)", b, len(b))
}

func modeType(mode uint32) string { return typeName(uint8(mode & unix.S_IFMT >> 12)) }

// typeName returns the name of a DT_ constant, which is the file type of a mode shifted right by 12.
func typeName(t uint8) string {
	names := []struct {
		t    uint8
		name string
	}{{unix.DT_REG, "file"}, {unix.DT_DIR, "directory"}, {unix.DT_LNK, "symlink"}, {unix.DT_FIFO, "fifo"},
		{unix.DT_SOCK, "socket"}, {unix.DT_CHR, "character device"}, {unix.DT_BLK, "block device"}}
	for _, n := range names {
		if n.t == t {
			return n.name
		}
	}
	return strings.TrimSpace(fmt.Sprintf("object of type %d", t))
}
