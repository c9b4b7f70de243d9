package tree

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrecheckNamesEachLoss: each row has a source with one property and a target that cannot store it. Exactly that is found. For
// a capable target there are only the findings of every copy.
func TestPrecheckNamesEachLoss(t *testing.T) {
	src := newDisk(t, "ext4", 64<<20)
	xs := func(n, size int) act { return manyXattrs("x", n, size) }
	for i, c := range []struct {
		acts  []act
		lack  func(*Caps)
		id    string
		sev   Severity
		count int64
		path  string
		words []string
	}{
		{[]act{file("a", 0o600, nil)}, func(*Caps) {}, "tree.identity", Info, 1, "", []string{"inode numbers", "birth times", "change times"}},
		{[]act{file("a", 0o600, nil), times("a", 0, 0, 1<<33, 7)}, func(c *Caps) { c.TimeMax = 1<<32 - 1 }, "tree.time", Loss, 1, "a", []string{"8589934592", "4294967295", "ext4"}},
		{[]act{file("a", 0o600, nil), times("a", 0, 7, 0, 0), times(".", 0, 0, 0, 0)}, func(c *Caps) { c.Nanoseconds = false }, "tree.nanoseconds", Loss, 1, "a", []string{"whole seconds"}},
		{[]act{file("a", 0o600, nil), file("b", 0o600, nil), chattr("+d", "a", "b")}, func(c *Caps) { c.Flags &^= flNodump }, "tree.flags", Loss, 2, "a", []string{"flags nodump", "ext4"}},
		{[]act{pieces("big", 1<<30, nil), pieces("small", 1<<20, nil)}, func(c *Caps) { c.FileSize = 1 << 20 }, "tree.size", Fail, 1, "big", []string{"size 1073741824", "allows 1048576"}},
		{[]act{file("a", 0o600, nil), link("a", "b"), link("a", "c"), file("d", 0o600, nil), link("d", "e")}, func(c *Caps) { c.Links = 2 }, "tree.links", Fail, 1, "a", []string{"3 links", "allows 2"}},
		{[]act{file("a", 0o600, nil), mknod("chr", unix.S_IFCHR|0o600, 259, 3), mknod("blk", unix.S_IFBLK|0o600, 300, 4), mknod("null", unix.S_IFCHR|0o600, 1, 3)},
			func(c *Caps) { c.DevMajor = 258 }, "tree.device", Fail, 2, "chr", []string{"major numbers up to 258"}},
		{[]act{mknod("chr", unix.S_IFCHR|0o600, 4, 1<<18), mknod("blk", unix.S_IFBLK|0o600, 4, 1<<18-1)},
			func(c *Caps) { c.DevMinor = 1<<18 - 1 }, "tree.device", Fail, 1, "chr", []string{"4:262144", "minor numbers up to 262143"}},
		{[]act{file("a", 0o600, nil), mkdir("d", 0o700), symlink("x", "d/s")}, func(c *Caps) { c.FreeInodes = 3 }, "tree.inodes", Fail, 1, "", []string{"4 objects", "3 free inodes"}},
		{[]act{file("a", 0o600, noise(1, 100<<10))}, func(c *Caps) { c.FreeBytes = 4096 }, "tree.space", Fail, 1, "", []string{"bytes are allocated", "4096 are free"}},
		{[]act{file("a", 0o640, nil), setx("a", "system.posix_acl_access", someACL())}, func(c *Caps) { c.ACL = false }, "tree.xattr", Loss, 1, "a", []string{"system.posix_acl_access", "not support this namespace"}},
		{[]act{file("a", 0o640, nil), setx("a", "user.u", nil)}, func(c *Caps) { c.User = false }, "tree.xattr", Loss, 1, "a", []string{"user.u", "not support this namespace"}},
		{[]act{file("a", 0o640, nil), setx("a", "trusted.t", nil)}, func(c *Caps) { c.Trusted = false }, "tree.xattr", Loss, 1, "a", []string{"trusted.t", "not support this namespace"}},
		{[]act{file("a", 0o640, nil), setx("a", "security.ima", []byte{1})}, func(c *Caps) { c.Security = false }, "tree.xattr", Loss, 1, "a", []string{"security.ima", "not support this namespace"}},
		{[]act{file("x", 0o600, nil), xs(1, 3000)}, func(c *Caps) { c.XattrValue = 2999 }, "tree.xattrsize", Loss, 1, "x", []string{"user.n0", "3000 bytes", "allows 2999"}},
		{[]act{file("x", 0o600, nil), xs(5, 100)}, func(c *Caps) { c.XattrTotal = 499 }, "tree.xattrs", Loss, 1, "x", []string{"500 bytes of xattrs", "certain to store 499"}},
	} {
		t.Run(c.id, func(t *testing.T) {
			name := fmt.Sprint("row", i)
			apply(t, src.dir, mkdir(name, 0o700))
			dir := filepath.Join(src.dir, name)
			apply(t, dir, c.acts...)
			caps := capable()
			for id := range findings(t, dir, caps) {
				if id != "tree.identity" {
					t.Errorf("a capable target: %s", id)
				}
			}
			c.lack(&caps)
			got := findings(t, dir, caps)
			expect(t, got, c.id, c.sev, c.count, c.path, c.words...)
			delete(got, c.id)
			delete(got, "tree.identity")
			if len(got) > 0 {
				t.Errorf("also %v", got)
			}
		})
	}
}

// TestPrecheckOfMountPoint: without a clone of the mount, files below a mount point cannot be reached, which prevents the copy.
func TestPrecheckOfMountPoint(t *testing.T) {
	src := newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, file("a", 0o600, nil), mkdir("mnt", 0o700), file("mnt/hidden", 0o600, nil))
	if err := unix.Mount("none", src.dir+"/mnt", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(src.dir+"/mnt", 0); err != nil {
			t.Error(err)
		}
	})
	if f, ok := findings(t, src.dir, capable())["tree.mountpoint"]; ok {
		t.Errorf("the clone has no mount points: %+v", f)
	}
	fd, err := unix.Open(src.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &root{side: Source, fd: fd}
	if err := r.look(); err != nil {
		t.Fatal(errors.Join(err, r.close()))
	}
	expect(t, walked(t, newScanner(t.Context(), r, capable(), Options{})), "tree.mountpoint", Fail, 1, "mnt", "cannot be reached")
}

// TestPrecheckOfUnreadable: files that cannot be read prevent a copy, except with the policy that lists them.
func TestPrecheckOfUnreadable(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	apply(t, src.dir, file("a", 0o600, nil), mkdir("d", 0o700), file("d/bad", 0o600, []byte("bad")))
	if err := unix.Unmount(src.dir, 0); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("debugfs", "-w", "-R", "clri /d/bad", src.dev).CombinedOutput()
	if e := unix.Mount(src.dev, src.dir, "ext4", unix.MS_RDONLY, ""); e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Skipf("SKIPPED, NOTHING TESTED: debugfs: %v: %s", err, out)
	}
	expect(t, findings(t, src.dir, capable()), "tree.unreadable", Fail, 1, "d/bad", "open and stat: ")
	s := scannerOf(t, src.dir, capable())
	s.o.OnReadError = List
	expect(t, walked(t, s), "tree.unreadable", Loss, 1, "d/bad", "open and stat: ")
	res, err := Copy(t.Context(), src.dir, dst.dir, Options{OnReadError: List})
	if err != nil || !slices.ContainsFunc(res.Problems, func(p Problem) bool { return p.Path == "d/bad" }) {
		t.Errorf("copy: %v, problems %v", err, res.Problems)
	}
}
