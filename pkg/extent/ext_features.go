package extent

import (
	"fmt"
	"strings"
)

// The feature words of an ext superblock; names are those of mke2fs -O. Every
// word is a list of what a block copy was thought through for: bitmaps say
// what is used only if nothing unknown changes where the bitmaps are or what
// an uninitialised group holds, and even compat features (sparse_super2) do.
const (
	extHasJournal   = 0x4
	extResizeInode  = 0x10
	extSparseSuper2 = 0x200

	extIncompatRecover  = 0x4
	extIncompatMetaBG   = 0x10
	extIncompat64bit    = 0x80
	extIncompatMMP      = 0x100
	extIncompatCsumSeed = 0x2000

	extRoSparseSuper   = 0x1
	extRoGdtCsum       = 0x10
	extRoBigalloc      = 0x200
	extRoMetadataCsum  = 0x400
	extRoOrphanPresent = 0x10000
)

type feature struct {
	bit  uint32
	name string
	ok   bool // copyable
}

func extCompat() []feature {
	return []feature{
		{0x1, "dir_prealloc", true}, {0x2, "imagic_inodes", true}, {0x4, "has_journal", true}, {0x8, "ext_attr", true},
		{extResizeInode, "resize_inode", true}, {0x20, "dir_index", true}, {0x40, "lazy_bg", false}, {0x80, "exclude_inode", false},
		{0x100, "snapshot_bitmap", false}, {0x200, "sparse_super2", true}, {0x400, "fast_commit", true},
		{0x800, "stable_inodes", true}, {0x1000, "orphan_file", true},
	}
}

func extIncompat() []feature {
	return []feature{
		{0x1, "compression", false}, {0x2, "filetype", true}, {0x4, "needs_recovery", true}, {0x8, "journal_dev", false},
		{0x10, "meta_bg", true}, {0x40, "extent", true}, {0x80, "64bit", true}, {0x100, "mmp", true}, {0x200, "flex_bg", true},
		{0x400, "ea_inode", true}, {0x1000, "dirdata", false}, {0x2000, "metadata_csum_seed", true}, {0x4000, "large_dir", true},
		{0x8000, "inline_data", true}, {0x10000, "encrypt", true}, {0x20000, "casefold", true},
	}
}

func extRoCompat() []feature {
	return []feature{
		{0x1, "sparse_super", true}, {0x2, "large_file", true}, {0x4, "btree_dir", true}, {0x8, "huge_file", true},
		{0x10, "uninit_bg", true}, {0x20, "dir_nlink", true}, {0x40, "extra_isize", true}, {0x80, "has_snapshot", false},
		{0x100, "quota", true}, {0x200, "bigalloc", true}, {0x400, "metadata_csum", true}, {0x800, "replica", false},
		{0x1000, "read-only", true}, {0x2000, "project", true}, {0x4000, "shared_blocks", false}, {0x8000, "verity", true},
		{0x10000, "orphan_present", true},
	}
}

// decodeFeatures returns the names of the bits set in word, and an error that
// names those which are unknown or cannot be copied.
func decodeFeatures(kind string, word uint32, table []feature) ([]string, error) {
	var names, bad []string
	for _, f := range table {
		if word&f.bit == 0 {
			continue
		}
		word &^= f.bit
		names = append(names, f.name)
		if !f.ok {
			bad = append(bad, f.name)
		}
	}
	if word != 0 {
		bad = append(bad, fmt.Sprintf("unknown %s bits %#x", kind, word))
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("feature %s: %w", strings.Join(bad, ", "), ErrUnsupported)
	}
	return names, nil
}
