// Package rootfs resolves paths inside a root directory the way a process sees them whose root that directory is.
//
// Whoever reads, writes or mounts below /mnt/target, in an initramfs image or in a fixture must not let the kernel
// follow the symbolic links of that tree: /srv -> /data/srv means TARGET/data/srv, but the kernel would take it to
// /data/srv of the running system. [Resolve] follows the links itself and returns a path without any, so that what
// opens, mounts or writes it afterwards has nothing left to follow.
//
// The rules are those of openat2(2) with RESOLVE_IN_ROOT: an absolute link starts at the root again, ".." of the root is
// the root, at most 40 links are followed, and whatever is passed through is a directory. The result holds for the
// tree as it was: nothing else may change it between resolving and using a path.
//
// [Walk] is the same for trees that are not file systems, such as the index of an archive.
package rootfs
