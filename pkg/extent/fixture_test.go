package extent

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// need skips the test, with a clear message, if a program that it needs is missing.
func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %s is not installed", tool)
		}
	}
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// scratch returns a directory in memory if there is space: images are large,
// and the disk of a test machine may be slow or busy.
func scratch(t testing.TB) string {
	t.Helper()
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) != nil || fs.Bavail*uint64(fs.Bsize) < 2<<30 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "extent")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// makeTree fills dir with files of many sizes, a sparse one and links.
func makeTree(t testing.TB, dir string, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	for i := range 120 {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%7))
		must(t, os.MkdirAll(sub, 0o755))
		size := rnd.IntN(40_000)
		if i%10 == 0 {
			size = rnd.IntN(len(data))
		}
		if i%10 == 1 {
			size = rnd.IntN(60) // inline data
		}
		must(t, os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%03d", i)), data[len(data)-size:], 0o644))
	}
	must(t, os.Symlink("d0/f000", filepath.Join(dir, "link")))
	must(t, os.Link(filepath.Join(dir, "d1", "f001"), filepath.Join(dir, "hard")))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sameTree compares names, types, and contents.
func sameTree(t testing.TB, want, got string) {
	t.Helper()
	read := func(root string) map[string]string {
		m := map[string]string{}
		must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, p)
			if err != nil || rel == "lost+found" {
				return err
			}
			switch {
			case d.Type().IsRegular():
				b, err := os.ReadFile(p)
				m[rel] = string(b)
				return err
			case d.Type() == fs.ModeSymlink:
				l, err := os.Readlink(p)
				m[rel] = "-> " + l
				return err
			}
			m[rel] = d.Type().String()
			return nil
		}))
		return m
	}
	w, g := read(want), read(got)
	for name := range w {
		if g[name] != w[name] {
			t.Errorf("%s: differs: %d bytes, want %d", name, len(g[name]), len(w[name]))
		}
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s: not in the source", name)
		}
	}
	if len(w) < 10 {
		t.Errorf("source has only %d entries", len(w))
	}
}

// dirtyTarget returns a file with size bytes of old data, because what a copy does not write must not matter.
func dirtyTarget(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(scratch(t), "target"))
	must(t, err)
	t.Cleanup(func() { f.Close() }) //nolint:errcheck // a test's file
	junk := bytes.Repeat([]byte{0xa5}, 1<<20)
	for off := int64(0); off < size; off += int64(len(junk)) {
		_, err := f.WriteAt(junk[:min(int64(len(junk)), size-off)], off)
		must(t, err)
	}
	return f
}

func openImage(t testing.TB, path string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() }) //nolint:errcheck // only read
	fi, err := f.Stat()
	must(t, err)
	return f, fi.Size()
}

// copyAndVerify copies path to a new target full of old data and returns its path.
func copyAndVerify(t testing.TB, path string) (string, *Allocation) {
	t.Helper()
	src, size := openImage(t, path)
	a, err := Read(src, size)
	must(t, err)
	dst := dirtyTarget(t, size)
	res, err := Copy(t.Context(), src, dst, a, Options{})
	must(t, err)
	if res.Bytes != a.CopyBytes() || res.Written != res.Bytes {
		t.Errorf("copied %d, written %d, want %d", res.Bytes, res.Written, a.CopyBytes())
	}
	rep, err := Verify(t.Context(), dst, a, res.Sums, Options{})
	must(t, err)
	if rep.Bytes != res.Bytes {
		t.Errorf("verified %d bytes of %d", rep.Bytes, res.Bytes)
	}
	again, err := Read(dst, size)
	must(t, err)
	if again.Identity != a.Identity {
		t.Error("the copy's allocation is another")
	}
	return dst.Name(), a
}
