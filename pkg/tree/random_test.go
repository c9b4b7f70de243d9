package tree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestRandomTrees checks that copies of random trees are equal according to the oracle and to Verify.
func TestRandomTrees(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			src, dst := newDisk(t, fs, 512<<20), newDisk(t, fs, 512<<20)
			src.remount(t, unix.MS_NOATIME) // the oracle reads links
			dst.remount(t, unix.MS_NOATIME)
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				if n > 12 {
					return // out of time
				}
				from, to := filepath.Join(src.dir, fmt.Sprint(n)), filepath.Join(dst.dir, fmt.Sprint(n))
				for _, d := range []string{from, to} {
					if err := os.Mkdir(d, 0o700); err != nil {
						rt.Fatal(err)
					}
				}
				randomTree(rt, src, from)
				syncDir(t, from)
				var man bytes.Buffer
				o := Options{Workers: rapid.IntRange(1, 4).Draw(rt, "workers"), Manifest: &man}
				if _, err := Copy(t.Context(), from, to, o); err != nil {
					rt.Fatal(err)
				}
				o.Hashes = openManifest(t, man.Bytes())
				rep, err := Verify(t.Context(), from, to, o)
				if err != nil || !rep.Equal() {
					rt.Fatalf("verify: %v, %v", err, rep.Differences)
				}
				sameTree(t, from, to, " allocated ") // the extent tree may differ; Verify has compared the extents
				if t.Failed() {
					rt.Fatal("oracle says no")
				}
			})
		})
	}
}

// randomTree makes up to 40 objects with any metadata, and links among them.
func randomTree(rt *rapid.T, on disk, root string) {
	dirs, files := []string{"."}, []string{}
	check := func(err error) {
		rt.Helper()
		if err != nil {
			rt.Fatal(err)
		}
	}
	id := rapid.Uint32Range(0, 4294967294)
	name := rapid.Custom(func(rt *rapid.T) string {
		b := rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 20).Draw(rt, "name")
		return string(bytes.ReplaceAll(b, []byte("/"), []byte("_")))
	})
	for i := range rapid.IntRange(0, 40).Draw(rt, "objects") {
		p := filepath.Join(rapid.SampledFrom(dirs).Draw(rt, "in"), fmt.Sprint(i)+name.Draw(rt, "name"))
		full := root + "/" + p
		switch rapid.IntRange(0, 7).Draw(rt, "kind") {
		case 0, 1:
			check(unix.Mkdir(full, 0o700))
			dirs = append(dirs, p)
		case 2:
			check(unix.Symlink(name.Draw(rt, "to"), full))
			files = append(files, p)
		case 3:
			types := []uint32{unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK}
			dev := unix.Mkdev(rapid.Uint32Range(0, 511).Draw(rt, "major"), rapid.Uint32Range(0, 1<<18-1).Draw(rt, "minor"))
			check(unix.Mknod(full, rapid.SampledFrom(types).Draw(rt, "type"), int(dev)))
			files = append(files, p)
		case 4:
			if len(files) > 0 {
				check(unix.Link(root+"/"+rapid.SampledFrom(files).Draw(rt, "of"), full))
			}
			continue
		default:
			randomFile(rt, full)
			files = append(files, p)
		}
		check(unix.Lchown(full, int(id.Draw(rt, "uid")), int(id.Draw(rt, "gid"))))
		if rapid.Bool().Draw(rt, "attr") {
			check(unix.Lsetxattr(full, "trusted."+fmt.Sprintf("%x", name.Draw(rt, "attr")), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "value"), 0))
		}
	}
	for _, p := range append(files, dirs...) {
		full := root + "/" + p
		var st unix.Stat_t
		check(unix.Lstat(full, &st))
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			check(randomACLs(rt, full, st.Mode&unix.S_IFMT == unix.S_IFDIR))
			check(unix.Chmod(full, rapid.Uint32Range(0, 0o7777).Draw(rt, "mode")))
		}
		sec, nsec := rapid.Int64Range(-1<<31, 1<<33), rapid.Int64Range(0, 999999999)
		ts := []unix.Timespec{{Sec: sec.Draw(rt, "a"), Nsec: nsec.Draw(rt, "an")}, {Sec: sec.Draw(rt, "m"), Nsec: nsec.Draw(rt, "mn")}}
		check(unix.UtimesNanoAt(unix.AT_FDCWD, full, ts, unix.AT_SYMLINK_NOFOLLOW))
		if t := st.Mode & unix.S_IFMT; t == unix.S_IFREG || t == unix.S_IFDIR {
			check(randomFlags(rt, on, full, t == unix.S_IFDIR)) // last: some forbid all else
		}
	}
}

// randomACLs sets no ACL, one, or both on a directory.
func randomACLs(rt *rapid.T, full string, dir bool) error {
	names := []string{"system.posix_acl_access"}
	if dir {
		names = append(names, "system.posix_acl_default")
	}
	perm, id := rapid.Uint32Range(0, 7), rapid.Uint32Range(0, 4294967294)
	for _, name := range names {
		if rapid.IntRange(0, 2).Draw(rt, name) > 0 {
			continue
		}
		es := []uint32{1, perm.Draw(rt, "user"), noID}
		for range rapid.IntRange(0, 3).Draw(rt, "users") {
			es = append(es, 2, perm.Draw(rt, "may"), id.Draw(rt, "uid"))
		}
		es = append(es, 4, perm.Draw(rt, "group"), noID)
		for range rapid.IntRange(0, 3).Draw(rt, "groups") {
			es = append(es, 8, perm.Draw(rt, "may"), id.Draw(rt, "gid"))
		}
		es = append(es, 0x10, perm.Draw(rt, "mask"), noID, 0x20, perm.Draw(rt, "other"), noID)
		if err := unix.Lsetxattr(full, name, acl(es...), 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// randomFlags sets flags that the filesystem supports for the type, and a project id.
func randomFlags(rt *rapid.T, on disk, full string, dir bool) error {
	letters := "ASdia" // those that freeze the object come last
	switch {
	case dir && on.fs == "ext4":
		letters = "DT" + letters
	case on.fs == "btrfs":
		letters = "c" + letters
	}
	if dir && on.project {
		letters = "P" + letters
	}
	flags := ""
	for _, l := range letters {
		if rapid.IntRange(0, 4).Draw(rt, "flag "+string(l)) == 0 {
			flags += string(l)
		}
	}
	var args []string
	if on.project && rapid.Bool().Draw(rt, "has a project") {
		args = append(args, "-p", fmt.Sprint(rapid.Uint32Range(0, 4294967294).Draw(rt, "project")))
	}
	if flags != "" {
		args = append(args, "+"+flags)
	}
	if len(args) == 0 {
		return nil
	}
	return tool("/", "chattr", append(args, full)...)
}

// randomFile writes pieces, some of zeros, preallocates and punches.
func randomFile(rt *rapid.T, full string) {
	f, err := os.Create(full)
	if err != nil {
		rt.Fatal(err)
	}
	defer f.Close()
	top := rapid.SampledFrom([]int64{0, 1, 5000, 300 << 10, 3 << 20, 20 << 20}).Draw(rt, "size")
	if err := f.Truncate(top); err != nil || top == 0 {
		return
	}
	at := rapid.Int64Range(0, top-1)
	for range rapid.IntRange(0, 5).Draw(rt, "pieces") {
		off := at.Draw(rt, "off")
		n := min(rapid.Int64Range(1, 100<<10).Draw(rt, "len"), top-off)
		switch rapid.IntRange(0, 4).Draw(rt, "piece") {
		case 0:
			err = unix.Fallocate(int(f.Fd()), rapid.SampledFrom([]uint32{0, unix.FALLOC_FL_KEEP_SIZE}).Draw(rt, "how"), off, n+1)
		case 1:
			err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, off, n)
		case 2:
			_, err = f.WriteAt(make([]byte, n), off)
		default:
			_, err = f.WriteAt(noise(uint64(off), int(n)), off)
		}
		if err != nil {
			rt.Fatalf("write of %d bytes at %d: %v", n, off, err)
		}
	}
}
