package tree

import "slices"

// PlannedCaps returns the capabilities of a filesystem that does not exist yet, by its type and its features as mkfs will be told them. For a
// type that it does not know it returns those of ext4. What depends on the size is left open.
func PlannedCaps(fs string, features []string, inodeSize, blockSize, inodes int64) Caps {
	has := func(feature string) bool { return slices.Contains(features, feature) }
	c := Caps{FS: fs, TimeMin: -1 << 31, TimeMax: 1<<31 - 1, Flags: ^uint32(0), XFlags: ^uint32(0), ACL: true, User: true, Trusted: true, Security: true,
		XattrValue: 64 << 10, XattrTotal: 1<<31 - 1, FileSize: 1<<63 - 1, Links: 65000, DevMajor: 4095, DevMinor: 1<<20 - 1, BlockSize: blockSize, FreeInodes: inodes}
	switch fs {
	case "xfs":
		// fs/xfs/libxfs/xfs_format.h: XFS_BIGTIME_TIME_MAX; xfs_ioctl.c: the flags that it knows.
		c.Nanoseconds, c.Project, c.ProjectSpecial, c.Reflink = true, true, false, has("reflink")
		c.Links, c.DevMajor, c.DevMinor, c.Flags = 1<<31-1, 511, 1<<18-1, flImmutable|flAppend|flNodump|flNoatime|flSync|flProjinherit
		if has("bigtime") {
			c.TimeMax = 16299260424
		}
	case "btrfs":
		// fs/btrfs/ioctl.c: BTRFS_FS_FLAGS; an attribute has to fit a leaf of metadata, which has 4 KiB at least and 16 KiB usually.
		c.TimeMin, c.TimeMax, c.Nanoseconds, c.Reflink, c.Verity, c.XFlags = -1<<60, 1<<60, true, true, true, 0
		c.Links, c.XattrValue = 65535, 3900
		c.Flags &^= flProjinherit | flCasefold
	default:
		c.Project, c.Verity, c.XFlags = has("project"), has("verity"), 0
		if inodeSize == 0 || inodeSize > 128 {
			c.TimeMax, c.Nanoseconds = 15032385535, true // two bits more, ext4.h
		}
		if c.Flags &^= flNocow; !has("casefold") {
			c.Flags &^= flCasefold
		}
		if !has("ea_inode") {
			c.XattrValue = int(max(blockSize, 1024)) - 100 // one block, with its header
		}
	}
	return c
}
