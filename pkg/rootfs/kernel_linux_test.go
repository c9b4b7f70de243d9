package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// kernel resolves a name as openat2 does with RESOLVE_IN_ROOT.
func kernel(root, name string, noFollow bool) (string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir) //nolint:errcheck // O_PATH
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if noFollow {
		how.Flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Openat2(dir, name, &how)
	// A concurrent rename or mount anywhere on the machine makes ".." uncertain; openat2(2) says to try again.
	for tries := 0; tries < 1000 && (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)); tries++ {
		fd, err = unix.Openat2(dir, name, &how)
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd) //nolint:errcheck // O_PATH
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", err
	}
	if at == root {
		return "/", nil
	}
	in, ok := strings.CutPrefix(at, root+"/")
	if !ok {
		return "", fmt.Errorf("kernel left the root: %s", at)
	}
	return "/" + in, nil
}

func needKernel(t *testing.T) {
	t.Helper()
	if _, err := kernel(t.TempDir(), "/", false); err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: openat2 with RESOLVE_IN_ROOT: %v", err)
	}
}

// host reads a directory of the host; unlike os.DirFS it has a ReadLink for any name.
func host(t testing.TB, dir string) Tree {
	t.Helper()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return Of(r.FS())
}

// same compares a result of Resolve with the kernel's.
func same(got File, err error, want string, kerr error) error {
	var loop *LoopError
	ok := false
	switch {
	case kerr == nil:
		ok = err == nil && got.Path == want
	case errors.Is(kerr, unix.ELOOP):
		ok = errors.As(err, &loop)
	case errors.Is(kerr, unix.ENOTDIR):
		ok = errors.Is(err, ErrNotDirectory)
	case errors.Is(kerr, unix.ENOENT):
		ok = errors.Is(err, fs.ErrNotExist)
	}
	if !ok {
		return fmt.Errorf("resolved to %q, %v; the kernel says %q, %v", got.Path, err, want, kerr)
	}
	return nil
}

// paths draws paths that are likely to hit something: three names, dots, and empty elements.
func paths() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "a", "b", "c", "..", ".", ""}), 1, 5).Draw(t, "parts")
		p := strings.Join(parts, "/")
		if p == "" || rapid.Bool().Draw(t, "absolute") {
			p = "/" + p
		}
		return p
	})
}

// grow creates a small tree of directories, files and links below dir.
func grow(t *rapid.T, dir string, depth int) {
	for _, name := range []string{"a", "b", "c"} {
		at, err := filepath.Join(dir, name), error(nil)
		switch rapid.SampledFrom([]string{"dir", "dir", "link", "link", "link", "file", "none"}).Draw(t, "kind") {
		case "dir":
			if err = os.Mkdir(at, 0o755); err == nil && depth > 1 {
				grow(t, at, depth-1)
			}
		case "link":
			err = os.Symlink(paths().Draw(t, "target"), at)
		case "file":
			err = os.WriteFile(at, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// scratch returns a new directory for one try of a property.
func scratch(t *rapid.T, base string) string {
	dir, err := os.MkdirTemp(base, "root")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestResolveAsTheKernelDoes(t *testing.T) {
	needKernel(t)
	base := realTemp(t)
	outcomes := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		dir := scratch(rt, base)
		defer os.RemoveAll(dir) //nolint:errcheck // the test's directory goes anyway
		grow(rt, dir, 3)
		r, err := os.OpenRoot(dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		for range 20 {
			name, o := paths().Draw(rt, "name"), Options{NoFollow: rapid.Bool().Draw(rt, "nofollow")}
			want, kerr := kernel(dir, name, o.NoFollow)
			got, err := Resolve(Of(r.FS()), name, o)
			if wrong := same(got, err, want, kerr); wrong != nil {
				rt.Fatalf("%q %+v: %v", name, o, wrong)
			}
			outcomes[fmt.Sprint(kerr, len(got.Links) > 0)]++
		}
	})
	// A property that never sees a case proves nothing about it.
	for _, want := range []string{"<nil> true", "<nil> false", unix.ELOOP.Error() + " false", unix.ENOTDIR.Error() + " false", unix.ENOENT.Error() + " false"} {
		if outcomes[want] == 0 {
			t.Errorf("outcome %q never came: %v", want, outcomes)
		}
	}
}

// With Missing the result is the kernel's, once everything that was missing on the way is created as a directory.
func TestMissingIsWhatMkdirWouldMake(t *testing.T) {
	needKernel(t)
	base := realTemp(t)
	missing := 0
	rapid.Check(t, func(rt *rapid.T) {
		dir := scratch(rt, base)
		defer os.RemoveAll(dir) //nolint:errcheck // the test's directory goes anyway
		grow(rt, dir, 2)
		r, err := os.OpenRoot(dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		name, nofollow := paths().Draw(rt, "name"), rapid.Bool().Draw(rt, "nofollow")
		got, err := Resolve(Of(r.FS()), name, Options{NoFollow: nofollow, Missing: true})
		want, kerr := kernel(dir, name, nofollow)
		for errors.Is(kerr, unix.ENOENT) {
			missing++
			var e *Error
			if _, strict := Resolve(Of(r.FS()), name, Options{NoFollow: nofollow}); !errors.As(strict, &e) {
				rt.Fatalf("%q: missing for the kernel, but %v", name, strict)
			}
			if err := os.Mkdir(filepath.Join(dir, e.At), 0o755); err != nil {
				rt.Fatal(err)
			}
			want, kerr = kernel(dir, name, nofollow)
		}
		if wrong := same(got, err, want, kerr); wrong != nil {
			rt.Fatalf("%q: %v", name, wrong)
		}
	})
	if missing == 0 {
		t.Error("nothing was ever missing")
	}
}

func TestFortyLinksAsTheKernel(t *testing.T) {
	needKernel(t)
	dir := realTemp(t)
	for i := range 41 {
		if err := os.Symlink(fmt.Sprintf("l%d", i), filepath.Join(dir, fmt.Sprintf("l%d", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "l0"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/l39", "/l40", "/l41"} {
		want, kerr := kernel(dir, name, false)
		got, err := Resolve(host(t, dir), name, Options{})
		if wrong := same(got, err, want, kerr); wrong != nil {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

// realTemp returns a temporary directory by its real path, as /proc shows it.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
