// Package md reads and writes the formats of Linux software RAID: superblocks,
// write-intent bitmaps, the kernel's ioctl and sysfs interface, and mdadm.conf.
//
// The package never opens, runs or changes anything. It reads the bytes that it
// is given (io.ReaderAt, fs.FS, []byte) and returns values: superblocks, the
// writes that would create an array, ioctl payloads, sysfs writes, decisions
// with their reasons. It uses neither a clock nor a random source: the caller
// passes every UUID and time, so the same Spec always gives the same bytes.
//
// Units: sizes and offsets are bytes, except where a field says sectors (the
// resync and recovery positions, where the all-ones value is special). Offsets
// named "relative" count from the start of the superblock and may be negative.
//
// The formats are those of the kernel's include/uapi/linux/raid/md_p.h and
// md_u.h, drivers/md/md.c and md-bitmap.h, with mdadm's choices where the kernel
// leaves them to user space:
//
//	version  position of the superblock                data begins at
//	0.90     last 64 KiB boundary, minus 64 KiB        0
//	1.0      8 to 12 KiB before the end, 4 KiB aligned DataOffset, usually 0
//	1.1      0                                         DataOffset
//	1.2      4 KiB                                     DataOffset
//
// Caveats. A 0.90 superblock does not record its own position: if the last
// partition ends near the end of its disk, the partition's superblock is also
// at the disk's position, and Scan reports it for both. A 1.x superblock records
// its position, so a copy seen through the wrong device is reported as misplaced
// and not as a member. The 0.90 format has the writer's byte order; this package
// reads only little-endian superblocks.
package md
