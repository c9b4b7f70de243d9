// Package mkfs builds the command lines that create filesystems and swap areas (mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8), mkswap(8)). It runs nothing,
// and it does not decide which types to create.
//
// A new filesystem gets the features of the one that it replaces: the old system's boot loader and tools can read
// those.
package mkfs

import (
	"fmt"
	"strconv"
)

// Spec is a filesystem to create on Device. For a zero field the program uses its default. Sizes are bytes.
type Spec struct {
	Type, Device, UUID, Label string
	HashSeed                  string
	Features                  []string // names as the type's own tools print them
	NodeSize                  int64    // of metadata, where it has a size of its own
	Checksum                  string   // the algorithm, where there is a choice
	Version                   string   // of the program, "" where it is not known
	BlockSize, InodeSize      int64
	Inodes                    int64
}

// Argv returns the command that creates s, program first. It returns an error for a type that it does not know.
func Argv(s Spec) ([]string, error) {
	switch s.Type {
	case "ext2", "ext3", "ext4":
		return ext(s), nil
	case "xfs":
		return xfs(s), nil
	case "btrfs":
		return btrfs(s), nil
	case "swap":
		return swap(s), nil
	}
	return nil, fmt.Errorf("filesystem type %s: no known program creates it", s.Type)
}

func swap(s Spec) []string {
	argv := []string{"mkswap", "-f", "-U", s.UUID}
	if s.Label != "" {
		argv = append(argv, "-L", s.Label)
	}
	return append(argv, s.Device)
}

// settable returns the feature names that mke2fs(8) accepts after -O (e2fsprogs, misc/mke2fs.c, ok_features). The other
// features of a superblock, such as needs_recovery, orphan_present and journal_dev, are state and cannot be chosen.
func settable() map[string]bool {
	m := map[string]bool{}
	for _, f := range []string{"has_journal", "ext_attr", "resize_inode", "dir_index", "sparse_super2", "fast_commit", "stable_inodes", "orphan_file",
		"filetype", "extent", "extents", "64bit", "meta_bg", "flex_bg", "mmp", "ea_inode", "metadata_csum_seed", "large_dir", "inline_data", "encrypt", "casefold",
		"sparse_super", "large_file", "huge_file", "uninit_bg", "dir_nlink", "extra_isize", "quota", "bigalloc", "metadata_csum", "project", "verity"} {
		m[f] = true
	}
	return m
}

func ext(s Spec) []string {
	argv := []string{"mke2fs", "-q", "-F", "-t", s.Type, "-U", s.UUID}
	if s.Label != "" {
		argv = append(argv, "-L", s.Label)
	}
	if s.BlockSize > 0 {
		argv = append(argv, "-b", strconv.FormatInt(s.BlockSize, 10))
	}
	if s.InodeSize > 0 {
		argv = append(argv, "-I", strconv.FormatInt(s.InodeSize, 10))
	}
	if s.Inodes > 0 {
		argv = append(argv, "-N", strconv.FormatInt(s.Inodes, 10))
	}
	if len(s.Features) > 0 {
		list, ok := "none", settable()
		for _, f := range s.Features {
			if ok[f] {
				list += "," + f
			}
		}
		argv = append(argv, "-O", list)
	}
	x := "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
	if s.HashSeed != "" {
		x += ",hash_seed=" + s.HashSeed
	}
	return append(argv, "-E", x, s.Device)
}
