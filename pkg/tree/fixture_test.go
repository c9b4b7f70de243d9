package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// act makes or changes something below root. Acts are applied in order.
type act func(root string) error

func apply(t *testing.T, root string, acts ...act) {
	t.Helper()
	for i, a := range acts {
		if err := a(root); err != nil {
			t.Fatalf("fixture act %d: %v", i, err)
		}
	}
}

func mkdir(p string, mode uint32) act {
	return func(r string) error {
		if err := unix.Mkdir(filepath.Join(r, p), 0o700); err != nil {
			return fmt.Errorf("mkdir %q: %w", p, err)
		}
		return unix.Chmod(filepath.Join(r, p), mode)
	}
}

func file(p string, mode uint32, data []byte) act {
	return func(r string) error {
		if err := os.WriteFile(filepath.Join(r, p), data, 0o600); err != nil {
			return err
		}
		return unix.Chmod(filepath.Join(r, p), mode)
	}
}

// pieces makes a file of size with data at the offsets and holes elsewhere.
func pieces(p string, size int64, data map[int64][]byte) act {
	return func(r string) error {
		f, err := os.Create(filepath.Join(r, p))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			return err
		}
		for off, b := range data {
			if _, err := f.WriteAt(b, off); err != nil {
				return err
			}
		}
		return f.Sync()
	}
}

func fallocate(p string, mode uint32, off, n int64) act {
	return func(r string) error {
		f, err := os.OpenFile(filepath.Join(r, p), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fallocate(int(f.Fd()), mode, off, n)
	}
}

func symlink(to, p string) act {
	return func(r string) error { return unix.Symlink(to, filepath.Join(r, p)) }
}
func link(from, p string) act {
	return func(r string) error { return unix.Link(filepath.Join(r, from), filepath.Join(r, p)) }
}
func chown(p string, uid, gid uint32) act {
	return func(r string) error { return unix.Lchown(filepath.Join(r, p), int(uid), int(gid)) }
}
func chmod(p string, mode uint32) act {
	return func(r string) error { return unix.Chmod(filepath.Join(r, p), mode) }
}
func mknod(p string, mode uint32, major, minor uint32) act {
	return func(r string) error {
		return unix.Mknod(filepath.Join(r, p), mode, int(unix.Mkdev(major, minor)))
	}
}
func setx(p, name string, v []byte) act {
	return func(r string) error {
		if err := unix.Lsetxattr(filepath.Join(r, p), name, v, 0); err != nil {
			return fmt.Errorf("setxattr %s on %q: %w", name, p, err)
		}
		return nil
	}
}
func times(p string, asec, ansec, msec, mnsec int64) act {
	return func(r string) error {
		ts := []unix.Timespec{{Sec: asec, Nsec: ansec}, {Sec: msec, Nsec: mnsec}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(r, p), ts, unix.AT_SYMLINK_NOFOLLOW)
	}
}

// chattr uses the program, so that the test does not depend on the constants of the engine.
func chattr(args ...string) act {
	return func(r string) error { return tool(r, "chattr", args...) }
}

func acl(entries ...uint32) []byte {
	// posix_acl_xattr.h: u32 version 2, then u16 tag, u16 perm, u32 id
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for i := 0; i < len(entries); i += 3 {
		b = binary.LittleEndian.AppendUint16(b, uint16(entries[i]))
		b = binary.LittleEndian.AppendUint16(b, uint16(entries[i+1]))
		b = binary.LittleEndian.AppendUint32(b, entries[i+2])
	}
	return b
}

const noID = ^uint32(0)

func someACL() []byte {
	return acl(1, 6, noID, 2, 5, 1234, 4, 4, noID, 8, 7, 4294967294, 0x10, 5, noID, 0x20, 4, noID)
}

// capBindRaw is struct vfs_ns_cap_data, revision 2: cap_net_raw+ep.
func capNetRaw() []byte {
	b := make([]byte, 20)
	binary.LittleEndian.PutUint32(b, 0x02000001)
	binary.LittleEndian.PutUint32(b[4:], 1<<13)
	return b
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32()>>8) | 1
	}
	return b
}

// everything has one of each kind of object and metadata that all three filesystems can store.
func everything(on disk) []act {
	fs := on.fs
	big := noise(7, 3<<20+777)
	acts := []act{
		mkdir("d", 0o2755), file("d/a", 0o644, []byte("hello")), file("empty", 0o000, nil),
		file("d/big", 0o640, big), file("d/exact", 0o600, noise(3, 1<<20)), file("d/huge", 0o600, noise(4, 17<<20+5)),
		file("setuid", 0o4755, []byte("s")), chown("setuid", 1, 2), chmod("setuid", 0o6755),
		file("owner", 0o644, []byte("o")), chown("owner", 4294967294, 4294967293),
		mkdir("sticky", 0o1777), chown("sticky", 3, 4),
		mkdir("acl", 0o755), setx("acl", "system.posix_acl_access", someACL()), setx("acl", "system.posix_acl_default", someACL()),
		mkdir("acl/sub", 0o700), file("acl/f", 0o600, []byte("inherits")),
		file("d/acl", 0o640, []byte("x")), setx("d/acl", "system.posix_acl_access", someACL()),
		file("caps", 0o755, []byte("#!")), chown("caps", 5, 6), setx("caps", "security.capability", capNetRaw()),
		setx("caps", "security.selinux", []byte("system_u:object_r:bin_t:s0\x00")), setx("caps", "security.ima", []byte{1, 2, 3}),
		file("ro", 0o444, []byte("ro")), setx("ro", "user.empty", nil), setx("ro", "user.x", []byte("y")), setx("ro", "trusted.t", []byte("z")),
		symlink("nowhere/\xff", "sym"), chown("sym", 77, 88), setx("sym", "trusted.overlay.x", []byte("on a link")), setx("sym", "security.selinux", []byte("l")),
		times("sym", 1, 1, 2, 2), link("sym", "d/sym2"),
		symlink(strings.Repeat("x", 1000), "longsym"),
		mknod("fifo", unix.S_IFIFO|0o622, 0, 0), chmod("fifo", 0o622), link("fifo", "d/fifo2"), setx("fifo", "trusted.f", []byte("f")),
		mknod("sock", unix.S_IFSOCK|0o755, 0, 0), link("sock", "d/sock2"),
		mknod("chr", unix.S_IFCHR|0o600, 1, 3), mknod("blk", unix.S_IFBLK|0o660, 259, 70000), link("blk", "d/blk2"), chown("blk", 0, 6),
		mknod("whiteout", unix.S_IFCHR, 0, 0), link("whiteout", "d/whiteout2"), setx("chr", "trusted.c", []byte{0}),
		link("d/a", "a2"), link("d/a", "acl/a3"),
		file("old", 0o644, []byte("old")), times("old", -1_000_000_000, 999_999_999, -1, 1),
		mkdir("dt", 0o755), file("dt/x", 0o644, nil), link("dt/x", "dt/y"), times("dt", 1_000_000_001, 123, 1_000_000_000, 456),
		file("bytes\n\x01\xff \\", 0o644, []byte("n")), file(strings.Repeat("n", 255), 0o644, nil),
		pieces("hole", 1<<20, nil), pieces("tera", 1<<40, map[int64][]byte{1 << 39: noise(9, 4096), 1<<40 - 4096: noise(10, 4096)}),
		pieces("teraempty", 1<<40, nil), pieces("tail", 100, nil), pieces("odd", 5<<20+13, map[int64][]byte{8192: noise(11, 5000), 3 << 20: noise(12, 70000)}),
		file("zeros", 0o600, make([]byte, 300000)), file("bigzeros", 0o600, make([]byte, 18<<20)), pieces("mixed", 64<<10, map[int64][]byte{0: make([]byte, 8192), 16384: []byte("x"), 32768: make([]byte, 4096)}),
		fallocate("prealloc", 0, 0, 1<<20), fallocate("swaplike", 0, 0, 40<<20), fallocate("beyond", unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20),
		pieces("partly", 1<<20, map[int64][]byte{0: noise(1, 4096)}), fallocate("partly", 0, 0, 1<<20), fallocate("partly", unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20),
		file("nodump", 0o644, []byte("n")), chattr("+dA", "nodump"),
		mkdir("frozen", 0o755), file("frozen/imm", 0o644, []byte("i")), link("frozen/imm", "d/imm2"), file("frozen/app", 0o644, noise(2, 10)), mkdir("frozen/sub", 0o700),
		times("frozen", 5, 5, 6, 6), chattr("+i", "frozen/imm"), chattr("+a", "frozen/app"), chattr("+i", "frozen"),
	}
	if on.project {
		acts = append(acts, file("proj", 0o644, []byte("p")), chattr("-p", "4711", "proj"), mkdir("projd", 0o755), chattr("-p", "99", "+P", "projd"),
			file("projd/in", 0o644, nil), mknod("projd/fifo", unix.S_IFIFO|0o600, 0, 0))
	}
	if fs == "ext4" {
		acts = append(acts, file("journal", 0o644, []byte("j")), chattr("+S", "journal"), mkdir("dirsync", 0o755), chattr("+DT", "dirsync"),
			file("late", 0o644, nil), times("late", 15032385535, 1, 15032385535, 999999999))
	} else {
		acts = append(acts, file("late", 0o644, nil), times("late", 6_000_000_000, 1, 6_000_000_001, 999999999),
			file("x64k", 0o644, nil), manyXattrs("x64k", 60, 700))
	}
	if fs == "xfs" {
		acts = append(acts, setx("x64k", "user.big", noise(5, 65536)))
	} else if fs == "btrfs" {
		acts = append(acts, setx("x64k", "user.big", noise(5, 12000)))
	} else {
		acts = append(acts, file("x64k", 0o644, nil), setx("x64k", "user.big", noise(5, 65536)), manyXattrs("x64k", 60, 20))
	}
	acts = append(acts, xattrsOnEveryType()...)
	acts = append(acts, dated("before1970", -1_500_000_000, 999_999_999, -2_000_000_000, 1)...)
	acts = append(acts, dated("after2106", 5_000_000_000, 999_999_999, 1<<32+1, 1)...)
	switch fs {
	case "xfs":
		acts = append(acts, hinted()...)
	case "btrfs":
		acts = append(acts, compressed()...)
	}
	return append(acts, mkdir("deep", 0o755), deep("deep", 30))
}

func manyXattrs(p string, n, size int) act {
	return func(r string) error {
		for i := range n {
			if err := setx(p, fmt.Sprintf("user.n%d", i), bytes.Repeat([]byte{byte(i)}, size))(r); err != nil {
				return err
			}
		}
		return nil
	}
}
