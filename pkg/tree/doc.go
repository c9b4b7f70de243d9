// Package tree copies one filesystem, or one directory of it, file by file,
// keeps everything the target can hold, and proves it.
//
// # Contract
//
// [Copy] reads the source only (through a private read-only, no-atime clone of
// its mount where the kernel has open_tree and mount_setattr) and never
// follows a path string twice: every step is one name below an open directory,
// by openat2 with RESOLVE_BENEATH, NO_XDEV, NO_SYMLINKS and NO_MAGICLINKS. The
// clone has no submounts, so what hides under mount points is copied too. Without
// one, mount points are not crossed, Precheck and Verify name them, and reading a
// symlink sets its access time unless the mount is noatime. A
// btrfs subvolume below the source is on the same mount and is copied as a
// directory; [Precheck] names each.
//
// The algorithm:
//
//  1. A directory is created 0700, read whole (in chunks of 64 Ki names), its
//     entries sorted by inode (by their first extent when Rotational), files first; a bounded pool takes them last in,
//     first out, so that memory is bounded by depth and not by size. Beside that a few workers have large files, and
//     the oldest open directory has a turn now and then, as long as little is held.
//  2. A file gets data, then fs-verity, owner, mode, ACLs and xattrs, times,
//     flags. Holes come from SEEK_DATA, preallocation from FIEMAP; zeros that are
//     allocated stay allocated.
//  3. An inode of any type but directory with more than one link is copied
//     once; its other names are links to it. Only these inodes are remembered, 28 bytes each.
//     Immutable and append-only wait for the last name.
//  4. Between xfs and btrfs, what files of the source share their copies share
//     again: the first one with an extent writes it, and the next ones clone its
//     range on the target (FICLONERANGE) once all of its data is there, waiting
//     for it if it is under way. The data is read and hashed all the same, so that
//     Verify would find a wrong range. What cannot be cloned (refused by the
//     kernel, not aligned to the target's blocks, compressed by btrfs, beyond half
//     a million extents) is written. The manifest has the extents too: a resumed
//     copy shares with what was finished before.
//  5. A directory gets its metadata when its last descendant has finished.
//  6. syncfs of the target ends the copy. Every Close and sync error is an error.
//
// Files are read past the page cache (O_DIRECT) where the filesystem can, and
// large ones written so: no one would look for their pages again. The small
// files of a batch are read at once (io_submit). The target is
// synced while the copy goes on, so that the end has little left to write.
//
// The source must not change during the copy; a file found shorter or longer
// than its inode said is an error.
//
// Data is hashed on the way: xxh3-128 of each MiB, seeded with its number, added
// up modulo 2^128; an all-zero MiB counts nothing. So the hash knows neither the
// layout nor the order, and a hole of 1 TiB costs nothing. Hashes and finished
// names are streamed to Options.Manifest, and only directories and multiply
// linked inodes are kept in memory.
//
// A crash leaves a target of which everything that the manifest said before the
// last [Checkpoint] is complete and on disk; anything else is copied again by
// [Resume]. Directories that are not finished are 0700 and have the time of the
// crash.
//
// [Verify] walks both sides, compares everything above, and reads the target's
// data by O_DIRECT after a syncfs. Shared extents it only counts, on both sides:
// an extent may be shared with what is not in the copy, so that less sharing
// would be no certain difference, and no data is lost with it. Metadata comes from the disk only if the
// caller mounted the target again before; it should.
//
// The caller needs CAP_SYS_ADMIN and friends (root), /proc, and Linux 5.6.
package tree
