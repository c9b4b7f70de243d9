package machine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// onlyIn fails if a directory has other names, such as a temporary file.
func onlyIn(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s has %q, want %q", dir, got, names)
	}
}

func TestWriteFileMakesANewFileWithItsMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "f")
	must(t, do(t, WriteFile{Path: path, Data: []byte("hello"), Mode: 0o664}))
	if st := stat(t, path); st.Mode != unix.S_IFREG|0o664 || content(t, path) != "hello" {
		t.Errorf("mode %o, content %q", st.Mode, content(t, path))
	}
	onlyIn(t, filepath.Dir(path), "f")
}

func TestWriteFileKeepsOwnerModeAndAttributes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	attrs := map[string][]byte{"user.note": []byte("x"), "user.empty": {}}
	mode := uint32(0o640)
	if os.Geteuid() == 0 {
		must(t, os.Chown(path, 12, 34))
		mode = 0o6750
		// cap_net_raw+ep, revision 2
		attrs["security.capability"] = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		attrs["trusted.mine"] = bytes.Repeat([]byte("y"), 500)
	}
	must(t, unix.Chmod(path, mode))
	for name, value := range attrs {
		if err := unix.Setxattr(path, name, value, 0); errors.Is(err, unix.ENOTSUP) {
			t.Skipf("SKIPPED: %s on the temporary directory: %v", name, err)
		} else {
			must(t, err)
		}
	}
	before := stat(t, path)
	must(t, do(t, WriteFile{Path: path, Data: []byte("new"), Mode: 0o777}))
	after := stat(t, path)
	if after.Ino == before.Ino {
		t.Error("was overwritten, not replaced")
	}
	if after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid || content(t, path) != "new" {
		t.Errorf("was %o %d:%d, is %o %d:%d %q", before.Mode, before.Uid, before.Gid, after.Mode, after.Uid, after.Gid, content(t, path))
	}
	for name, value := range attrs {
		if got, err := attribute(path, name); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s is %x, %v; want %x", name, got, err, value)
		}
	}
}

// TestWriteFileTakesNoEntriesOfADefaultACL checks that rewriting a file does not give it ACL entries from a default ACL that was
// added to the directory later.
func TestWriteFileTakesNoEntriesOfADefaultACL(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	must(t, unix.Chmod(path, 0o640))
	acl := binary.LittleEndian.AppendUint32(nil, 2) // version, then tag, permissions and id of each entry
	const owner, user, group, mask, other, noID = 1, 2, 4, 0x10, 0x20, ^uint32(0)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{owner, 7, noID}, {user, 6, 12}, {group, 5, noID}, {mask, 7, noID}, {other, 0, noID}} {
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.perm)
		acl = binary.LittleEndian.AppendUint32(acl, e.id)
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0); err != nil {
		t.Skipf("SKIPPED: default ACL on the temporary directory: %v", err)
	}
	must(t, do(t, WriteFile{Path: path, Data: []byte("new")}))
	if acl, err := attribute(path, accessACL); !errors.Is(err, unix.ENODATA) {
		t.Errorf("the new file has an ACL: %x, %v", acl, err)
	}
	if st := stat(t, path); st.Mode != unix.S_IFREG|0o640 || content(t, path) != "new" {
		t.Errorf("mode %o, content %q", st.Mode, content(t, path))
	}
}

func TestWriteFileRefusesNonRegularFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(path("real"), []byte("old"), 0o600))
	must(t, os.Symlink("real", path("link")))
	must(t, os.Mkdir(path("dir"), 0o700))
	must(t, unix.Mkfifo(path("fifo"), 0o600))
	for name, words := range map[string]string{
		"link": "symbolic link to real", "dir": "not a regular file", "fifo": "not a regular file",
		"none/f": "no such file", "real/f": "not a directory",
	} {
		wantError(t, do(t, WriteFile{Path: path(name), Data: []byte("new")}), path(filepath.Dir(name)), words)
	}
	for _, name := range []string{"link", "dir"} {
		wantError(t, do(t, CopyFile{From: path("real"), To: path(name)}), path(name))
	}
	for _, name := range []string{"fifo", "dir"} {
		wantError(t, do(t, CopyFile{From: path(name), To: path("copy")}), path(name), "not a regular file")
	}
	if content(t, path("real")) != "old" {
		t.Error("the link was followed")
	}
	onlyIn(t, dir, "dir", "fifo", "link", "real")
}

func TestWriteFileReplacesALeftover(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("n", 255)
	for _, name := range []string{"f", long} {
		must(t, os.WriteFile(filepath.Join(dir, tempName(name)), []byte("cut short, and longer"), 0o600))
		must(t, do(t, WriteFile{Path: filepath.Join(dir, name), Data: []byte("new"), Mode: 0o600}))
		if got := content(t, filepath.Join(dir, name)); got != "new" {
			t.Errorf("content %q", got)
		}
	}
	onlyIn(t, dir, "f", long)
}

func TestReplaceFileLeavesTheOldOneOnFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	err := replaceFile(path, 0o600, func(f *os.File) error { _, _ = f.WriteString("ne"); return errTest })
	if !errors.Is(err, errTest) || content(t, path) != "old" {
		t.Errorf("%v; content %q", err, content(t, path))
	}
	onlyIn(t, filepath.Dir(path), "f")
}

func TestWriteFileOnAFullFilesystem(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	must(t, do(t, Mount{"tmpfs", dir, "tmpfs", 0, "size=64k", false}))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	path := filepath.Join(dir, "f")
	must(t, do(t, WriteFile{Path: path, Data: []byte("old"), Mode: 0o600}))
	err := do(t, WriteFile{Path: path, Data: make([]byte, 1<<20)})
	if !errors.Is(err, unix.ENOSPC) || content(t, path) != "old" {
		t.Errorf("%v", err)
	}
	onlyIn(t, dir, "f")
}

func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	data := bytes.Repeat([]byte("0123456789"), 1<<15)
	must(t, os.WriteFile(from, data, 0o600))
	must(t, do(t, CopyFile{from, to, 0o755}))
	if st := stat(t, to); st.Mode&0o7777 != 0o755 || content(t, to) != string(data) {
		t.Errorf("mode %o, %d bytes", st.Mode, st.Size)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := copyFile(ctx, CopyFile{from, to, 0o755}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	onlyIn(t, dir, "a", "b")
}

func TestWriteInPlaceKeepsTheInode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "grubenv")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("#"), 1024), 0o644))
	must(t, os.Symlink("grubenv", filepath.Join(dir, "link")))
	before := stat(t, path)
	data := bytes.Repeat([]byte("x"), 1024)
	must(t, do(t, WriteInPlace{path, data}))
	if after := stat(t, path); after.Ino != before.Ino || content(t, path) != string(data) {
		t.Error("not in place, or not written")
	}
	wantError(t, do(t, WriteInPlace{path, data[1:]}), path, "1024 bytes", "1023")
	wantError(t, do(t, WriteInPlace{filepath.Join(dir, "link"), data}), "link")
	wantError(t, do(t, WriteInPlace{filepath.Join(dir, "none"), data}), "no such file")
	wantError(t, do(t, WriteInPlace{dir, nil}), dir)
}

func TestMkdir(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "a/b/c")
	must(t, do(t, Mkdir{path, 0o777 | fs.ModeSticky}))
	if a, c := stat(t, filepath.Join(dir, "a")).Mode, stat(t, path).Mode; a != unix.S_IFDIR|0o755 || c != unix.S_IFDIR|0o1777 {
		t.Errorf("modes %o, %o", a, c)
	}
	must(t, do(t, Mkdir{path, 0o700}))
	if c := stat(t, path).Mode; c != unix.S_IFDIR|0o1777 {
		t.Errorf("an existing directory became %o", c)
	}
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	for _, name := range []string{"f", "f/x"} {
		if err := do(t, Mkdir{filepath.Join(dir, name), 0o755}); !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "d/e"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	must(t, os.Symlink("d", filepath.Join(dir, "l")))
	if err := do(t, Remove{filepath.Join(dir, "d")}); err == nil {
		t.Error("a directory with contents was removed")
	}
	for _, name := range []string{"f", "f", "l", "d/e", "none/f"} {
		must(t, do(t, Remove{filepath.Join(dir, name)}))
	}
	onlyIn(t, dir, "d")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "d"), 0o700))
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "d/b")
	must(t, os.WriteFile(a, []byte("x"), 0o600))
	must(t, do(t, Rename{a, b}))
	must(t, do(t, Rename{filepath.Join(dir, "d"), filepath.Join(dir, "e")}))
	must(t, os.Symlink("dangling", a))
	must(t, do(t, Rename{a, filepath.Join(dir, "l")}))
	onlyIn(t, dir, "e", "l")
	onlyIn(t, filepath.Join(dir, "e"), "b")
	if err := do(t, Rename{a, b}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "l")
	for _, target := range []string{"one", "one", "/two"} {
		must(t, do(t, Symlink{target, path}))
		if got, err := os.Readlink(path); err != nil || got != target {
			t.Errorf("leads to %s, %v", got, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	wantError(t, do(t, Symlink{"x", filepath.Join(dir, "f")}), "not a symbolic link")
	onlyIn(t, dir, "f", "l")
}

func TestSync(t *testing.T) {
	must(t, do(t, Sync{t.TempDir()}))
	if err := do(t, Sync{"/nonexistent"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRealRefusesUnknownEffectsAndObeysContext(t *testing.T) {
	wantError(t, do(t, strange{}), "strange", "unknown to")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "d")
	if _, err := new(Real).Do(ctx, Mkdir{path, 0o755}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("was made after the context had ended")
	}
}

type strange struct{}

func (strange) String() string   { return "do something strange" }
func (strange) Writes() []string { return nil }
