// Package extent copies a filesystem by its used blocks: ext2, ext3, ext4 and
// xfs, onto a target of at least the same size, in disk order, with large
// direct I/O, and proves the copy by reading the target again from the disk.
//
// The contract:
//
//  1. [Read] finds which bytes are in use, from the filesystem's own records:
//     group descriptors and block bitmaps (ext), the AGF free-space b-trees
//     (xfs). It verifies every checksum the format has on that way, and it
//     refuses rather than guesses: [ErrUnsupported] (use the tree engine),
//     [ErrDirty] (unmount, replay or check it first), [ErrCorrupt] (repair it).
//  2. [Copy] copies these bytes and no others. A used byte that differs
//     afterwards is an error; an unused block of the target is not written, so
//     whatever the target held there before is still there. That is harmless
//     to the filesystem, which never reads a free block before it writes it,
//     but it is no way to erase a disk; and an old signature in a block that is
//     free now (btrfs at 64 KiB, md or ZFS at the end) still misleads a probe, so
//     the caller wipes those before.
//  3. The source must not change from Read until the end of Verify. Nothing
//     here prevents it: the caller sets the source read-only.
//  4. A crash leaves a target that is not a filesystem worth mounting. [Copy]
//     goes on from the last [Checkpoint], which covers only what was flushed
//     to the target before the checkpoint was handed out.
//  5. [Verify] compares the target with the hashes made while copying. It must
//     run before what [Allocation.Reveal] and [Allocation.Grow] ask for, which
//     changes the target.
//
// A copy of [Allocation.Hidden] has no superblock: no probe finds it, under no
// UUID, so that a power cut never leaves two filesystems of one UUID.
// [Allocation.Reveal] gives the writes that make it a filesystem, with a new UUID
// or the source's, and the commands that follow; [Allocation.Grow] gives those
// that bring it to the target's size. This package runs no command.
//
// Memory is bounded: [Options] Workers times [Window] for I/O, 64 MiB of ranges
// (see [maxRanges]), and 16 bytes of hash for each [Window] of the filesystem
// that holds data. Reading ext takes about 100 bytes a block group more.
//
// Formats: ext from the kernel's Documentation/filesystems/ext4 and e2fsprogs'
// lib/ext2fs; xfs from the XFS Algorithms & Data Structures book and the
// kernel's fs/xfs/libxfs/xfs_format.h, xfs_log_format.h.
package extent
