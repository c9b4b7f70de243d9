package tree

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func poke(p string, off int64, b []byte) act {
	return func(r string) error {
		// The times do not change, as with a broken disk.
		var st unix.Stat_t
		full := filepath.Join(r, p)
		if err := unix.Lstat(full, &st); err != nil {
			return err
		}
		f, err := os.OpenFile(full, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{st.Atim, st.Mtim}, 0)
	}
}

func unlink(p string) act {
	return func(r string) error { return os.RemoveAll(filepath.Join(r, p)) }
}

func rmx(p, name string) act {
	return func(r string) error { return unix.Lremovexattr(filepath.Join(r, p), name) }
}

func punch(p string, off, n int64) act {
	return fallocate(p, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

func retime(p string, nsec int64, mtime bool) act {
	return func(r string) error {
		var st unix.Stat_t
		full := filepath.Join(r, p)
		if err := unix.Lstat(full, &st); err != nil {
			return err
		}
		ts := []unix.Timespec{st.Atim, st.Mtim}
		if mtime {
			ts[1].Nsec ^= nsec
		} else {
			ts[0].Nsec ^= nsec
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, full, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
}

// mutation changes one property of path, or of one of several paths separated by bars; what is that of the expected Difference.
type mutation struct {
	what, path string
	do, undo   []act
}

const mutatedLevels = 18 // of 250 bytes each: beyond PATH_MAX

// mutated makes the tree that the mutations change.
func mutated(on disk) []act {
	acts := []act{
		mkdir("d", 0o755), file("d/f", 0o644, noise(1, 5000)), file("big", 0o600, noise(2, 3<<20)), pieces("sparse", 4<<20, map[int64][]byte{1 << 20: noise(3, 4096)}),
		fallocate("pre", 0, 0, 1<<20), file("zeros", 0o600, make([]byte, 64<<10)), symlink("there", "sym"), mknod("dev", unix.S_IFCHR|0o600, 1, 3), mknod("fifo", unix.S_IFIFO|0o600, 0, 0),
		setx("d/f", "user.u", []byte("value")), setx("sym", "trusted.t", []byte("v")), setx("big", "security.capability", capNetRaw()),
		setx("d", "system.posix_acl_default", someACL()), file("l1", 0o644, []byte("linked")), link("l1", "l2"), link("l1", "d/l3"), link("fifo", "fifo2"),
		file("flag", 0o644, nil), chattr("+d", "flag"), mkdir("e", 0o700), file("e/gone", 0o600, nil),
		mknod("sock", unix.S_IFSOCK|0o600, 0, 0), setx("sock", "trusted.t", []byte("v")), mknod("blk", unix.S_IFBLK|0o600, 8, 1), setx("blk", "security.s", nil),
		setx("d", "user.empty", nil), mkdir("deep", 0o755), deep("deep", mutatedLevels),
	}
	switch on.fs {
	case "xfs":
		acts = append(acts, file("hint", 0o600, nil), xfsIO("hint", "extsize 64k"))
	case "btrfs":
		acts = append(acts, file("compr", 0o600, nil), chattr("+c", "compr"), file("nocow", 0o600, nil), chattr("+C", "nocow"))
	}
	if on.project {
		acts = append(acts, file("proj", 0o600, nil), chattr("-p", "4711", "proj"), mkdir("projd", 0o755), chattr("-p", "99", "+P", "projd"), file("projd/in", 0o600, nil))
	}
	return append(acts, retime("d", 0, true))
}

func mutations(on disk) []mutation {
	below := "deep/" + strings.Repeat(deepName()+"/", mutatedLevels)
	ms := []mutation{
		{"data", "d/f", []act{poke("d/f", 4999, []byte{0})}, nil},
		{"data", "big", []act{poke("big", 2<<20+17, []byte{0})}, nil},
		{"data", "sparse", []act{poke("sparse", 3<<20, []byte{1})}, nil},
		{"holes", "sparse", []act{poke("sparse", 3<<20, []byte{0})}, nil},
		{"holes", "zeros", []act{punch("zeros", 8192, 4096)}, nil},
		{"preallocation", "pre", []act{punch("pre", 0, 1<<20)}, nil},
		{"preallocation", "pre", []act{poke("pre", 0, make([]byte, 1<<20))}, nil},
		{"preallocation", "pre", []act{fallocate("pre", unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20)}, nil},
		{"size", "d/f", []act{poke("d/f", 5000, []byte{1})}, nil},
		{"mtime", "d/f", []act{retime("d/f", 1, true)}, nil},
		{"atime", "d/f", []act{retime("d/f", 1, false)}, nil},
		{"mtime", "sym", []act{retime("sym", 1, true)}, nil},
		{"mtime", "d", []act{retime("d", 1, true)}, nil},
		{"mtime", ".", []act{retime("", 1, true)}, nil},
		{"atime", "dev", []act{retime("dev", 1, false)}, nil},
		{"mode", "d", []act{chmod("d", 0o754)}, nil},
		{"mode", "dev", []act{chmod("dev", 0o4600)}, nil},
		{"uid", "sym", []act{chown("sym", 1, 0)}, nil},
		{"gid", "l2", []act{chown("l2", 0, 1)}, nil},
		{"xattr user.u", "d/f", []act{setx("d/f", "user.u", []byte("Value"))}, nil},
		{"xattr user.u", "d/f", []act{rmx("d/f", "user.u")}, nil},
		{"xattr user.more", "d/f", []act{setx("d/f", "user.more", nil)}, nil},
		{"xattr trusted.t", "sym", []act{rmx("sym", "trusted.t")}, nil},
		{"xattr security.capability", "big", []act{rmx("big", "security.capability")}, nil},
		{"xattr system.posix_acl_default", "d", []act{rmx("d", "system.posix_acl_default")}, nil},
		{"flags", "flag", []act{chattr("-d", "flag")}, nil},
		{"flags", "d/f", []act{chattr("+i", "d/f")}, []act{chattr("-i", "d/f")}},
		{"symlink", "sym", []act{unlink("sym"), symlink("THERE", "sym")}, nil},
		{"device", "dev", []act{unlink("dev"), mknod("dev", unix.S_IFCHR|0o600, 1, 5)}, nil},
		{"type", "dev", []act{unlink("dev"), mknod("dev", unix.S_IFBLK|0o600, 1, 3)}, nil},
		{"links", "l1", []act{link("l1", "l4")}, nil},
		{"extra", "l4", []act{link("l1", "l4")}, nil},
		{"links", "l2", []act{unlink("l2"), file("l2", 0o644, []byte("linked"))}, nil},
		{"link", "l2|d/l3|l1", []act{unlink("l2"), file("l2", 0o644, []byte("linked")), link("l2", "x"), link("l2", "y")}, nil},
		{"data", "l1|l2|d/l3", []act{poke("d/l3", 0, []byte("L"))}, nil},
		{"link", "fifo|fifo2", []act{unlink("fifo2"), mknod("fifo2", unix.S_IFIFO|0o600, 0, 0)}, nil},
		{"missing", "e/gone", []act{unlink("e/gone")}, nil},
		{"missing", "e", []act{unlink("e")}, nil},
		{"extra", "e/new", []act{file("e/new", 0o600, nil)}, nil},
		{"extra", "new\xff", []act{mkdir("new\xff", 0o700)}, nil},
		{"xattr trusted.t", "sock", []act{setx("sock", "trusted.t", nil)}, nil},
		{"xattr security.s", "blk", []act{rmx("blk", "security.s")}, nil},
		{"xattr user.empty", "d", []act{rmx("d", "user.empty")}, nil},
		{"data", below + "bottom|" + below + "bottom2", []act{atBottom("deep", mutatedLevels, write("bottom", "DEEP"))}, nil},
		{"mode", strings.TrimSuffix(below, "/"), []act{atBottom("deep", mutatedLevels, func(fd int) error { return unix.Fchmod(fd, 0o111) })}, nil},
		{"missing", below + "symlink", []act{atBottom("deep", mutatedLevels, func(fd int) error { return unix.Unlinkat(fd, "symlink", 0) })}, nil},
	}
	switch on.fs {
	case "xfs":
		ms = append(ms, mutation{"xflags", "hint", []act{xfsIO("hint", "extsize 128k")}, nil}, mutation{"xflags", "d", []act{xfsIO("d", "extsize 64k")}, nil})
	case "btrfs":
		ms = append(ms, mutation{"flags", "compr", []act{chattr("-c", "compr")}, nil}, mutation{"xattr btrfs.compression", "compr", []act{chattr("-c", "compr")}, nil},
			mutation{"flags", "nocow", []act{chattr("-C", "nocow")}, nil})
	}
	if on.project {
		ms = append(ms, mutation{"project", "proj", []act{chattr("-p", "4712", "proj")}, nil}, mutation{"project", "projd", []act{chattr("-p", "0", "projd")}, nil},
			mutation{"project", "d", []act{chattr("-p", "4711", "d")}, nil}, mutation{"flags", "projd", []act{chattr("-P", "projd")}, nil},
			mutation{"project", "projd/in", []act{chattr("-p", "4294967294", "projd/in")}, nil})
	}
	return ms
}

// TestVerifyFindsEachMutation checks that every mutation of the target is found, with the right path and What.
func TestVerifyFindsEachMutation(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 320<<20), newDisk(t, fs, 320<<20)
			apply(t, src.dir, mutated(src)...)
			src.remount(t, unix.MS_RDONLY) // drops what xfs preallocates
			var man bytes.Buffer
			if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man}); err != nil {
				t.Fatal(err)
			}
			for i, m := range mutations(src) {
				for withHashes := range 2 {
					if fs != "ext4" && withHashes != i%2 {
						continue // both ways are the same code, and this takes a while
					}
					o := Options{}
					if withHashes == 1 {
						o.Hashes = openManifest(t, man.Bytes())
					}
					found(t, src, dst, m, o)
				}
			}
			rep, err := Verify(t.Context(), src.dir, dst.dir, Options{})
			if err != nil || !rep.Equal() {
				t.Errorf("at the end: %v %v", err, rep.Differences)
			}
		})
	}
}

// found makes the mutation, checks that Verify finds it, and repairs the copy.
func found(t *testing.T, src, dst disk, m mutation, o Options) {
	t.Helper()
	apply(t, dst.dir, m.do...)
	rep, err := Verify(t.Context(), src.dir, dst.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Split(m.path, "|")
	if !slices.ContainsFunc(rep.Differences, func(d Difference) bool {
		return d.What == m.what && slices.Contains(paths, d.Path) && d.Source != d.Target
	}) {
		t.Errorf("%s of %q changed, found only %v", m.what, m.path, rep.Differences)
	}
	apply(t, dst.dir, m.undo...)
	wipe(t, dst.dir)
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{}); err != nil {
		t.Fatal(err)
	}
}

func wipe(t *testing.T, dir string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVerifyReadsTheDisk changes a byte on the device below the page cache, and checks that Verify finds it.
func TestVerifyReadsTheDisk(t *testing.T) {
	src, dst := newDisk(t, "ext4", 64<<20), newDisk(t, "ext4", 64<<20)
	mark := noise(99, 8192)
	apply(t, src.dir, file("f", 0o600, mark), file("g", 0o600, noise(98, 2<<20)))
	var man bytes.Buffer
	if _, err := Copy(t.Context(), src.dir, dst.dir, Options{Manifest: &man}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(dst.dir, "f")); err != nil { // now it is cached
		t.Fatal(err)
	}
	dev, err := os.OpenFile(dst.dev, os.O_RDWR|unix.O_DIRECT|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	img := newWorker().data[:blockSize]
	at := int64(-1)
	for off := int64(0); off < 64<<20 && at < 0; off += blockSize {
		if _, err := dev.ReadAt(img, off); err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(img, mark[:4096]); i >= 0 {
			at = off + int64(i)
			img[i+100] ^= 1
			if _, err := dev.WriteAt(img[i:i+4096], at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if at < 0 {
		t.Fatal("the file's block is not on the device")
	}
	if b, err := os.ReadFile(filepath.Join(dst.dir, "f")); err != nil || !bytes.Equal(b, mark) {
		t.Skip("SKIPPED: the cache did not keep the old byte, so this shows nothing")
	}
	rep, err := Verify(t.Context(), src.dir, dst.dir, Options{Hashes: openManifest(t, man.Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	rep.Differences = slices.DeleteFunc(rep.Differences, func(d Difference) bool { return d.What == "atime" }) // ReadFile's
	if len(rep.Differences) != 1 || rep.Differences[0].Path != "f" || rep.Differences[0].What != "data" || !strings.Contains(rep.Differences[0].Source, "at byte 100") {
		t.Errorf("differences %v, want data of f at byte 100", rep.Differences)
	}
}
