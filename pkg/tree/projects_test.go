package tree

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUntoldProjects checks that project ids that the kernel does not report are found as losses, if the source uses any.
func TestUntoldProjects(t *testing.T) {
	src := newDisk(t, "xfs", 320<<20)
	apply(t, src.dir,
		mkdir("used", 0o700), mkdir("used/p", 0o700), chattr("-p", "7", "+P", "used/p"), symlink("x", "used/p/s"), mknod("used/p/fifo", unix.S_IFIFO|0o600, 0, 0), link("used/p/fifo", "used/p/again"),
		symlink("x", "used/s"), file("used/f", 0o600, nil),
		mkdir("outside", 0o700), file("outside/f", 0o600, nil), chattr("-p", "7", "outside/f"), symlink("x", "outside/s"), mknod("outside/sock", unix.S_IFSOCK|0o600, 0, 0),
		mkdir("inherit", 0o700), chattr("+P", "inherit"), symlink("x", "inherit/s"),
		mkdir("unused", 0o700), symlink("x", "unused/s"), mknod("unused/fifo", unix.S_IFIFO|0o600, 0, 0), file("unused/f", 0o600, nil))
	const id = "tree.projectunread"
	untold := func(dir string) map[string]Finding {
		s := scannerOf(t, src.dir+"/"+dir, capable())
		asked := 0
		s.tellsProject = func(object) bool { asked++; return false }
		got := walked(t, s)
		if asked == 0 || asked > 2 { // each source has one or two types
			t.Errorf("%s: asked %d times", dir, asked)
		}
		return got
	}
	got := untold("used")
	f := got[id]
	slices.Sort(f.Paths)
	if len(f.Paths) != 2 || f.Paths[1] != "p/s" || f.Paths[0] != "p/again" && f.Paths[0] != "p/fifo" {
		t.Errorf("paths %q", f.Paths)
	}
	got[id] = f
	expect(t, got, id, Loss, 2, f.Paths[0], "3 symlinks and special files", "2 of them in directories with a project id")
	expect(t, untold("outside"), id, Info, 2, "", "2 symlinks and special files", "0 of them")
	expect(t, untold("inherit"), id, Info, 1, "", "1 symlinks and special files", "0 of them")
	if f, ok := untold("unused")[id]; ok {
		t.Errorf("a source without projects: %+v", f)
	}
	told := func(dir string) map[string]Finding {
		s := scannerOf(t, src.dir+"/"+dir, capable())
		s.tellsProject = func(object) bool { return true }
		return walked(t, s)
	}
	if f, ok := told("used")[id]; ok {
		t.Errorf("a kernel that tells: %+v", f)
	}
}

// TestTellsProject asks the kernel: if it reports project ids, the id of the fifo must be right.
func TestTellsProject(t *testing.T) {
	src := newDisk(t, "xfs", 320<<20)
	apply(t, src.dir, mkdir("p", 0o700), chattr("-p", "7", "+P", "p"), mknod("p/fifo", unix.S_IFIFO|0o600, 0, 0), file("p/f", 0o600, []byte("f")))
	r, err := openRoot(Source, src.dir+"/p", true, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() })
	o := object{fd: r.fd, name: "fifo"}
	var m meta
	if err := readMeta(o, r.magic, &m, make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if o.tellsProject() != (m.fsx.projid == 7) {
		t.Errorf("tells %v, project id %d", o.tellsProject(), m.fsx.projid)
	}
	c := capable()
	c.ProjectSpecial = false
	got := findings(t, src.dir+"/p", c)
	if !o.tellsProject() {
		expect(t, got, "tree.projectunread", Loss, 1, "fifo")
		t.Skip("SKIPPED: that a target cannot hold what is told: this kernel does not tell")
	}
	expect(t, got, "tree.project", Loss, 1, "fifo", "project id 7")
	if f, ok := got["tree.projectunread"]; ok {
		t.Errorf("%+v", f)
	}
	if can, err := ProbeCaps(src.dir); err != nil || !can.ProjectSpecial {
		t.Error(err, "the kernel that tells a fifo's project id does not set it")
	}
}
