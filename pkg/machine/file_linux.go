package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func writeFile(e WriteFile) error {
	return replaceFile(e.Path, e.Mode, func(f *os.File) error {
		_, err := f.Write(e.Data)
		return err
	})
}

func copyFile(ctx context.Context, e CopyFile) error {
	// O_NONBLOCK: a fifo in place of the file must not block.
	from, err := os.OpenFile(e.From, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return pathError("copy", e.From, errors.New("not a regular file"))
	}
	return replaceFile(e.To, e.Mode, func(f *os.File) error {
		n, err := io.Copy(f, contextReader{ctx, from})
		if err == nil && n != info.Size() {
			err = fmt.Errorf("copied %d bytes of %s, which has %d", n, e.From, info.Size())
		}
		return err
	})
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func writeInPlace(e WriteInPlace) error {
	f, err := os.OpenFile(e.Path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return pathError("overwrite", e.Path, errors.New("not a regular file"))
	}
	if info.Size() != int64(len(e.Data)) {
		return pathError("overwrite", e.Path, fmt.Errorf("file has %d bytes, data %d", info.Size(), len(e.Data)))
	}
	if _, err := f.WriteAt(e.Data, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func makeDir(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return pathError("make directory", path, unix.ENOTDIR)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(parent, 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode.Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// chmod, because the umask applies to mkdir
	if err := unix.Chmod(path, unixMode(mode)); err != nil {
		return pathError("chmod", path, err)
	}
	return syncDir(parent)
}

// remove syncs the directory even if there is nothing to remove: an earlier attempt may have been interrupted before its sync.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func rename(e Rename) error {
	info, err := os.Lstat(e.From)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() || info.IsDir() {
		if err := syncPath(e.From); err != nil {
			return err
		}
	}
	if err := os.Rename(e.From, e.To); err != nil {
		return err
	}
	from, to := filepath.Dir(e.From), filepath.Dir(e.To)
	if err := syncDir(to); err != nil {
		return err
	}
	if from == to {
		return nil
	}
	return syncDir(from)
}

func symlink(e Symlink) error {
	dir, base := filepath.Split(filepath.Clean(e.Path))
	switch info, err := os.Lstat(e.Path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return pathError("link", e.Path, errors.New("exists and is not a symbolic link"))
	default:
		if now, err := os.Readlink(e.Path); err == nil && now == e.Target {
			return syncDir(filepath.Dir(e.Path))
		}
	}
	temp := filepath.Join(dir, tempName(base))
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(e.Target, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, e.Path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(e.Path))
}

func syncDir(path string) error { return syncPath(path) }

func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func syncFS(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return pathError("syncfs", path, err)
	}
	return flushLog(f)
}

// include/uapi/linux/fs.h.
const fiFreeze, fiThaw = 0xc0045877, 0xc0045878

// flushLog writes what is only in the log of an xfs to its place: there syncfs ends with the log, and boot loaders read no log.
// Freezing is the only way to ask for it. Another type needs none of this.
func flushLog(f *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return pathError("statfs", f.Name(), err)
	}
	if st.Type != unix.XFS_SUPER_MAGIC || st.Flags&unix.ST_RDONLY != 0 {
		return nil
	}
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); errors.Is(err, unix.EBUSY) {
		return nil // someone else froze it, which writes the log
	} else if err != nil {
		return pathError("freeze", f.Name(), err)
	}
	var err error
	for range 3 { // a filesystem that stays frozen would stop the machine
		if err = unix.IoctlSetInt(int(f.Fd()), fiThaw, 0); err == nil {
			return nil
		}
	}
	return pathError("thaw", f.Name(), err)
}
