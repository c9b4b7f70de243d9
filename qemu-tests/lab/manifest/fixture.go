package manifest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Size says how much a Fixture holds beyond its one of each kind.
type Size struct {
	Files int   // small regular files of 0 to 16 KiB
	Big   int64 // bytes of the one big file, of random data
}

// Fixture fills dir, which it creates, with what copies are known to lose: hard links of several types, ACLs, capabilities,
// user, trusted and empty attributes, holes, allocated zeros, times in nanoseconds and before 1970, devices, fifo, socket,
// odd names, odd modes. The same size gives the same bytes. It needs root and a filesystem with xattrs.
func Fixture(dir string, size Size) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	rnd := rand.NewChaCha8([32]byte{'m', 'i', 'g', 'r', 'a', 't', 'e'})
	f := &fixture{dir: dir, rnd: rnd, num: rand.New(rnd)}
	f.many(size.Files)
	f.big(size.Big)
	f.kinds()
	f.attributes()
	f.names()
	f.times()
	return f.err
}

type fixture struct {
	dir string
	rnd *rand.ChaCha8
	num *rand.Rand
	err error
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fixture) do(what string, op func() error) {
	if f.err == nil {
		if err := op(); err != nil {
			f.err = fmt.Errorf("fixture %s: %w", what, err)
		}
	}
}

func (f *fixture) file(name string, mode uint32, n int64) {
	f.do(name, func() error {
		b := make([]byte, n)
		_, _ = f.rnd.Read(b)
		if err := os.WriteFile(f.path(name), b, 0o600); err != nil {
			return err
		}
		return unix.Chmod(f.path(name), mode)
	})
}

func (f *fixture) mkdir(name string, mode uint32) {
	f.do(name, func() error {
		if err := os.MkdirAll(f.path(name), 0o755); err != nil {
			return err
		}
		return unix.Chmod(f.path(name), mode)
	})
}

func (f *fixture) many(n int) {
	for i := range n {
		d := fmt.Sprintf("many/%02d/%02d", i%7, i%13)
		f.mkdir(d, 0o755)
		name := fmt.Sprintf("%s/file-%04d", d, i)
		f.file(name, 0o644, f.num.Int64N(16<<10))
		f.do(name, func() error {
			if err := unix.Lchown(f.path(name), 1000+i%5, 70000+i%3); err != nil {
				return err
			}
			when := time.Unix(1_600_000_000+int64(i)*977, int64(i)*1_000_003%1_000_000_000)
			return os.Chtimes(f.path(name), when, when)
		})
	}
}

func (f *fixture) big(n int64) {
	f.do("big", func() error {
		w, err := os.Create(f.path("big"))
		if err != nil {
			return err
		}
		defer w.Close()
		b := make([]byte, 1<<20)
		for ; n > 0; n -= int64(len(b)) {
			_, _ = f.rnd.Read(b)
			if _, err := w.Write(b[:min(n, int64(len(b)))]); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

func (f *fixture) kinds() {
	f.mkdir("kinds", 0o1777)
	for _, n := range []struct {
		name string
		mode uint32
		dev  uint64
	}{
		{"fifo", unix.S_IFIFO | 0o620, 0}, {"socket", unix.S_IFSOCK | 0o755, 0}, {"char", unix.S_IFCHR | 0o600, unix.Mkdev(1, 3)},
		{"block", unix.S_IFBLK | 0o660, unix.Mkdev(259, 1_000_000)}, {"whiteout", unix.S_IFCHR, 0},
	} {
		f.do(n.name, func() error {
			p := f.path("kinds/" + n.name)
			if err := unix.Mknod(p, n.mode, int(n.dev)); err != nil {
				return err
			}
			return unix.Chmod(p, n.mode&0o7777) // whatever the umask
		})
	}
	f.do("symlink", func() error { return os.Symlink("/nowhere/\xff at all", f.path("kinds/symlink")) })
	f.file("kinds/one", 0o640, 5000)
	for _, l := range [][2]string{{"one", "two"}, {"one", "../three"}, {"fifo", "fifo2"}, {"symlink", "symlink2"}, {"char", "char2"}} {
		f.do(l[1], func() error { return os.Link(f.path("kinds/"+l[0]), f.path("kinds/"+l[1])) })
	}
	f.file("kinds/setuid", 0o4755, 10)
	f.file("kinds/setgid", 0o2755, 10)
	f.file("kinds/nothing", 0, 0)
	f.do("owner", func() error { return unix.Lchown(f.path("kinds/nothing"), 4_294_967_294, 4_294_967_293) })
	f.do("sparse", func() error {
		w, err := os.Create(f.path("kinds/sparse"))
		if err != nil {
			return err
		}
		defer w.Close()
		if _, err := w.WriteAt([]byte("in the middle"), 1<<20); err != nil {
			return err
		}
		return w.Truncate(64 << 20)
	})
	f.do("zeros", func() error { return os.WriteFile(f.path("kinds/zeros"), make([]byte, 1<<20), 0o644) })
}

func (f *fixture) attributes() {
	f.mkdir("attr", 0o755)
	set := func(name, attr string, value []byte) {
		f.do(name+" "+attr, func() error { return unix.Lsetxattr(f.path("attr/"+name), attr, value, 0) })
	}
	f.file("attr/user", 0o644, 100)
	set("user", "user.comment", []byte("kept?"))
	set("user", "user.empty", nil)
	set("user", "user.binary", []byte{0, 1, 0xff, '\n'})
	set("user", "trusted.lab", []byte("root sees it"))
	for i := range 20 {
		set("user", fmt.Sprintf("user.n%02d", i), []byte{byte(i)})
	}
	f.file("attr/cap", 0o755, 100)
	set("cap", "security.capability", binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(
		binary.LittleEndian.AppendUint64(nil, 0x0000_0400_0200_0001), 0), 0))
	f.file("attr/acl", 0o644, 100)
	set("acl", "system.posix_acl_access", acl(6, 4, 4))
	f.mkdir("attr/dir", 0o755)
	set("dir", "system.posix_acl_default", acl(7, 5, 5))
	f.do("read-only", func() error { return unix.Chmod(f.path("attr/user"), 0o400) })
}

// acl is the kernel's posix_acl_xattr, version 2 (include/uapi/linux/posix_acl_xattr.h): user::u, user:1234:r-x, group::g,
// mask::r-x, other::o.
func acl(u, g, o uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, u, ^uint32(0)}, {0x02, 5, 1234}, {0x04, g, ^uint32(0)}, {0x10, 5, ^uint32(0)}, {0x20, o, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

func (f *fixture) names() {
	f.mkdir("names", 0o750)
	long := make([]byte, 255)
	for i := range long {
		long[i] = byte('a' + i%26)
	}
	for _, n := range []string{"\xff\xfe latin-1 \xe9", "new\nline", " leading and trailing ", "-rf", `back\slash "quoted"`, "tab\t*?[", "\x01\x7f", "ünïcødé ☃", string(long)} {
		f.file("names/"+n, 0o644, 20)
	}
}

func (f *fixture) times() {
	f.mkdir("times", 0o755)
	at := map[string]time.Time{
		"y1960": time.Unix(-315_619_200, 123_456_789), "y1970": time.Unix(0, 1),
		"y2040": time.Unix(2_208_988_800, 999_999_999), "y2200": time.Unix(7_258_118_400, 5),
	}
	for name, when := range at {
		f.file("times/"+name, 0o644, 3)
		f.do(name, func() error { return os.Chtimes(f.path("times/"+name), when, when) })
	}
	f.do("directory time", func() error {
		when := time.Unix(1_000_000_000, 42)
		for _, d := range []string{"times", "names", "attr", "kinds", "."} {
			if err := os.Chtimes(f.path(d), when, when); err != nil {
				return err
			}
		}
		return nil
	})
}
