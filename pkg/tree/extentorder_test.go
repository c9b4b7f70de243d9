package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestByExtent checks that files are sorted by the place of their data, not by inode, and that no name is lost.
func TestByExtent(t *testing.T) {
	d := newDisk(t, "ext4", 64<<20)
	const n = 20
	name := func(i int) string { return fmt.Sprintf("file-%02d", i) }
	for i := range n {
		apply(t, d.dir, file(name(i), 0o600, nil))
	}
	for i := n - 1; i >= 0; i-- {
		if err := os.WriteFile(filepath.Join(d.dir, name(i)), noise(uint64(i), 40<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		syncDir(t, d.dir)
	}
	apply(t, d.dir, symlink("x", "link"), mkdir("dir", 0o755), file("empty", 0o600, nil))
	fd := mustRoot(t, d.dir)
	w := newWorker()
	es, _, err := readChunk(fd, w.dents, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(es)
	(&copier{diskMode: &diskMode{}}).byExtent(w, &dir{src: fd}, es)
	if slices.Equal(before, es) {
		t.Fatal("the order of the data is that of the inodes: this shows nothing")
	}
	var last int64
	files := 0
	for i, e := range es {
		if e.typ == unix.DT_DIR {
			continue
		}
		if i > 0 && es[i-1].typ == unix.DT_DIR {
			t.Errorf("%s comes after a directory", e.name)
		}
		f, err := unix.Open(filepath.Join(d.dir, e.name), unix.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // the link
		}
		x, ok, err := (&extents{fd: f}).next()
		_ = unix.Close(f)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			files++
			if x.phys < last {
				t.Errorf("%s at %d comes after %d", e.name, x.phys, last)
			}
			last = x.phys
		}
	}
	if files != n {
		t.Errorf("%d files with data, want %d", files, n)
	}
	slices.SortFunc(es, func(a, b entry) int { return slices.Index(before, a) - slices.Index(before, b) })
	if !slices.Equal(before, es) {
		t.Errorf("entries before %v, after %v", before, es)
	}
}
