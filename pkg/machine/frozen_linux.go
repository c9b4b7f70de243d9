package machine

import "golang.org/x/sys/unix"

// Frozen returns the attribute of chattr(1) that protects a file from changes: "i" for immutable, "a" for append-only. It
// returns "" if there is none, or the file does not exist, or its filesystem has no such attributes. It does not follow
// symbolic links.
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
