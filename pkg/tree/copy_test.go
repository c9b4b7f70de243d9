package tree

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"migrate-init/pkg/testns"

	"golang.org/x/sys/unix"
)

func tool(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}

func TestCopyEverything(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 512<<20), newDisk(t, fs, 512<<20)
			apply(t, src.dir, everything(src)...)
			src.remount(t, unix.MS_RDONLY)
			var man bytes.Buffer
			res, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man, Workers: 3})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Problems) > 0 {
				t.Errorf("problems: %v", res.Problems)
			}
			dst.remount(t, unix.MS_RDONLY)
			src.remount(t, unix.MS_RDONLY)
			sameTree(t, src.dir, dst.dir)
			for _, hashes := range []*Manifest{openManifest(t, man.Bytes()), nil} {
				rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: hashes})
				if err != nil || !rep.Equal() {
					t.Errorf("verify: %v, differences: %v", err, rep.Differences)
				}
				if hashes != nil && rep.Reread != 0 {
					t.Errorf("%d bytes of the source read again in spite of the manifest", rep.Reread)
				}
				if rep.Files != res.Files+res.Links+res.Special || rep.Dirs != res.Dirs {
					t.Errorf("copied %+v, verified %d files, %d directories", res, rep.Files, rep.Dirs)
				}
			}
		})
	}
}

// TestCopyThroughTheCache: without direct I/O, and for disks with moving heads, the copy uses the page cache.
func TestCopyThroughTheCache(t *testing.T) {
	for _, o := range []Options{{cached: true}, {Rotational: true}} {
		src, dst := newDisk(t, "ext4", 512<<20), newDisk(t, "ext4", 512<<20)
		apply(t, src.dir, everything(src)...)
		src.remount(t, unix.MS_RDONLY)
		if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
			t.Fatal(err)
		}
		dst.remount(t, unix.MS_RDONLY)
		src.remount(t, unix.MS_RDONLY)
		sameTree(t, src.dir, dst.dir)
		rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
		if err != nil || !rep.Equal() {
			t.Errorf("verify: %v, differences: %v", err, rep.Differences)
		}
	}
}

// TestCopyJournalFlag is separate because the journal flag needs CAP_SYS_RESOURCE, which not every root has.
func TestCopyJournalFlag(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, file("journal", 0o644, noise(1, 5<<20)))
	if err := chattr("+j", "journal")(src.dir); err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
	}
	src.remount(t, unix.MS_RDONLY)
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); err != nil {
		t.Fatal(err)
	}
	dst.remount(t, unix.MS_RDONLY)
	sameTree(t, src.dir, dst.dir)
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
	if err != nil || !rep.Equal() {
		t.Errorf("verify: %v, differences: %v", err, rep.Differences)
	}
}

// TestCopyModesUnderAnyUmask checks that the modes are right with any umask: a mode that the umask does not change is not set
// again.
func TestCopyModesUnderAnyUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o137} {
		t.Run(fmt.Sprintf("%03o", mask), func(t *testing.T) {
			src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
			var acts []act
			for mode := range uint32(0o10000) {
				if mode%7 == 0 || mode < 0o1000 {
					acts = append(acts, file(fmt.Sprintf("f%04o", mode), mode, nil))
				}
				if mode%97 == 0 {
					p := fmt.Sprintf("p%04o", mode)
					acts = append(acts, mknod(p, unix.S_IFIFO|0o600, 0, 0), chmod(p, mode), mkdir("d"+p, mode))
				}
			}
			acts = append(acts, chown("f0644", 5, 6), setx("f0640", "system.posix_acl_access", someACL()),
				mkdir("def", 0o2775), setx("def", "system.posix_acl_default", someACL()), file("def/x", 0o666, nil))
			apply(t, src.dir, acts...)
			old := unix.Umask(mask)
			defer unix.Umask(old)
			if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); err != nil {
				t.Fatal(err)
			}
			sameTree(t, src.dir, dst.dir)
		})
	}
}

func TestMain(m *testing.M) {
	unix.Umask(0o077)
	testns.Run(m)
}

func openManifest(t *testing.T, b []byte) *Manifest {
	t.Helper()
	m, err := OpenManifest(bytes.NewReader(b), int64(len(b)))
	if err != nil || m.size != int64(len(b)) {
		t.Fatalf("manifest: %v, %d of %d bytes", err, m.size, len(b))
	}
	return m
}
