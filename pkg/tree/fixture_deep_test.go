package tree

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func deepName() string { return strings.Repeat("D", 250) }

// down calls f with the first n directories of a chain below p, one after the other, with level counted from 1. Paths may be of
// any length.
func down(p string, n int, f func(fd, level int) error) act {
	return func(r string) error {
		fd, err := unix.Open(filepath.Join(r, p), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		for level := 1; err == nil && level <= n; level++ {
			up := fd
			fd, err = unix.Openat(up, deepName(), unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			_ = unix.Close(up)
			if err == nil {
				err = f(fd, level)
			}
		}
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("below %q: %w", p, err)
		}
		return nil
	}
}

// atBottom calls f with the last of n directories below p.
func atBottom(p string, n int, f func(fd int) error) act {
	return down(p, n, func(fd, level int) error {
		if level < n {
			return nil
		}
		return f(fd)
	})
}

// deep makes n levels of directories with names of 250 bytes, beyond PATH_MAX, each with its own metadata, and one object of each
// type in the last.
func deep(p string, n int) act {
	return func(r string) error {
		if err := unix.Mkdir(filepath.Join(r, p, deepName()), 0o700); err != nil {
			return err
		}
		if err := down(p, n, func(fd, level int) error {
			if level < n {
				return unix.Mkdirat(fd, deepName(), 0o700)
			}
			return bottom(fd)
		})(r); err != nil {
			return err
		}
		return down(p, n, func(fd, level int) error {
			if err := unix.Fchmod(fd, 0o700|uint32(level)%0o100); err != nil {
				return err
			}
			if err := unix.Fsetxattr(fd, "user.level", fmt.Append(nil, level), 0); err != nil {
				return err
			}
			return timesAt(fd, ".", int64(level), 1_000_000_000+int64(level))
		})(r)
	}
}

func bottom(fd int) error {
	f, err := unix.Openat(fd, "bottom", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(f)
	for _, do := range []func() error{
		func() error { _, err := unix.Write(f, []byte("deep")); return err },
		func() error { return unix.Fchmod(f, 0o604) },
		func() error { return unix.Fchown(f, 5, 6) },
		func() error { return unix.Fsetxattr(f, "user.deep", []byte("d"), 0) },
		func() error { return unix.Fsetxattr(f, "trusted.empty", nil, 0) },
		func() error { return unix.Linkat(fd, "bottom", fd, "bottom2", 0) },
		func() error { return unix.Symlinkat("to", fd, "symlink") },
		func() error { return unix.Mknodat(fd, "z-fifo", unix.S_IFIFO|0o600, 0) },
		func() error { return timesAt(fd, "bottom", -5, -7) },
		func() error { return timesAt(fd, "symlink", 1<<33, 5) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// timesAt sets atime and mtime to the same second, but with different nanoseconds.
func timesAt(dir int, name string, atime, mtime int64) error {
	ts := []unix.Timespec{{Sec: atime, Nsec: 1}, {Sec: mtime, Nsec: 999_999_999}}
	return unix.UtimesNanoAt(dir, name, ts, unix.AT_SYMLINK_NOFOLLOW)
}
