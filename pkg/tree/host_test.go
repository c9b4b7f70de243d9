package tree

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: needs root for loop devices, devices, ownership and trusted xattrs")
	}
}

// disk is a filesystem on a loop device that exists until the end of the test.
type disk struct {
	dev, dir, fs string
	project      bool
}

func newDisk(t *testing.T, fs string, size int64, opts ...string) disk {
	t.Helper()
	needRoot(t)
	img := filepath.Join(t.TempDir(), "img")
	f, err := os.Create(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	mkfs, err := exec.LookPath("mkfs." + fs)
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: no mkfs.%s", fs)
	}
	args := map[string][]string{"ext4": {"-q", "-F"}, "xfs": {"-q", "-f"}, "btrfs": {"-q", "-f"}}[fs]
	if fs == "ext4" && len(opts) == 0 {
		args = append(args, "-O", "project,ea_inode", "-I", "256")
	}
	run(t, mkfs, append(append(args, opts...), img)...)
	out, err := exec.Command("losetup", "--find", "--show", img).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: losetup: %v: %s", err, out)
	}
	d := disk{dev: string(out[:len(out)-1]), dir: filepath.Join(t.TempDir(), "mnt")}
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", d.dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", d.dev, err, out)
		}
	})
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.fs, d.project = fs, fs == "xfs" || fs == "ext4" && len(opts) == 0
	mount := func() error { return unix.Mount(d.dev, d.dir, fs, 0, "") }
	err = mount()
	if d.project && errors.Is(err, unix.EINVAL) {
		t.Log("NOT TESTED: project ids on ext4, this kernel has no quota")
		d.project = false
		run(t, mkfs, "-q", "-F", "-O", "ea_inode", "-I", "256", d.dev)
		err = mount()
	}
	if errors.Is(err, unix.ENODEV) {
		t.Skipf("SKIPPED, NOTHING TESTED: this kernel has no %s", fs)
	} else if err != nil {
		t.Fatalf("mount %s: %v", fs, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, 0); err != nil {
			t.Errorf("umount %s: %v", d.dir, err)
		}
	})
	return d
}

// remount unmounts and mounts again, so that everything is read from the disk.
func (d disk) remount(t *testing.T, flags uintptr) {
	t.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil {
		t.Fatalf("umount: %v", err)
	}
	if err := unix.Mount(d.dev, d.dir, d.fs, flags, ""); err != nil {
		t.Fatalf("mount: %v", err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// fdsLeft counts the open files of this process.
func fdsLeft(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

// syncDir syncs the filesystem that dir is on.
func syncDir(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}
