// Package md spells Linux software RAID: superblocks, write-intent bitmaps,
// the kernel's ioctl and sysfs interface, and mdadm.conf.
//
// The package never opens, runs or changes anything. It reads bytes it is
// handed (io.ReaderAt, fs.FS, []byte) and returns values: superblocks, the
// writes that would create an array, ioctl payloads, sysfs writes, decisions
// with their reasons. It takes no clock and no random source either: whoever
// creates an array passes every UUID and time, so the same Spec always gives
// the same bytes.
//
// Units: sizes and offsets are bytes, except where a field says sectors (the
// resync and recovery positions, where the all-ones value is special). Offsets
// named "relative" count from the start of the superblock and may be negative.
//
// Formats, as in the kernel's include/uapi/linux/raid/md_p.h and md_u.h,
// drivers/md/md.c and md-bitmap.h, with mdadm's choices where the kernel
// leaves them to user space:
//
//	version  position of the superblock              data begins at
//	0.90     last 64 KiB boundary, less 64 KiB       0
//	1.0      8 to 12 KiB before the end, on 4 KiB    DataOffset, usually 0
//	1.1      0                                       DataOffset
//	1.2      4 KiB                                   DataOffset
//
// Caveats. A 0.90 superblock does not record its own position: when the last
// partition ends near the end of its disk, the partition's superblock is also
// the disk's, and Scan reports it for both. A 1.x superblock records its
// position, so a copy seen through the wrong device is reported as misplaced
// and not as a member. The 0.90 format has the writer's byte order; only
// little-endian ones are read.
package md
