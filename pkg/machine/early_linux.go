package machine

import (
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// EarlyMounts returns the first effects of PID 1 in an initramfs: mounts of proc, sysfs, devtmpfs, /dev/pts, /run and /tmp, and
// the symbolic links in /dev that programs expect. It leaves out what is already mounted, so it can be repeated.
func EarlyMounts() []Effect {
	mounts := []struct {
		mode fs.FileMode
		Mount
	}{
		{0o555, Mount{"proc", "/proc", "proc", NoSuid | NoDev | NoExec, "", false}},
		{0o555, Mount{"sysfs", "/sys", "sysfs", NoSuid | NoDev | NoExec, "", false}},
		{0o755, Mount{"devtmpfs", "/dev", "devtmpfs", NoSuid, "mode=0755", false}},
		{0o755, Mount{"devpts", "/dev/pts", "devpts", NoSuid | NoExec, "gid=5,mode=0620,ptmxmode=0666", false}},
		{0o755, Mount{"tmpfs", "/run", "tmpfs", NoSuid | NoDev, "mode=0755", false}},
		{0o777 | fs.ModeSticky, Mount{"tmpfs", "/tmp", "tmpfs", NoSuid | NoDev, "mode=1777", false}},
	}
	var effects []Effect
	for _, m := range mounts {
		effects = append(effects, Mkdir{m.Target, m.mode})
		if !isMountPoint(m.Target) {
			effects = append(effects, m.Mount)
		}
	}
	return append(effects,
		Symlink{"/proc/self/fd", "/dev/fd"},
		Symlink{"/proc/self/fd/0", "/dev/stdin"},
		Symlink{"/proc/self/fd/1", "/dev/stdout"},
		Symlink{"/proc/self/fd/2", "/dev/stderr"},
	)
}

// isMountPoint compares device numbers, because it must work before /proc is mounted. It does not detect a bind mount within
// one filesystem.
func isMountPoint(path string) bool {
	var here, above unix.Stat_t
	if unix.Lstat(path, &here) != nil || unix.Stat(filepath.Dir(path), &above) != nil {
		return false
	}
	return here.Mode&unix.S_IFMT == unix.S_IFDIR && here.Dev != above.Dev
}
