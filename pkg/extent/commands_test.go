package extent

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func runCommands(t *testing.T, cmds []Command) {
	t.Helper()
	for _, c := range cmds {
		cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || !slices.Contains(c.OK, cmd.ProcessState.ExitCode()) {
			t.Fatalf("%q: %v\n%s", c.Argv, err, out)
		}
	}
}

func TestExtGrow(t *testing.T) {
	need(t, "mke2fs", "tune2fs", "resize2fs", "e2fsck", "debugfs")
	tree := t.TempDir()
	makeTree(t, tree, 3)
	for _, opts := range []string{
		"-t ext4 -O metadata_csum,^metadata_csum_seed", "-t ext4 -O metadata_csum,metadata_csum_seed",
		"-t ext4 -O ^metadata_csum,uninit_bg,^64bit", "-t ext2", "-t ext4 -O bigalloc -C 16384", "-t ext4 -b 1024 -O ^resize_inode,meta_bg",
		"-t ext4 -O orphan_file,metadata_csum,^metadata_csum_seed",
	} {
		t.Run(strings.ReplaceAll(opts, " ", "_"), func(t *testing.T) {
			path := mkext(t, opts, 48, tree)
			dev, a := copyAndVerify(t, path)
			must(t, os.Truncate(dev, 80<<20))
			runCommands(t, []Command{a.Check(dev)})
			cmds, err := a.Grow(dev, "")
			if a.has("bigalloc") {
				if !errors.Is(err, ErrUnsupported) {
					t.Errorf("growing bigalloc: %v", err)
				}
				return
			}
			must(t, err)
			runCommands(t, cmds)
			runCommands(t, []Command{a.Check(dev)})
			f, size := openImage(t, dev)
			b, err := Read(f, size)
			must(t, err)
			if b.UUID != a.UUID || b.Size != size || b.UsedBytes < a.UsedBytes {
				t.Errorf("uuid %s, size %d, used %d; was size %d, used %d", b.UUID, b.Size, b.UsedBytes, a.Size, a.UsedBytes)
			}
			out := t.TempDir()
			run(t, "debugfs", "-R", "rdump / "+out, dev)
			sameTree(t, tree, out)
		})
	}
}

func TestXFSGrow(t *testing.T) {
	need(t, "mkfs.xfs", "xfs_growfs", "xfs_repair")
	path := mkxfs(t, "-L label", 64)
	dir, unmount := mountLoop(t, path, "nouuid")
	makeTree(t, dir, 4)
	unmount()
	dev, a := copyAndVerify(t, path)
	if a.Label != "label" {
		t.Errorf("label %q", a.Label)
	}
	must(t, os.Truncate(dev, 96<<20))
	grown, unmount := mountLoop(t, dev, "rw")
	source, _ := mountLoop(t, path, "ro,nouuid")
	cmds, err := a.Grow("", grown)
	must(t, err)
	runCommands(t, cmds)
	sameTree(t, source, grown)
	unmount()
	runCommands(t, []Command{a.Check(dev)})
	f, size := openImage(t, dev)
	b, err := Read(f, size)
	must(t, err)
	if b.UUID != a.UUID || b.Size <= a.Size {
		t.Errorf("uuid %s, size %d (was %d)", b.UUID, b.Size, a.Size)
	}
}
