package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// oracle returns an independent manifest: lstat, lgetxattr, sha256, the ioctls of lsattr and a simple map of allocation. It
// shares no code with the engine. It goes from directory to directory, so paths may be of any length. Each line has one fact of
// one path.
func oracle(t *testing.T, root string) []string {
	t.Helper()
	syncDir(t, root)
	o := manifestOf{groups: map[uint64][]string{}}
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err == nil {
		err = o.dir(fd, ".")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range o.groups {
		if len(g) > 1 {
			slices.Sort(g)
			o.out = append(o.out, fmt.Sprintf("%q one inode %q", g[0], g))
		}
	}
	slices.Sort(o.out)
	return o.out
}

type manifestOf struct {
	out    []string
	groups map[uint64][]string // names by inode
}

// dir closes fd.
func (o *manifestOf) dir(fd int, rel string) error {
	d := os.NewFile(uintptr(fd), "directory")
	defer d.Close()
	at := fmt.Sprintf("/proc/self/fd/%d/", fd) // a short way to what is in it
	if err := o.facts(at+".", rel); err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := strings.TrimPrefix(rel+"/"+name, "./")
		if path == "lost+found" {
			continue
		}
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NOATIME|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			err = o.dir(sub, path)
		case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
			err = o.facts(at+name, path)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// facts records all properties of one object; p is a path to it, rel its name in the manifest.
func (o *manifestOf) facts(p, rel string) error {
	say := func(format string, a ...any) {
		o.out = append(o.out, fmt.Sprintf("%q ", rel)+fmt.Sprintf(format, a...))
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(p, &st); err != nil {
		return err
	}
	say("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
	say("mtime %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	say("atime %d.%09d", st.Atim.Sec, st.Atim.Nsec)
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		say("nlink %d size %d", st.Nlink, st.Size)
		o.groups[st.Ino] = append(o.groups[st.Ino], rel)
	}
	oracleXattrs(p, say)
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG, syscall.S_IFDIR:
		return oracleOpen(p, &st, say)
	case syscall.S_IFLNK:
		to, err := os.Readlink(p)
		say("to %q %v", to, err)
	case syscall.S_IFBLK, syscall.S_IFCHR:
		say("rdev %d", st.Rdev)
	}
	return oracleAttr(p, say)
}

func oracleXattrs(p string, say func(string, ...any)) {
	buf := make([]byte, 1<<17)
	n, err := unix.Llistxattr(p, buf)
	if err != nil {
		return
	}
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	for _, name := range names {
		if strings.HasPrefix(name, "trusted.SGI_ACL") {
			continue
		}
		n, err := unix.Lgetxattr(p, name, buf)
		say("xattr %s = %x %v", name, sha256.Sum256(buf[:max(n, 0)]), err)
	}
}

func oracleOpen(p string, st *syscall.Stat_t, say func(string, ...any)) error {
	f, err := os.OpenFile(p, os.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if v, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		// SsuidcaAjtTdNP..., all that chattr accepts except extents, verity and encryption
		say("flags %#x", uint32(v)&0x6083c4ff)
	}
	// struct fsxattr: xflags, extsize, nextents, projid, cowextsize; FS_IOC_FSGETXATTR on amd64 and most others
	x := make([]byte, 28)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0x801c581f, uintptr(unsafe.Pointer(&x[0]))); e == 0 {
		u32 := binary.NativeEndian.Uint32
		say("project %d xflags %#x extsize %d cowextsize %d", u32(x[12:]), u32(x)&xflagsKept, u32(x[4:]), u32(x[16:]))
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return nil
	}
	// Unwritten blocks whose zeros are in the cache would be reported as data.
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	var data, hole int64
	var layout []string
	for hole < st.Size {
		if data, err = f.Seek(hole, 3); err != nil {
			break
		}
		if hole, err = f.Seek(data, 4); err != nil {
			return err
		}
		layout = append(layout, fmt.Sprintf("%d-%d", data, hole))
	}
	say("data %v", layout)
	if st.Size < 1<<32 {
		h := sha256.New()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		say("sha256 %x", h.Sum(nil))
	}
	// Use the extents, not st_blocks, which includes the blocks of xattrs and of the extent tree; the latter depends on
	// fragmentation.
	n, err := allocated(f)
	if err != nil {
		return err
	}
	say("allocated %d", n)
	return nil
}

// xflagsKept are the bits of fsx_xflags except realtime, preallocated and has-xattrs, which describe the layout.
const xflagsKept = 0x1fff8

// oracleAttr reads the project id of what cannot be opened, with file_getattr if the kernel has it (6.17). struct file_attr: u64
// xflags, u32 extsize, nextents, projid, cowextsize.
func oracleAttr(p string, say func(string, ...any)) error {
	name, err := unix.BytePtrFromString(p)
	if err != nil {
		return err
	}
	at, b := unix.AT_FDCWD, make([]byte, 24)
	_, _, e := unix.Syscall6(468, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&b[0])), 24, unix.AT_SYMLINK_NOFOLLOW, 0)
	if project, xflags := binary.NativeEndian.Uint32(b[16:]), binary.NativeEndian.Uint64(b)&xflagsKept; e == 0 && (project != 0 || xflags != 0) {
		say("project %d xflags %#x", project, xflags)
	}
	return nil
}

// allocated returns the total size of a file's extents, including unwritten ones, as Documentation/filesystems/fiemap.rst
// describes them; -1 if the filesystem does not report them.
func allocated(f *os.File) (int64, error) {
	const header, extent, most = 32, 56, 64
	var sum int64
	for from := uint64(0); ; {
		b := make([]byte, header+most*extent)
		le := binary.NativeEndian
		le.PutUint64(b, from)
		le.PutUint64(b[8:], ^uint64(0)-from)
		le.PutUint32(b[16:], 1) // sync first
		le.PutUint32(b[24:], most)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0xc020660b, uintptr(unsafe.Pointer(&b[0]))); e == unix.EOPNOTSUPP {
			return -1, nil
		} else if e != 0 {
			return 0, e
		}
		n := le.Uint32(b[20:])
		if n == 0 {
			return sum, nil
		}
		for i := range n {
			x := b[header+int(i)*extent:]
			sum += int64(le.Uint64(x[16:]))
			from = le.Uint64(x) + le.Uint64(x[16:])
			if le.Uint32(x[40:])&1 != 0 {
				return sum, nil
			}
		}
	}
}

// sameTree fails with the first differing facts.
func sameTree(t *testing.T, src, dst string, ignore ...string) {
	t.Helper()
	a, b := oracle(t, src), oracle(t, dst)
	drop := func(s []string) []string {
		return slices.DeleteFunc(s, func(l string) bool {
			return slices.ContainsFunc(ignore, func(i string) bool { return strings.Contains(l, i) })
		})
	}
	a, b = drop(a), drop(b)
	var diff bytes.Buffer
	n := 0
	for _, l := range a {
		if _, ok := slices.BinarySearch(b, l); !ok && n < 20 {
			fmt.Fprintf(&diff, "- %s\n", l)
			n++
		}
	}
	for _, l := range b {
		if _, ok := slices.BinarySearch(a, l); !ok && n < 40 {
			fmt.Fprintf(&diff, "+ %s\n", l)
			n++
		}
	}
	if diff.Len() > 0 {
		t.Errorf("target differs (- source, + target):\n%s", diff.String())
	}
}
