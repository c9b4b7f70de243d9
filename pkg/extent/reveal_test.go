package extent

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const newUUID = "11111111-2222-4333-8444-555555555555"

// TestReveal copies without the superblock, and checks that blkid finds nothing, and that the writes of Reveal make it the new
// filesystem from the first instant: blkid never sees the old UUID on the copy.
func TestReveal(t *testing.T) {
	need(t, "mke2fs", "tune2fs", "resize2fs", "e2fsck", "blkid")
	tree := t.TempDir()
	makeTree(t, tree, 3)
	for _, opts := range []string{
		"-t ext4 -O metadata_csum,^metadata_csum_seed", "-t ext4 -O metadata_csum,metadata_csum_seed", "-t ext2", "-t ext3 -b 1024",
		"-t ext4 -O ^metadata_csum,^uninit_bg", "-t ext4 -b 1024 -O metadata_csum,^metadata_csum_seed",
		"-t ext4 -L oldroot -O metadata_csum,^metadata_csum_seed", "-t ext2 -L oldroot", "-t ext4 -b 1024 -L oldroot -O metadata_csum,meta_bg,^resize_inode", "-t ext4 -b 65536",
		"-t ext4 -O orphan_file,metadata_csum,^metadata_csum_seed", "-t ext4 -O ea_inode,inline_data,large_dir,metadata_csum,^metadata_csum_seed",
	} {
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) {
			path := mkext(t, opts, 48, tree)
			src, size := openImage(t, path)
			a, err := Read(src, size)
			must(t, err)
			must(t, a.Renamable())
			h := a.Hidden()
			dev := filepath.Join(t.TempDir(), "copy")
			dst, err := os.OpenFile(dev, os.O_RDWR|os.O_CREATE, 0o600)
			must(t, err)
			defer dst.Close()
			must(t, dst.Truncate(80<<20))
			res, err := Copy(t.Context(), src, dst, h, Options{})
			must(t, err)
			if _, err := Verify(t.Context(), dst, h, res.Sums, Options{}); err != nil {
				t.Fatal(err)
			}
			if out := blkidOf(dev); out != "" {
				t.Errorf("a hidden copy is seen: %s", out)
			}
			writes, cmds, err := a.Reveal(src, dev, newUUID)
			must(t, err)
			for _, w := range writes {
				_, err = dst.WriteAt(w.Data, w.Offset)
				must(t, err)
			}
			if out := blkidOf(dev); out != newUUID {
				t.Errorf("revealed as %s, want %s", out, newUUID)
			}
			if out := blkidTag(dev, "LABEL"); out != "" {
				t.Errorf("revealed with the label %s of the source, which is there too", out)
			}
			if out, err := exec.Command("e2fsck", "-fn", dev).CombinedOutput(); err != nil {
				t.Errorf("revealed: %v: %s", err, out)
			}
			runCommands(t, append(cmds, a.Check(dev)))
			if !strings.Contains(opts, "65536") { // the kernel does not support blocks larger than its pages
				_, unmount := mountLoop(t, dev, "rw")
				unmount()
			}
			grow, err := a.Grow(dev, "")
			must(t, err)
			runCommands(t, grow)
			runCommands(t, []Command{a.Check(dev)})
			b, err := Read(dst, 80<<20)
			must(t, err)
			if b.UUID != newUUID || b.Size <= a.Size {
				t.Errorf("after all: uuid %s, %d bytes; wanted %s and more than %d", b.UUID, b.Size, newUUID, a.Size)
			}
			if !bytes.Equal([]byte(strings.Join(a.Features, " ")), []byte(strings.Join(b.Features, " "))) {
				t.Errorf("features were %v, are %v", a.Features, b.Features)
			}
		})
	}
}

func blkidOf(dev string) string { return blkidTag(dev, "UUID") }

func blkidTag(dev, tag string) string {
	out, err := exec.Command("blkid", "-p", "-o", "value", "-s", tag, dev).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func TestRenamableRefuses(t *testing.T) {
	for _, a := range []*Allocation{{Type: "ext4", Features: []string{"ea_inode"}}, {Type: "ext4", Features: []string{"uninit_bg"}}, {Type: "ext4", Features: []string{"stable_inodes", "metadata_csum"}}} {
		if err := a.Renamable(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", a, err)
		}
	}
	if err := (&Allocation{Type: "ext4", Features: []string{"uninit_bg", "metadata_csum"}}).Renamable(); err != nil {
		t.Error(err)
	}
}

// hiddenCopy copies an image without its head onto a file with old data, checks that blkid does not find it, and verifies it.
func hiddenCopy(t *testing.T, path string, room int64) (src, dst *os.File, a *Allocation) {
	t.Helper()
	src, size := openImage(t, path)
	a, err := Read(src, size)
	must(t, err)
	h := a.Hidden()
	dst = dirtyTarget(t, size+room)
	res, err := Copy(t.Context(), src, dst, h, Options{})
	must(t, err)
	_, err = Verify(t.Context(), dst, h, res.Sums, Options{})
	must(t, err)
	unseen(t, dst.Name())
	return src, dst, a
}

func unseen(t *testing.T, dev string) {
	t.Helper()
	if out := blkidOf(dev); out != "" {
		t.Fatalf("a hidden copy is seen: %s", out)
	}
}

// TestRevealXFS checks that blkid finds nothing before the last write, also after a power cut. After that the copy is the new
// filesystem, and the kernel mounts it beside its source.
func TestRevealXFS(t *testing.T) {
	need(t, "mkfs.xfs", "xfs_growfs", "xfs_repair", "xfs_admin", "blkid")
	for _, opts := range []string{"-L old", "-b size=1024 -d agcount=3", "-s size=4096 -b size=4096", "-m crc=0", "-m uuid=99999999-2222-4333-8444-555555555555 -d su=64k,sw=2 -l su=64k"} {
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) {
			path := mkxfs(t, opts, 64)
			dir, unmount := mountLoop(t, path, "nouuid")
			makeTree(t, dir, 4)
			unmount()
			src, dst, a := hiddenCopy(t, path, 32<<20)
			must(t, a.Renamable())
			writes, cmds, err := a.Reveal(src, dst.Name(), newUUID)
			must(t, err)
			if len(cmds) > 0 || writes[len(writes)-1].Offset != 0 {
				t.Errorf("commands %v; last write at %d", cmds, writes[len(writes)-1].Offset)
			}
			for _, w := range writes {
				unseen(t, dst.Name())
				_, err := dst.WriteAt(w.Data, w.Offset)
				must(t, err)
			}
			if uuid, label := blkidOf(dst.Name()), blkidTag(dst.Name(), "LABEL"); uuid != newUUID || label != "" {
				t.Errorf("revealed as %s, label %q", uuid, label)
			}
			run(t, "xfs_repair", "-n", dst.Name())
			b, err := Read(dst, a.Size)
			must(t, err)
			if b.UUID != newUUID || b.CopyBytes() != a.CopyBytes() {
				t.Errorf("revealed: %s, %d bytes; want %d", b.UUID, b.CopyBytes(), a.CopyBytes())
			}
			grown, unmount := mountLoop(t, dst.Name(), "rw")
			source, unmountSource := mountLoop(t, path, "ro")
			grow, err := a.Grow("", grown)
			must(t, err)
			runCommands(t, grow)
			sameTree(t, source, grown)
			unmount()
			unmountSource()
			runCommands(t, []Command{a.Name(dst.Name(), "fresh"), a.Check(dst.Name())})
			if label := blkidTag(dst.Name(), "LABEL"); label != "fresh" {
				t.Errorf("label %q", label)
			}
			// A copy of the copy: its blocks still have the first UUID.
			src, dst, b = hiddenCopy(t, dst.Name(), 0)
			writes, _, err = b.Reveal(src, dst.Name(), "22222222-2222-4333-8444-555555555555")
			must(t, err)
			for _, w := range writes {
				_, err := dst.WriteAt(w.Data, w.Offset)
				must(t, err)
			}
			run(t, "xfs_repair", "-n", dst.Name())
			_, unmount = mountLoop(t, dst.Name(), "rw")
			unmount()
		})
	}
}

// TestRevealAsItIs checks that without a new UUID every used byte equals the source.
func TestRevealAsItIs(t *testing.T) {
	need(t, "mke2fs", "mkfs.xfs", "blkid")
	for name, path := range map[string]string{
		"ext4": mkext(t, "-t ext4 -L same -O uninit_bg,^metadata_csum,stable_inodes", 32, ""), "xfs": mkxfs(t, "-L same", 64), "xfs 1k": mkxfs(t, "-b size=1024 -L same", 64),
	} {
		t.Run(name, func(t *testing.T) {
			src, dst, a := hiddenCopy(t, path, 1<<20)
			writes, cmds, err := a.Reveal(src, dst.Name(), "")
			must(t, err)
			for _, w := range writes {
				_, err := dst.WriteAt(w.Data, w.Offset)
				must(t, err)
			}
			b, err := Read(dst, a.Size)
			must(t, err)
			if len(cmds) > 0 || b.Identity != a.Identity || blkidOf(dst.Name()) != a.UUID || blkidTag(dst.Name(), "LABEL") != "same" {
				t.Errorf("commands %v, identity %s, want %s", cmds, b.Identity, a.Identity)
			}
			x, y := make([]byte, 1<<20), make([]byte, 1<<20)
			for _, r := range a.Ranges {
				for at := r.Offset; at < r.end(); at += int64(len(x)) {
					n := min(int64(len(x)), r.end()-at)
					must(t, readFull(src, x[:n], at))
					must(t, readFull(dst, y[:n], at))
					if !bytes.Equal(x[:n], y[:n]) {
						t.Fatalf("%v: not the source's", Range{at, n})
					}
				}
			}
		})
	}
}

// TestRevealRefuses checks that Reveal refuses a source that is not the filesystem that was read.
func TestRevealRefuses(t *testing.T) {
	good := tinyXFS(true)
	a, err := Read(bytes.NewReader(good), tinySize)
	must(t, err)
	second := tinyBlocks * 512
	copy(good[second:second+512], good[:512])
	if _, _, err := a.Reveal(bytes.NewReader(good), "", newUUID); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if _, _, err := a.Reveal(bytes.NewReader(good), "", "1234"); err == nil || !strings.Contains(err.Error(), "16 bytes") {
		t.Errorf("short uuid: %v", err)
	}
	for _, c := range []struct {
		at   int
		want string
	}{{40, "not that of filesystem"}, {second + 40, "group 1: superblock"}, {second + 300, "group 1: superblock"}, {second, "group 1: superblock"}} {
		b := bytes.Clone(good)
		b[c.at] ^= 1
		if _, _, err := a.Reveal(bytes.NewReader(b), "", newUUID); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("byte %d: %v", c.at, err)
		}
	}
}

// TestXFSIdentity checks that a mount that only changed data in place, and nothing in the superblock, changes the identity.
func TestXFSIdentity(t *testing.T) {
	b := tinyXFS(false)
	before, err := Read(bytes.NewReader(b), tinySize)
	must(t, err)
	// The unmount record moves on by one block.
	copy(b[tinyLog+3*512:tinyLog+5*512], b[tinyLog+2*512:tinyLog+4*512])
	copy(b[tinyLog+2*512:tinyLog+3*512], b[tinyLog:])
	b[tinyLog+3*512+16+7] = 3
	after, err := Read(bytes.NewReader(b), tinySize)
	must(t, err)
	if before.Identity == after.Identity {
		t.Error("a checkpoint of before would be gone on with: the copy would mix two states")
	}
}

// TestRevealKeepsLargeAttributes: the hash of an attribute in a separate inode has the same seed as the checksums.
func TestRevealKeepsLargeAttributes(t *testing.T) {
	need(t, "mke2fs", "e2fsck", "tune2fs")
	for _, opts := range []string{"metadata_csum,^metadata_csum_seed", "metadata_csum,metadata_csum_seed", "^metadata_csum,^uninit_bg"} {
		t.Run(opts, func(t *testing.T) {
			path := mkext(t, "-t ext4 -O ea_inode,"+opts, 48, "")
			dir, unmount := mountLoop(t, path, "rw")
			value := bytes.Repeat([]byte("large"), 6000)
			must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
			must(t, unix.Setxattr(filepath.Join(dir, "file"), "trusted.large", value, 0))
			unmount()
			src, dst, a := hiddenCopy(t, path, 0)
			if err := a.Renamable(); err != nil {
				if !strings.HasPrefix(opts, "^") || !errors.Is(err, ErrUnsupported) {
					t.Error(err)
				}
				return
			}
			writes, cmds, err := a.Reveal(src, dst.Name(), newUUID)
			must(t, err)
			for _, w := range writes {
				_, err := dst.WriteAt(w.Data, w.Offset)
				must(t, err)
			}
			runCommands(t, append(cmds, a.Check(dst.Name())))
			dir, _ = mountLoop(t, dst.Name(), "rw")
			got := make([]byte, len(value))
			n, err := unix.Getxattr(filepath.Join(dir, "file"), "trusted.large", got)
			if err != nil || !bytes.Equal(got[:max(0, n)], value) {
				t.Errorf("the attribute is lost: %d bytes, %v", n, err)
			}
		})
	}
}
