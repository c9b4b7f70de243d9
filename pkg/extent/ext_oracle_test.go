package extent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mkext makes an ext image of size MiB from the words of opts, filled from dir.
func mkext(t testing.TB, opts string, mib int64, dir string) string {
	t.Helper()
	path := filepath.Join(scratch(t), "ext.img")
	f, err := os.Create(path)
	must(t, err)
	must(t, f.Truncate(mib<<20))
	must(t, f.Close())
	argv := append([]string{"mke2fs", "-q", "-F"}, strings.Fields(opts)...)
	if dir != "" {
		argv = append(argv, "-d", dir)
	}
	run(t, append(argv, path)...)
	return path
}

// fragment removes every third file, so that free space is in pieces.
func fragment(t testing.TB, path string) {
	t.Helper()
	var cmds strings.Builder
	for i := 0; i < 120; i += 3 {
		fmt.Fprintf(&cmds, "rm /d%d/f%03d\n", i%7, i)
	}
	script := filepath.Join(t.TempDir(), "cmds")
	must(t, os.WriteFile(script, []byte(cmds.String()), 0o600))
	run(t, "debugfs", "-w", "-f", script, path)
}

// dumpe2fsUsed returns the blocks that dumpe2fs does not list as free.
func dumpe2fsUsed(t testing.TB, path string) (used []Range, blockSize int64) {
	t.Helper()
	var blocks, cluster int64
	type extent struct{ from, to int64 }
	var free []extent
	for line := range strings.Lines(run(t, "dumpe2fs", path)) {
		key, val, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		switch num, _ := strconv.ParseInt(strings.TrimSpace(val), 10, 64); key {
		case "Block count":
			blocks = num
		case "Block size":
			blockSize = num
		case "Cluster size":
			cluster = num
		case "  Free blocks":
			for _, r := range strings.Split(val, ",") {
				if r = strings.TrimSpace(r); r == "" {
					continue
				}
				a, b, ok := strings.Cut(r, "-")
				if !ok {
					b = a
				}
				from, err := strconv.ParseInt(a, 10, 64)
				must(t, err)
				to, err := strconv.ParseInt(b, 10, 64)
				must(t, err)
				// dumpe2fs names a free cluster by its first block.
				free = append(free, extent{from, to + max(1, cluster/blockSize) - 1})
			}
		}
	}
	next := int64(0)
	list := rangeList{max: maxRanges}
	for _, f := range free {
		list.add(next*blockSize, (f.from-next)*blockSize)
		next = f.to + 1
	}
	list.add(next*blockSize, (blocks-next)*blockSize)
	return list.ranges, blockSize
}

func TestExtOracle(t *testing.T) {
	need(t, "mke2fs", "dumpe2fs", "e2fsck", "debugfs")
	dir := t.TempDir()
	makeTree(t, dir, 1)
	for _, c := range []struct {
		opts string
		mib  int64
	}{
		{"-t ext4", 48},
		{"-t ext2", 24},
		{"-t ext3", 24},
		{"-t ext2 -r 0 -b 1024", 24},
		{"-t ext4 -b 1024", 40},
		{"-t ext4 -b 2048", 40},
		{"-t ext4 -b 1024 -O ^flex_bg", 40},
		{"-t ext4 -b 1024 -O ^flex_bg,^sparse_super,^resize_inode", 40},
		{"-t ext4 -b 1024 -g 256", 24},
		{"-t ext4 -b 1024 -g 512 -O ^resize_inode,meta_bg", 40},
		{"-t ext4 -b 1024 -g 512 -O ^resize_inode,meta_bg,^flex_bg,^sparse_super", 40},
		{"-t ext4 -b 1024 -g 1024 -O sparse_super2", 40},
		{"-t ext4 -b 1024 -g 1024 -O sparse_super2 -E num_backup_sb=1", 40},
		{"-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", 40},
		{"-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit,^flex_bg", 40},
		{"-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,64bit", 40},
		{"-t ext4 -O ^metadata_csum", 40},
		{"-t ext4 -O ^64bit", 40},
		{"-t ext4 -O bigalloc -C 16384", 64},
		{"-t ext4 -b 1024 -O bigalloc -C 8192", 64},
		{"-t ext4 -b 1024 -O bigalloc,^flex_bg -C 4096 -N 3000", 96},
		{"-t ext4 -b 1024 -O inline_data,metadata_csum_seed,large_dir,ea_inode", 40},
		{"-t ext4 -O quota,project,casefold,encrypt", 40},
		{"-t ext4 -b 1024 -O orphan_file,fast_commit", 40},
		{"-t ext4 -b 1024 -E resize=1000000", 40},
		{"-t ext4 -b 1024 -G 4", 100},
		{"-t ext4 -b 65536", 64},
	} {
		t.Run(strings.ReplaceAll(c.opts, " ", "_"), func(t *testing.T) {
			path := mkext(t, c.opts, c.mib, dir)
			fragment(t, path)
			if strings.Contains(c.opts, "quota") {
				// debugfs does not count quota; the exit status tells of the repair.
				exec.Command("e2fsck", "-fy", path).Run() //nolint:errcheck // the check of the copy decides
			}
			f, size := openImage(t, path)
			a, err := Read(f, size)
			must(t, err)
			want, blockSize := dumpe2fsUsed(t, path)
			if a.BlockSize != blockSize {
				t.Errorf("block size %d, want %d", a.BlockSize, blockSize)
			}
			if fmt.Sprint(a.Ranges) != fmt.Sprint(want) {
				t.Errorf("ranges\n%v\nwant\n%v", a.Ranges, want)
			}
			copied, _ := copyAndVerify(t, path)
			run(t, "e2fsck", "-fn", copied)
			out1, out2 := t.TempDir(), t.TempDir()
			run(t, "debugfs", "-R", "rdump / "+out1, path)
			run(t, "debugfs", "-R", "rdump / "+out2, copied)
			sameTree(t, out1, out2)
		})
	}
}
