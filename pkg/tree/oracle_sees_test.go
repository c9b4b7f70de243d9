package tree

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOracleSees checks the oracle: a property that it does not see cannot make a test fail.
func TestOracleSees(t *testing.T) {
	const levels = 18 // of 250 bytes each: beyond PATH_MAX
	d := newDisk(t, "xfs", 320<<20)
	d.remount(t, unix.MS_NOATIME) // the oracle reads links
	apply(t, d.dir, file("f", 0o600, nil), mkdir("d", 0o755), mknod("d/fifo", unix.S_IFIFO|0o600, 0, 0), mkdir("deep", 0o755), deep("deep", levels))
	below := "deep/" + strings.Repeat(deepName()+"/", levels)
	for _, c := range []struct {
		path, fact string
		do         act
	}{
		{"f", "project 4294967294 ", chattr("-p", "4294967294", "f")},
		{"d", "project 7 ", chattr("-p", "7", "d")},
		{"d", "flags 0x20000000", chattr("+P", "d")},
		{"d", "xflags 0x200 ", chattr("+P", "d")},
		{"d/in", "project 7 ", file("d/in", 0o600, nil)},
		{"f", "xflags 0x800 extsize 65536 ", xfsIO("f", "extsize 64k")},
		{"d", "xflags 0x11200 extsize 32768 cowextsize 131072", func(r string) error {
			if err := xfsIO("d", "extsize 32k")(r); err != nil {
				return err
			}
			return xfsIO("d", "cowextsize 128k")(r)
		}},
		{strings.TrimSuffix(below, "/"), "mode 40111 ", atBottom("deep", levels, func(fd int) error { return unix.Fchmod(fd, 0o111) })},
		{strings.TrimSuffix(below, "/"), "mtime -9.999999999", atBottom("deep", levels, func(fd int) error { return timesAt(fd, ".", 1, -9) })},
		{below + "bottom", "mode 100641 ", atBottom("deep", levels, func(fd int) error { return unix.Fchmodat(fd, "bottom", 0o641, 0) })},
		{below + "bottom", "sha256 ", atBottom("deep", levels, write("bottom", "other"))},
		{below + "bottom2", "xattr user.more ", atBottom("deep", levels, func(fd int) error {
			f, err := unix.Openat(fd, "bottom", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			defer unix.Close(f)
			return unix.Fsetxattr(f, "user.more", nil, 0)
		})},
		{below + "new", "nlink 1 ", atBottom("deep", levels, func(fd int) error { return unix.Mknodat(fd, "new", unix.S_IFIFO|0o600, 0) })},
		{below + "bottom", "one inode ", atBottom("deep", levels, func(fd int) error { return unix.Linkat(fd, "bottom", fd, "bottom3", 0) })},
	} {
		already := c.fact == "xflags 0x200 " // the same change shows in two facts
		before := oracle(t, d.dir)
		apply(t, d.dir, c.do)
		after := oracle(t, d.dir)
		if !slices.ContainsFunc(after, func(l string) bool {
			_, old := slices.BinarySearch(before, l)
			return old == already && strings.HasPrefix(l, `"`+c.path+`" `) && strings.Contains(l, c.fact)
		}) {
			t.Errorf("the oracle does not see %s of a path of %d bytes", c.fact, len(c.path))
		}
	}
}

// write makes data the content of a file in a directory.
func write(name, data string) func(fd int) error {
	return func(fd int) error {
		f, err := unix.Openat(fd, name, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(f)
		_, err = unix.Write(f, []byte(data))
		return err
	}
}

// TestProjectIDs checks project ids and their inheritance.
func TestProjectIDs(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 320<<20), newDisk(t, fs, 320<<20)
			if !src.project || !dst.project {
				t.Skipf("SKIPPED, NOTHING TESTED: this kernel has no project ids on %s", fs)
			}
			apply(t, src.dir, mkdir("p", 0o755), file("p/before", 0o600, nil), chattr("-p", "4711", "+P", "p"), file("p/in", 0o600, []byte("in")), mkdir("p/sub", 0o700),
				file("p/other", 0o600, nil), chattr("-p", "7", "p/other"), mkdir("q", 0o755), chattr("-p", "5", "q"), file("q/none", 0o600, nil),
				file("most", 0o600, noise(1, 70_000)), chattr("-p", "4294967294", "most"), link("most", "q/most"))
			src.remount(t, unix.MS_RDONLY)
			if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); err != nil {
				t.Fatal(err)
			}
			dst.remount(t, 0)
			sameTree(t, src.dir, dst.dir)
			if facts := oracle(t, dst.dir); !slices.ContainsFunc(facts, func(l string) bool { return strings.HasPrefix(l, `"p/sub" project 4711 xflags 0x200 `) }) {
				t.Errorf("the oracle says nothing of p/sub's project: %q", facts)
			}
			if rep, err := Verify(t.Context(), src.dir, dst.dir, Options{}); err != nil || !rep.Equal() {
				t.Errorf("verify: %v %v", err, rep.Differences)
			}
			apply(t, dst.dir, chattr("-p", "4712", "p/in"), chattr("-P", "p"), chattr("-p", "0", "q"))
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
			if err != nil || rep.Count != 3 {
				t.Errorf("verify: %v %v", err, rep.Differences)
			}
			for _, want := range []Difference{{"p/in", "project", "4711", "4712"}, {"p", "flags", "projinherit", "none"}, {"q", "project", "5", "0"}} {
				if !slices.Contains(rep.Differences, want) {
					t.Errorf("not found: %s; found %v", want, rep.Differences)
				}
			}
		})
	}
}

// TestOracleEntersEachDirectory checks that the walk of the oracle enters every directory.
func TestOracleEntersEachDirectory(t *testing.T) {
	d := newDisk(t, "ext4", 64<<20)
	apply(t, d.dir, mkdir("deep", 0o755), deep("deep", 30))
	n := 0
	for _, l := range oracle(t, d.dir) {
		if strings.Contains(l, " mode 4") {
			n++
		}
	}
	if n != 32 {
		t.Errorf("%d directories in the manifest, want 32", n)
	}
	if err := os.RemoveAll(d.dir + "/deep"); err != nil {
		t.Error(err)
	}
}
