// Package extent copies a filesystem by its used blocks: ext2, ext3, ext4 and
// xfs, onto a target of at least the same size, in disk order, with large
// direct I/O. It verifies the copy by reading the target back from the disk.
//
// The contract:
//
//  1. [Read] finds which bytes are in use, from the filesystem's own records:
//     group descriptors and block bitmaps (ext), the AGF free-space b-trees
//     (xfs). It verifies every checksum on the way, and returns an error rather
//     than guess: [ErrUnsupported] (use the tree engine), [ErrDirty] (unmount,
//     replay or check it first), [ErrCorrupt] (repair it).
//  2. [Copy] copies these bytes and no others (see [maxRanges] for an exception).
//     Unused blocks of the target keep their old contents. That is harmless to
//     the filesystem, which never reads a free block before it writes it, but it
//     does not erase a disk. An old signature in a free block (btrfs at 64 KiB,
//     md or ZFS at the end) could still mislead a probe, so the caller must wipe
//     signatures before.
//  3. The source must not change from Read until the end of Verify. This package
//     does not prevent it: the caller sets the source read-only.
//  4. After a crash the target is not a usable filesystem. [Copy] resumes from
//     the last [Checkpoint], which covers only what had been flushed to the
//     target before.
//  5. [Verify] compares the target with the hashes computed while copying. It
//     must run before the writes and commands of [Allocation.Reveal] and
//     [Allocation.Grow], which change the target.
//
// A copy of [Allocation.Hidden] has no superblock, so no probe finds it, and a
// power cut never leaves two filesystems with the same UUID. [Allocation.Reveal]
// returns the writes that make it a filesystem, with a new UUID or that of the
// source, and the commands to run after them; [Allocation.Grow] returns those that
// grow it to the size of the target. This package runs no commands.
//
// Memory is bounded: [Options] Workers times [Window] for I/O, 64 MiB of ranges
// (see [maxRanges]), and 16 bytes of hash for each [Window] that contains data.
// Reading ext takes about 100 bytes more per block group.
//
// Formats: ext from the kernel's Documentation/filesystems/ext4 and e2fsprogs'
// lib/ext2fs; xfs from the XFS Algorithms & Data Structures book and the
// kernel's fs/xfs/libxfs/xfs_format.h, xfs_log_format.h.
package extent
