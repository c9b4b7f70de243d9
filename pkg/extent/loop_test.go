package extent

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/testns"
)

func TestMain(m *testing.M) { testns.Run(m) }

// loopDevice makes a loop device of size bytes and opens it.
func loopDevice(t testing.TB, path, sector string) *os.File {
	t.Helper()
	need(t, "losetup")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: loop devices need root")
	}
	out, err := exec.Command("losetup", "-f", "--show", "-b", sector, path).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { run(t, "losetup", "-d", dev) })
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() }) //nolint:errcheck // a test's device
	return f
}

// TestCopyDevices copies between block devices, by direct I/O and, where the
// sectors are larger than the blocks, through the page cache; and then finds a
// byte that changed beneath the cache.
func TestCopyDevices(t *testing.T) {
	need(t, "mke2fs", "e2fsck")
	tree := t.TempDir()
	makeTree(t, tree, 5)
	for _, c := range []struct {
		sector string
		direct bool
	}{{"512", true}, {"4096", false}} {
		t.Run(c.sector, func(t *testing.T) {
			src := loopDevice(t, mkext(t, "-t ext4 -b 1024", 32, tree), "512")
			under := dirtyTarget(t, 40<<20)
			dst := loopDevice(t, under.Name(), c.sector)
			a, err := Read(src, 32<<20)
			must(t, err)
			res, err := Copy(t.Context(), src, dst, a, Options{})
			must(t, err)
			rep, err := Verify(t.Context(), dst, a, res.Sums, Options{})
			must(t, err)
			if res.Direct != c.direct || rep.Direct != c.direct {
				t.Errorf("direct I/O: copy %t, verification %t, want %t", res.Direct, rep.Direct, c.direct)
			}
			run(t, "e2fsck", "-fn", dst.Name())

			off := a.Ranges[len(a.Ranges)-1].Offset
			b := make([]byte, 1)
			_, err = under.ReadAt(b, off)
			must(t, err)
			b[0] ^= 1
			_, err = under.WriteAt(b, off)
			must(t, err)
			rep, err = Verify(t.Context(), dst, a, res.Sums, Options{Source: src})
			if !errors.Is(err, ErrDiffers) || !slices.Equal(rep.Differs, []Range{{off, 1024}}) {
				t.Errorf("%v, %v; want the block at %d", rep.Differs, err, off)
			}
		})
	}
}

func TestCopyTooSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small")
	must(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	dst := loopDevice(t, path, "512")
	a := &Allocation{Type: "ext4", BlockSize: 4096, Size: 2 << 20, Ranges: []Range{{0, 4096}}}
	if _, err := Copy(t.Context(), bytes.NewReader(make([]byte, 2<<20)), dst, a, Options{}); err == nil || !strings.Contains(err.Error(), "1048576 bytes, the filesystem has 2097152") {
		t.Errorf("got %v", err)
	}
}

// TestExtGrownOnline: the kernel fills, fragments and grows filesystems, the
// last ones into meta_bg beyond the descriptors that mke2fs made.
func TestExtGrownOnline(t *testing.T) {
	need(t, "mke2fs", "resize2fs", "dumpe2fs", "e2fsck", "findmnt")
	tree := t.TempDir()
	makeTree(t, tree, 6)
	for _, opts := range []string{"-t ext4 -b 1024 -g 1024", "-t ext4 -b 1024 -g 1024 -O 64bit,^resize_inode", "-t ext4 -b 1024 -g 1024 -O 64bit,^resize_inode,^flex_bg"} {
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) {
			path := mkext(t, opts, 16, "")
			must(t, os.Truncate(path, 60<<20))
			dir, unmount := mountLoop(t, path, "rw")
			run(t, "cp", "-a", tree, filepath.Join(dir, "one"))
			dev := strings.TrimSpace(run(t, "findmnt", "-n", "-o", "SOURCE", dir))
			out, err := exec.Command("resize2fs", dev).CombinedOutput()
			grown := err == nil
			if !grown {
				t.Logf("GROWING ONLINE IS NOT TESTED (it needs CAP_SYS_RESOURCE): %s", out)
			}
			run(t, "cp", "-a", tree, filepath.Join(dir, "two"))
			must(t, os.RemoveAll(filepath.Join(dir, "one", "d3")))
			unmount()
			f, size := openImage(t, path)
			a, err := Read(f, size)
			must(t, err)
			if grown && a.Size < 58<<20 {
				t.Errorf("grown, but of size %d", a.Size)
			}
			if want, _ := dumpe2fsUsed(t, path); !slices.Equal(a.Ranges, want) {
				t.Errorf("ranges\n%v\nwant\n%v", a.Ranges, want)
			}
			copied, _ := copyAndVerify(t, path)
			run(t, "e2fsck", "-fn", copied)
		})
	}
}
