package manifest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiffNamesEveryLoss copies the fixture with cp -a, which keeps what a manifest states, and then damages the copy one
// thing at a time: each must be found, and nothing else.
func TestDiffNamesEveryLoss(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root for device nodes, owners and trusted attributes")
	}
	base := t.TempDir()
	source, copied := filepath.Join(base, "source"), filepath.Join(base, "copy")
	if err := Fixture(source, Size{Files: 30, Big: 100_000}); errors.Is(err, unix.ENOTSUP) {
		t.Skipf("SKIPPED: the filesystem of %s cannot hold the fixture: %v", base, err)
	} else if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", source, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	want, err := Read(source, nil)
	if err != nil {
		t.Fatal(err)
	}
	look := func() []Difference {
		t.Helper()
		got, err := Read(copied, nil)
		if err != nil {
			t.Fatal(err)
		}
		return Diff(want, got, nil)
	}
	if d := look(); d != nil {
		t.Fatalf("cp -a of the fixture differs: %v", d)
	}

	at := func(name string) string { return filepath.Join(copied, name) }
	// keep runs op and puts the modification time of name and of its directory back.
	keep := func(name string, op func(path string) error) error {
		var st, dir unix.Stat_t
		if err := errors.Join(unix.Lstat(at(name), &st), unix.Lstat(filepath.Dir(at(name)), &dir), op(at(name))); err != nil {
			return err
		}
		put := func(path string, st *unix.Stat_t) error {
			err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		}
		return errors.Join(put(at(name), &st), put(filepath.Dir(at(name)), &dir))
	}
	// In this order: each damage is added to those before it.
	var seen int
	for _, c := range []struct {
		what, name, says string
		damage           func(path string) error
	}{
		{"one byte", "big", "sha256", func(p string) error {
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			b := make([]byte, 1)
			_, err = f.ReadAt(b, 77_777)
			b[0] ^= 1
			_, err2 := f.WriteAt(b, 77_777)
			return errors.Join(err, err2, f.Close())
		}},
		{"a nanosecond", "times/y1960", "mtime", func(p string) error { return nil }},
		{"mode", "kinds/setuid", "mode", func(p string) error { return unix.Chmod(p, 0o755) }},
		{"owner", "kinds/nothing", "owner", func(p string) error { return unix.Lchown(p, 0, 0) }},
		{"empty attribute", "attr/user", "extended attributes", func(p string) error { return unix.Lremovexattr(p, "user.empty") }},
		{"capability", "attr/cap", "extended attributes", func(p string) error { return unix.Lremovexattr(p, "security.capability") }},
		{"default ACL", "attr/dir", "extended attributes", func(p string) error { return unix.Lremovexattr(p, "system.posix_acl_default") }},
		{"hard link of a fifo", "kinds/fifo2", "hard link", func(p string) error {
			return errors.Join(os.Remove(p), unix.Mknod(p, unix.S_IFIFO|0o620, 0), unix.Chmod(p, 0o620))
		}},
		{"device number", "kinds/block", "device number", func(p string) error {
			return errors.Join(os.Remove(p), unix.Mknod(p, unix.S_IFBLK|0o660, int(unix.Mkdev(259, 999_999))), unix.Chmod(p, 0o660))
		}},
		{"missing file", "names/-rf", "missing", os.Remove},
		{"additional file", "names/more", "only in the copy", nil},
	} {
		var err error
		switch {
		case c.damage == nil:
			err = keep("names/new\nline", func(string) error { return os.WriteFile(at(c.name), nil, 0o600) })
		case c.what == "a nanosecond":
			when := time.Unix(-315_619_200, 123_456_788)
			err = os.Chtimes(at(c.name), when, when)
		default:
			err = keep(c.name, c.damage)
		}
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		all := look()
		seen++
		found := false
		for _, d := range all {
			found = found || d.Path == quote(c.name) && strings.Contains(d.What, c.says)
		}
		if !found || len(all) != seen {
			t.Errorf("%s of %s: want %d differences, one that says %q; got %v", c.what, c.name, seen, c.says, all)
		}
	}
}
