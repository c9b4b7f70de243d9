package extent

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReveal copies without the superblock, shows that blkid then finds nothing, and that what Reveal writes is the new
// filesystem from the first instant: blkid never sees the old UUID on the copy.
func TestReveal(t *testing.T) {
	need(t, "mke2fs", "tune2fs", "resize2fs", "e2fsck", "blkid")
	tree := t.TempDir()
	makeTree(t, tree, 3)
	for _, opts := range []string{
		"-t ext4 -O metadata_csum,^metadata_csum_seed", "-t ext4 -O metadata_csum,metadata_csum_seed", "-t ext2", "-t ext3 -b 1024",
		"-t ext4 -O ^metadata_csum,^uninit_bg", "-t ext4 -b 1024 -O metadata_csum,^metadata_csum_seed",
		"-t ext4 -L oldroot -O metadata_csum,^metadata_csum_seed", "-t ext2 -L oldroot", "-t ext4 -b 1024 -L oldroot -O metadata_csum,meta_bg,^resize_inode", "-t ext4 -b 65536",
	} {
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) {
			path := mkext(t, opts, 48, tree)
			src, size := openImage(t, path)
			a, err := Read(src, size)
			must(t, err)
			h, err := a.Hidden()
			must(t, err)
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
			head, cmds, err := a.Reveal(src, dev, newUUID)
			must(t, err)
			_, err = dst.WriteAt(head, 0)
			must(t, err)
			if out := blkidOf(dev); out != newUUID {
				t.Errorf("revealed as %s, want %s", out, newUUID)
			}
			if out := blkidTag(dev, "LABEL"); out != "" {
				t.Errorf("revealed with the label %s of the source, which is there too", out)
			}
			if out, err := exec.Command("e2fsck", "-fn", dev).CombinedOutput(); err != nil {
				t.Errorf("revealed: %v: %s", err, out)
			}
			runCommands(t, cmds)
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

func TestHiddenRefuses(t *testing.T) {
	for _, a := range []*Allocation{{Type: "xfs"}, {Type: "ext4", Features: []string{"uninit_bg"}}, {Type: "ext4", Features: []string{"stable_inodes", "metadata_csum"}}} {
		if _, err := a.Hidden(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", a, err)
		}
	}
}
