package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// probeNames returns the names that ProbeCaps makes in its directory: a file, two devices or a fifo, a file with fs-verity,
// and a directory.
func probeNames() []string { return []string{"f", "d", "minor", "v", "empty"} }

// RemoveProbe removes a directory that ProbeCaps made, also one that a power cut left behind. Then the directory, and the file
// and directory in it, may be immutable: setting a flag makes ext4 commit its journal. If it contains anything else, it is not
// ours: RemoveProbe changes nothing and returns an error.
func RemoveProbe(dir string) error {
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range es {
		if !slices.Contains(probeNames(), e.Name()) {
			return &os.PathError{Op: "remove", Path: dir, Err: unix.ENOTEMPTY}
		}
	}
	if err := thaw(dir); err != nil {
		return err
	}
	for _, n := range append(probeNames(), "") {
		if err := os.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// thaw clears the flags that prevent the removal of a probe directory and its contents.
func thaw(dir string) error {
	fail := func(name string, err error) error {
		return &os.PathError{Op: "clear flags", Path: filepath.Join(dir, name), Err: err}
	}
	clearOf := func(fd int, name string) error {
		if _, err := (object{fd: fd}).addFlags(0, flFrozen); err != nil && !noAttr(err) {
			return fail(name, err)
		}
		return nil
	}
	top, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("", err)
	}
	defer func() { _ = unix.Close(top) }()
	if err := clearOf(top, ""); err != nil {
		return err
	}
	for _, name := range []string{"f", "empty"} {
		var st stat
		if err := statAt(top, name, &st); err != nil || !st.isReg() && !st.isDir() {
			continue // cannot have flags
		}
		fd, err := openBelow(top, name, unix.O_RDONLY, 0)
		if err != nil {
			return fail(name, err)
		}
		err = clearOf(fd, name)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}
