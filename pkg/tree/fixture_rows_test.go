package tree

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// dated makes a directory with one object of each type and a subdirectory. Both get the given times, the subdirectory a second
// later.
func dated(p string, asec, ansec, msec, mnsec int64) []act {
	return []act{
		mkdir(p, 0o755), file(p+"/f", 0o644, []byte(p)), link(p+"/f", p+"/l"), mkdir(p+"/sub", 0o700), file(p+"/sub/f", 0o600, noise(13, 5000)),
		mknod(p+"/fifo", unix.S_IFIFO|0o600, 0, 0), symlink("f", p+"/s"), link(p+"/f", p+"/sub/l"),
		times(p+"/f", asec, ansec, msec, mnsec), times(p+"/s", asec, ansec, msec, mnsec), times(p+"/fifo", asec, ansec, msec, mnsec),
		times(p+"/sub", asec+1, ansec, msec+1, mnsec), times(p, asec, ansec, msec, mnsec),
	}
}

// xattrsOnEveryType sets the xattrs that the kernel allows: user.* only on files and directories.
func xattrsOnEveryType() []act {
	acts := []act{
		mkdir("x", 0o755), file("x/file", 0o444, nil), mkdir("x/dir", 0o700), mkdir("x/sticky", 0o1777), symlink("to", "x/symlink"),
		mknod("x/fifo", unix.S_IFIFO|0o600, 0, 0), mknod("x/socket", unix.S_IFSOCK|0o600, 0, 0), mknod("x/char", unix.S_IFCHR|0o600, 5, 1),
		mknod("x/block", unix.S_IFBLK|0o600, 8, 1), mknod("x/whiteout", unix.S_IFCHR, 0, 0),
	}
	for _, n := range []string{"file", "dir", "sticky", "symlink", "fifo", "socket", "char", "block", "whiteout"} {
		acts = append(acts, setx("x/"+n, "trusted.value", []byte("t "+n)), setx("x/"+n, "trusted.empty", nil),
			setx("x/"+n, "security.value", []byte("s "+n)), setx("x/"+n, "security.empty", nil))
	}
	for _, n := range []string{"file", "dir", "sticky"} {
		acts = append(acts, setx("x/"+n, "user.value", []byte("u "+n)), setx("x/"+n, "user.empty", nil))
	}
	return append(acts, link("x/socket", "x/socket2"), link("x/block", "x/block2"))
}

// xfsIO sets what chattr cannot.
func xfsIO(p, command string) act {
	return func(r string) error { return tool(r, "xfs_io", "-r", "-c", command, p) }
}

// hinted sets the attributes specific to xfs. The extent size must be set before data is written.
func hinted() []act {
	return []act{
		file("hint", 0o600, nil), xfsIO("hint", "extsize 64k"), poke("hint", 0, noise(14, 100_000)),
		file("hintonly", 0o600, nil), xfsIO("hintonly", "extsize 128k"),
		file("hinthole", 0o600, nil), xfsIO("hinthole", "extsize 64k"), poke("hinthole", 1<<20, noise(15, 5000)),
		file("hintcow", 0o600, nil), xfsIO("hintcow", "cowextsize 256k"), poke("hintcow", 0, noise(16, 9000)),
		mkdir("hintdir", 0o755), file("hintdir/before", 0o600, []byte("b")), xfsIO("hintdir", "extsize 32k"), xfsIO("hintdir", "cowextsize 64k"),
		file("hintdir/inherits", 0o600, noise(17, 40_000)), mkdir("hintdir/sub", 0o700),
	}
}

// compressed sets the flags of btrfs that must be set before data is written.
func compressed() []act {
	text := bytes.Repeat([]byte("so often that it compresses well, "), 10_000)
	return []act{
		file("nocow", 0o600, nil), chattr("+C", "nocow"), poke("nocow", 0, noise(18, 300_000)),
		file("compr", 0o600, nil), chattr("+c", "compr"), poke("compr", 0, text), poke("compr", 1<<20, text),
		file("comprnoise", 0o600, nil), chattr("+c", "comprnoise"), poke("comprnoise", 0, noise(19, 200_000)),
		mkdir("nocowdir", 0o755), chattr("+C", "nocowdir"), file("nocowdir/inherits", 0o600, noise(20, 9000)),
		mkdir("comprdir", 0o755), file("comprdir/before", 0o600, text), chattr("+c", "comprdir"), file("comprdir/inherits", 0o600, text),
	}
}
