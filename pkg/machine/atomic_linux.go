package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// tempName returns the name of the temporary file for base. It is always the same, so that a file that a power cut left behind
// is replaced by the next attempt.
func tempName(base string) string {
	const longest = 255
	const suffix = ".migrate-init-new"
	return "." + base[:min(len(base), longest-len(suffix)-1)] + suffix
}

// replaceFile atomically replaces path with a regular file that fill writes. After an error path is as it was. All calls are
// relative to one descriptor of the directory, so that the directory that is synced is the one that was changed.
func replaceFile(path string, mode fs.FileMode, fill func(*os.File) error) (err error) {
	dirname, base := filepath.Split(filepath.Clean(path))
	dir, err := os.OpenFile(orElse(dirname, "."), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	dirfd := int(dir.Fd())
	old, err := existing(dirfd, base, path)
	if err != nil {
		return err
	}
	temp := tempName(base)
	if err := unix.Unlinkat(dirfd, temp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return pathError("remove", filepath.Join(dirname, temp), err)
	}
	fd, err := unix.Openat(dirfd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", filepath.Join(dirname, temp), err)
	}
	f := os.NewFile(uintptr(fd), filepath.Join(dirname, temp))
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = unix.Unlinkat(dirfd, temp, 0)
		}
	}()
	if err := fill(f); err != nil {
		return pathErrorOnce("write", path, err)
	}
	if err := setMetadata(f, path, old, mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := unix.Renameat(dirfd, temp, dirfd, base); err != nil {
		return pathError("rename to", path, err)
	}
	return dir.Sync()
}

// existing returns the state of the file base, or nil if it does not exist. It is an error if base is not a regular file.
func existing(dirfd int, base, path string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, nil
		}
		return nil, pathError("stat", path, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return &st, nil
	case unix.S_IFLNK:
		target, _ := os.Readlink(path)
		return nil, pathError("replace", path, fmt.Errorf("is a symbolic link to %s", target))
	}
	return nil, pathError("replace", path, errors.New("is not a regular file"))
}

// setMetadata gives the new file the owner, mode and extended attributes of the old one. It must be called after the data has
// been written, because a write clears capabilities and set-id bits. The order matters: chown clears them too, and chmod
// changes the ACL.
func setMetadata(f *os.File, path string, old *unix.Stat_t, mode fs.FileMode) error {
	fd := int(f.Fd())
	if old == nil {
		if err := unix.Fchmod(fd, unixMode(mode)); err != nil {
			return pathError("chmod", path, err)
		}
		return nil
	}
	if err := unix.Fchown(fd, int(old.Uid), int(old.Gid)); err != nil {
		return pathError("chown", path, fmt.Errorf("to %d:%d: %w", old.Uid, old.Gid, err))
	}
	names, err := attributes(path)
	if err != nil {
		return err
	}
	// The new file may have inherited ACL entries from a default ACL of the directory; the mode does not show them.
	if !slices.Contains(names, accessACL) {
		if err := unix.Fremovexattr(fd, accessACL); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return pathError("remove the ACL of", path, err)
		}
	}
	if err := unix.Fchmod(fd, old.Mode&0o7777); err != nil {
		return pathError("chmod", path, err)
	}
	for _, name := range names {
		value, err := attribute(path, name)
		if err != nil {
			return err
		}
		now := make([]byte, len(value)+1)
		if n, err := unix.Fgetxattr(fd, name, now); err == nil && bytes.Equal(now[:n], value) {
			continue // a label that the kernel has already set, and that we may not be allowed to set
		}
		if err := unix.Fsetxattr(fd, name, value, 0); err != nil {
			return pathError("set attribute "+name+" of", path, err)
		}
	}
	return nil
}

const accessACL = "system.posix_acl_access"

func attributes(path string) ([]string, error) {
	var list []byte
	for {
		n, err := unix.Llistxattr(path, nil)
		if err != nil || n == 0 {
			if err == nil || errors.Is(err, unix.ENOTSUP) {
				return nil, nil
			}
			return nil, pathError("list attributes of", path, err)
		}
		list = make([]byte, n)
		n, err = unix.Llistxattr(path, list)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		if err != nil {
			return nil, pathError("list attributes of", path, err)
		}
		list = list[:n]
		break
	}
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		// hashes of the old data, which the kernel computes again
		if name != "" && name != "security.ima" && name != "security.evm" {
			names = append(names, name)
		}
	}
	return names, nil
}

func attribute(path, name string) ([]byte, error) {
	const most = 64 << 10 // XATTR_SIZE_MAX
	value := make([]byte, most)
	n, err := unix.Lgetxattr(path, name, value)
	if err != nil {
		return nil, pathError("get attribute "+name+" of", path, err)
	}
	return value[:n], nil
}

// pathErrorOnce adds the path unless err already has one.
func pathErrorOnce(op, path string, err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return err
	}
	return pathError(op, path, err)
}
