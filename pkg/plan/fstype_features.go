package plan

import "slices"

// extByBlocks knows which features a new UUID, and a larger size, leave intact.
func extByBlocks(features []string) string {
	csum := slices.Contains(features, "metadata_csum")
	for _, f := range features {
		switch f {
		case "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "extents", "64bit", "flex_bg", "sparse_super", "large_file", "huge_file",
			"dir_nlink", "extra_isize", "metadata_csum", "metadata_csum_seed", "orphan_file", "orphan_present", "needs_recovery", "quota", "project", "inline_data",
			"large_dir", "sparse_super2", "meta_bg":
		case "uninit_bg":
			if !csum {
				return "feature uninit_bg ties its checksums to its UUID"
			}
		case "ea_inode":
			if !csum {
				return "feature ea_inode ties the hashes of its large attributes to its UUID"
			}
		default:
			return "feature " + f + " is not known to be safe"
		}
	}
	return ""
}

// xfsByBlocks knows which features the engine renames: in version 5 the superblock says which UUID its blocks carry
// (metauuid), which GRUB and every kernel since 4.3 read; in version 4 no block but the superblocks and the log carries one.
func xfsByBlocks(features []string) string {
	for _, f := range features {
		switch f {
		case "v4", "crc", "ci", "finobt", "rmapbt", "reflink", "inobtcount", "ftype", "sparse", "metauuid", "bigtime", "nrext64", "exchange", "parent", "larp":
		default:
			return "feature " + f + " is not known to be safe"
		}
	}
	return ""
}

// xfsImmovable: files on a realtime device are on another device than the filesystem's.
func xfsImmovable(features []string) string {
	for _, f := range []string{"realtime", "metadir", "zoned"} {
		if slices.Contains(features, f) {
			return "a part of it is on a realtime device (feature " + f + ")"
		}
	}
	if slices.Contains(features, "needsrepair") {
		return "it needs xfs_repair (feature needsrepair)"
	}
	return ""
}

// btrfsImmovable: what no mkfs.btrfs makes that is not experimental, or what holds the files in a way that a mount of one
// ordinary device cannot have.
func btrfsImmovable(features []string) string {
	for _, f := range []string{"zoned", "extent-tree-v2", "raid-stripe-tree"} {
		if slices.Contains(features, f) {
			return "its feature " + f + " is experimental, or needs a device of another kind"
		}
	}
	return ""
}

// ext4New is what mke2fs 1.47 makes, without what GRUB 2.06 (metadata_csum_seed) or e2fsck 1.46 (orphan_file) cannot read.
func ext4New() (out []NewFeature) {
	for _, name := range []string{"has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg", "sparse_super", "large_file", "huge_file",
		"dir_nlink", "extra_isize", "metadata_csum"} {
		out = append(out, NewFeature{Name: name})
	}
	return out
}

// xfsNew is what mkfs.xfs 6.1 makes.
func xfsNew() []NewFeature {
	return []NewFeature{{Name: "crc"}, {Name: "finobt"}, {Name: "ftype"}, {Name: "sparse"}, {"reflink", 4, 16}, {"inobtcount", 5, 10}, {"bigtime", 5, 10}}
}

// btrfsNew is what mkfs.btrfs 6.2 makes.
func btrfsNew() []NewFeature {
	return []NewFeature{{Name: "extref"}, {Name: "skinny-metadata"}, {Name: "no-holes"}, {"free-space-tree", 4, 9}}
}
