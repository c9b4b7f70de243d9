package machine

import "golang.org/x/sys/unix"

// Frozen names the attribute of chattr(1) by which a file cannot be changed: "i" for immutable, "a" for append-only, "" for
// none, for a file that is not there, and for a filesystem without attributes. Symbolic links are not followed.
func Frozen(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	switch {
	case err != nil:
		return ""
	case flags&unix.STATX_ATTR_IMMUTABLE != 0: // the same bits as FS_IMMUTABLE_FL and FS_APPEND_FL
		return "i"
	case flags&unix.STATX_ATTR_APPEND != 0:
		return "a"
	}
	return ""
}
