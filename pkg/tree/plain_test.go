package tree

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// over mounts something on p until the end of the test: the directory or file what, or a tmpfs.
func over(t *testing.T, what, p string) {
	t.Helper()
	fs, flags := "", uintptr(unix.MS_BIND)
	if what == "tmpfs" {
		fs, flags = "tmpfs", 0
	}
	if err := unix.Mount(what, p, fs, flags, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", what, p, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(p, 0); err != nil {
			t.Errorf("umount %s: %v", p, err)
		}
	})
}

// TestMountPointsWithoutClone checks that, without a clone of the source's mount, mounts below it are not entered, even if they
// are of the same filesystem, and that the files hidden below them are reported.
func TestMountPointsWithoutClone(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, mkdir("d", 0o751), file("d/f", 0o640, noise(1, 70_000)), link("d/f", "f2"), symlink("f", "d/s"), mknod("d/null", unix.S_IFCHR|0o600, 1, 3),
		mkdir("d/mnt", 0o750), file("d/mnt/hidden", 0o600, []byte("below")), mkdir("other", 0o700), file("other/f", 0o600, noise(2, 100)),
		mkdir("d/bind", 0o700), file("d/bind/hidden", 0o600, []byte("below")), times("d", 5, 5, 6, 6))
	over(t, "tmpfs", src.dir+"/d/mnt")
	over(t, src.dir+"/other", src.dir+"/d/bind")
	apply(t, src.dir, file("d/mnt/foreign", 0o600, nil))
	dst.remount(t, unix.MS_NOATIME) // Verify reads links
	o := Options{plain: true}
	mounts := []string{"d/bind", "d/mnt"}

	caps := probe(t, dst)
	scan, err := Precheck(t.Context(), src.dir, caps, o)
	i := slices.IndexFunc(scan.Findings, func(f Finding) bool { return f.ID == "tree.mountpoint" })
	if err != nil || i < 0 {
		t.Fatalf("precheck: %v %+v", err, scan.Findings)
	}
	f := scan.Findings[i]
	slices.Sort(f.Paths)
	if f.Severity != Fail || f.Count != 2 || !slices.Equal(f.Paths, mounts) || f.Fix == "" {
		t.Errorf("finding %+v", f)
	}
	if fs := findings(t, src.dir, caps); fs["tree.mountpoint"].Count != 0 {
		t.Errorf("with a clone: %+v", fs)
	}

	for _, resume := range []*Resume{nil, {}} {
		o.Resume = resume
		if _, err := Copy(t.Context(), src.dir, dst.dir, o); err != nil {
			t.Fatalf("copy: %v", err)
		}
		rep, err := Verify(t.Context(), src.dir, dst.dir, o)
		if err != nil || rep.Count != 2 {
			t.Errorf("verify: %v %v", err, rep.Differences)
		}
		for _, m := range mounts {
			if es, err := os.ReadDir(filepath.Join(dst.dir, m)); err != nil || len(es) > 0 {
				t.Errorf("mount point %s of the copy: %v, %v", m, es, err)
			}
			if !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.What == "unreadable" && d.Path == m }) {
				t.Errorf("%s hides something, and verify says only %v", m, rep.Differences)
			}
		}
	}
	// A Verify with a clone reports what is missing, and the rest is equal.
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
	if err != nil || !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.What == "missing" && d.Path == "d/mnt/hidden" }) {
		t.Errorf("verify with a clone: %v %v", err, rep.Differences)
	}
	for _, d := range rep.Differences {
		if filepath.Dir(d.Path) != "d/mnt" && filepath.Dir(d.Path) != "d/bind" && !slices.Contains(mounts, d.Path) {
			t.Errorf("beside the mount points: %s", d)
		}
	}
}

// TestMountOnFileWithoutClone mounts something of the expected type on a file and on a device: it is not part of the source.
func TestMountOnFileWithoutClone(t *testing.T) {
	for _, c := range []struct {
		name     string
		is, over act
	}{
		{"file", file("d/x", 0o600, []byte("mine")), file("y", 0o600, []byte("theirs"))},
		{"device", mknod("d/x", unix.S_IFCHR|0o600, 1, 3), mknod("y", unix.S_IFCHR|0o600, 1, 5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
			apply(t, src.dir, mkdir("d", 0o700), c.is, c.over)
			over(t, src.dir+"/y", src.dir+"/d/x")
			o := Options{plain: true}
			scan, err := Precheck(t.Context(), src.dir, probe(t, dst), o)
			if err != nil || !slices.ContainsFunc(scan.Findings, func(f Finding) bool { return f.ID == "tree.mountpoint" && slices.Equal(f.Paths, []string{"d/x"}) }) {
				t.Errorf("precheck: %v %+v", err, scan.Findings)
			}
			if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); err != nil {
				t.Fatal(err)
			}
			if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{}); err != nil || !rep.Equal() {
				t.Errorf("with a clone: %v %v", err, rep.Differences)
			}
			rep, err := Verify(t.Context(), src.dir, dst.dir, o)
			if err != nil || rep.Count != 1 || rep.Differences[0].Path != "d/x" || rep.Differences[0].What != "unreadable" {
				t.Errorf("verify: %v %v", err, rep.Differences)
			}
			wipe(t, dst.dir)
			_, err = Copy(t.Context(), src.dir, dst.dir, o)
			var e *Error
			if !errors.As(err, &e) || e.Path != "d/x" || e.Side != Source || !errors.Is(err, unix.EXDEV) {
				t.Errorf("copy: %v", err)
			}
		})
	}
}
