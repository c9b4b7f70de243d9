package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openBelow counts this process's open files in a directory.
func openBelow(t *testing.T, dir string) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Skip("SKIPPED: no /proc/self/fd")
	}
	n := 0
	for _, f := range fds {
		if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

func TestInside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"in": "file", "out": "../../../../../etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := newInside(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(f, "in"); err != nil || string(b) != "x" {
		t.Errorf("a link inside: %q, %v", b, err)
	}
	if b, err := fs.ReadFile(f, "out"); err == nil {
		t.Errorf("a link that leads out: %q", b)
	}
	if to, err := fs.ReadLink(f, "in"); err != nil || to != "file" {
		t.Errorf("target of the link: %q, %v", to, err)
	}
	if st, err := fs.Lstat(f, "in"); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("lstat of the link: %v, %v", st, err)
	}
	if st, err := fs.Stat(f, "in"); err != nil || !st.Mode().IsRegular() {
		t.Errorf("stat of the link: %v, %v", st, err)
	}
	if es, err := fs.ReadDir(f, "."); err != nil || len(es) != 3 {
		t.Errorf("directory: %v, %v", es, err)
	}
	if n := openBelow(t, dir); n != 0 {
		t.Errorf("%d files of the directory are open after the looks: it could not be unmounted", n)
	}
	h, err := f.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	if n := openBelow(t, dir); n != 1 {
		t.Errorf("%d files are open, want the one that was opened", n)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := newInside(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there was opened")
	}
}
