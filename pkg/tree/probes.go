package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// probeNames are what ProbeCaps makes in its directory: a file, a device or fifo, and a file under fs-verity.
func probeNames() []string { return []string{"f", "d", "v"} }

// RemoveProbe removes the directory in which ProbeCaps was trying when the power went. It and its file may be immutable:
// trying flags makes ext4 commit its journal. With anything else inside it is not ours, and stays as it is.
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

// thaw clears the flags that forbid to remove a probe's directory and file.
func thaw(dir string) error {
	fail := func(name string, err error) error {
		return &os.PathError{Op: "clear flags", Path: filepath.Join(dir, name), Err: err}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := (object{fd: fd}).addFlags(0, flFrozen); err != nil && !noAttr(err) {
		return fail("", err)
	}
	var st stat
	if err := statAt(fd, "f", &st); err != nil || !st.isReg() {
		return nil // nothing that could have flags
	}
	f, err := openBelow(fd, "f", unix.O_RDONLY, 0)
	if err != nil {
		return fail("f", err)
	}
	defer func() { _ = unix.Close(f) }()
	if _, err := (object{fd: f}).addFlags(0, flFrozen); err != nil && !noAttr(err) {
		return fail("f", err)
	}
	return nil
}
