package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyncForBootLoader: what was written before a Sync is seen by GRUB's own drivers, which replay no log, while the filesystem
// stays mounted.
func TestSyncForBootLoader(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: loop devices need root")
	}
	for _, fs := range []string{"xfs", "ext4", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			for _, p := range []string{"mkfs." + fs, "grub-fstest", "losetup"} {
				if _, err := exec.LookPath(p); err != nil {
					t.Skipf("SKIPPED, NOT TESTED: no %s", p)
				}
			}
			dir := t.TempDir()
			img, at := filepath.Join(dir, "img"), filepath.Join(dir, "mnt")
			run := func(name string, args ...string) string {
				t.Helper()
				out, err := exec.Command(name, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%s %q: %v: %s", name, args, err, out)
				}
				return string(out)
			}
			if err := errors.Join(os.WriteFile(img, nil, 0o600), os.Truncate(img, 320<<20), os.Mkdir(at, 0o700)); err != nil {
				t.Fatal(err)
			}
			run("mkfs."+fs, "-q", img)
			dev := strings.TrimSpace(run("losetup", "--find", "--show", img))
			t.Cleanup(func() { run("losetup", "-d", dev) })
			if err := unix.Mount(dev, at, fs, 0, ""); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: this kernel does not mount %s: %v", fs, err)
			}
			t.Cleanup(func() { run("umount", at) })
			file := filepath.Join(at, "migrate-init", "committed")
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file+".new", []byte("plan\n"), 0o644)); err != nil {
				t.Fatal(err)
			}
			for _, x := range []Effect{Sync{Path: at}, Rename{From: file + ".new", To: file}, Sync{Path: filepath.Dir(file)}} {
				if _, err := (&Real{}).Do(t.Context(), x); err != nil {
					t.Fatalf("%s: %v", x, err)
				}
			}
			if got := run("grub-fstest", img, "cat", "(loop0)/migrate-init/committed"); got != "plan\n" {
				t.Errorf("GRUB reads %q", got)
			}
			if err := os.WriteFile(filepath.Join(at, "after"), []byte("x"), 0o600); err != nil {
				t.Errorf("it stayed frozen: %v", err)
			}
		})
	}
}
