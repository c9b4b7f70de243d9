// Package tree copies one filesystem, or one directory of it, file by file. It
// keeps everything that the target can store, and verifies the copy.
//
// # Contract
//
// [Copy] never writes to the source. It reads through a private clone of the
// source's mount, read-only and noatime, if the kernel has open_tree and
// mount_setattr. It never resolves a path twice: every step is one name below an
// open directory, by openat2 with RESOLVE_BENEATH, NO_XDEV, NO_SYMLINKS and
// NO_MAGICLINKS. The clone has no submounts, so files hidden under mount points
// are copied too. Without a clone, mount points are not crossed, Precheck and
// Verify report them, and reading a symlink updates its access time unless the
// mount is noatime. A btrfs subvolume below the source is on the same mount and
// is copied as a directory, which [Precheck] reports, or becomes a subvolume if
// Options.Subvolumes names it.
//
// One tree can become several: the copy of the first leaves the directories in
// Options.Hollow empty, and each of these is the source of a copy with
// Options.Part. A file with names in two of them becomes two files.
//
// The algorithm:
//
//  1. A directory is created with mode 0700. Its names are read (in chunks of
//     64 Ki) and sorted: files first, by inode, or by their first extent if
//     Rotational. A pool of workers takes directories last in, first out, so that
//     memory is bounded by the depth of the tree and not by its size. A few
//     workers copy large files meanwhile, and the oldest open directory gets a
//     turn now and then, as long as few names are held.
//  2. A file gets its data, then fs-verity, owner, mode, ACLs and xattrs, times,
//     and flags. Holes are found with SEEK_DATA, preallocation with FIEMAP. Zeros
//     that are allocated stay allocated.
//  3. An inode with more than one link, of any type except directory, is copied
//     once; its other names become links to the copy. Only these inodes are kept
//     in memory, 28 bytes each. Immutable and append-only are set after the last
//     name.
//  4. Between xfs and btrfs, extents that files of the source share are shared
//     again: the first file with an extent writes it. Other files clone its range
//     on the target (FICLONERANGE) once the first file is complete, and wait for
//     it if necessary. Their data is still read and hashed, so that Verify would
//     find a wrong range. Data that cannot be cloned is written: if the kernel
//     refuses, if the range is not aligned to the target's blocks or is compressed
//     by btrfs, or beyond half a million extents. The manifest lists the extents
//     too, so a resumed copy shares with files that were finished before.
//  5. A directory gets its metadata when its last descendant has finished.
//  6. The copy ends with a syncfs of the target. Every error of a close or sync is
//     reported.
//
// Files are read past the page cache (O_DIRECT) if the filesystem supports it,
// and large files are written that way, because their pages would not be needed
// again. The small files of a batch are read in parallel (io_submit). The target
// is synced during the copy, so that little is left to write at the end.
//
// The source must not change during the copy. It is an error if a file is shorter
// or longer than its inode says.
//
// Data is hashed while it is copied: the xxh3-128 of each MiB, seeded with its
// number, summed modulo 2^128; a MiB of zeros adds nothing. The hash therefore
// depends neither on the layout nor on the order of reading, and a hole of 1 TiB
// costs nothing. Hashes and finished names are streamed to Options.Manifest; only
// directories and multiply linked inodes are kept in memory.
//
// After a crash, everything that the manifest recorded before the last
// [Checkpoint] is complete and on disk; [Resume] copies the rest again.
// Unfinished directories have mode 0700 and the time of the crash.
//
// [Verify] walks both sides, compares all of the above, and reads the target's
// data with O_DIRECT after a syncfs. It only counts shared extents, on both sides:
// an extent may be shared with a file that is not part of the copy, so less
// sharing is not certainly a difference, and it loses no data. Metadata is read
// from the disk only if the caller has mounted the target again before; it should.
//
// The caller needs root (CAP_SYS_ADMIN and other capabilities), /proc, and Linux
// 5.6.
package tree
