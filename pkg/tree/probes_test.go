package tree

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRemoveProbe: the power failed while a flag that prevents removal was being probed. RemoveProbe clears the flag.
func TestRemoveProbe(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			d := newDisk(t, fs, 512<<20)
			const left = ".migrate-init-probe-7"
			dir := d.dir + "/" + left
			for _, acts := range [][]act{
				{mkdir(left, 0o700)},
				{mkdir(left, 0o700), file(left+"/f", 0o600, []byte("f")), mknod(left+"/d", unix.S_IFCHR|0o600, 7, 7), file(left+"/v", 0o600, []byte("v"))},
				{mkdir(left, 0o700), file(left+"/f", 0o600, nil), chattr("+i", left+"/f")},
				{mkdir(left, 0o700), file(left+"/f", 0o600, nil), chattr("+a", left+"/f")},
				{mkdir(left, 0o700), file(left+"/f", 0o600, nil), chattr("+i", left)},
				{mkdir(left, 0o700), file(left+"/f", 0o600, nil), chattr("+a", left)},
				{mkdir(left, 0o700), chattr("+i", left)},
				{mkdir(left, 0o700), mkdir(left+"/empty", 0o700), chattr("+i", left+"/empty")},
				{mkdir(left, 0o700), mkdir(left+"/empty", 0o700), chattr("+a", left+"/empty"), chattr("+i", left)},
				{mkdir(left, 0o700), mknod(left+"/f", unix.S_IFIFO|0o600, 0, 0)},
			} {
				apply(t, d.dir, acts...)
				if err := RemoveProbe(dir); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			probe(t, d)
			// A directory with other files is not a probe directory.
			apply(t, d.dir, mkdir(left, 0o700), file(left+"/f", 0o600, nil), file(left+"/other", 0o600, nil), chattr("+i", left+"/f"), chattr("+i", left))
			if err := RemoveProbe(dir); !errors.Is(err, unix.ENOTEMPTY) {
				t.Errorf("someone else's directory: %v", err)
			}
			for _, p := range []string{dir, dir + "/f"} {
				var st stat
				if err := statAt(unix.AT_FDCWD, p, &st); err != nil || st.attrs&unix.STATX_ATTR_IMMUTABLE == 0 {
					t.Errorf("%s was touched: %v, attributes %#x", p, err, st.attrs)
				}
			}
		})
	}
}
