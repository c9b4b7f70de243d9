// Package rootfs resolves paths inside a root directory as a process with that root would see them.
//
// Code that reads, writes or mounts below /mnt/target, in an initramfs image or in a fixture must not let the kernel
// follow the symbolic links of that tree: /srv -> /data/srv means TARGET/data/srv, but the kernel would go to /data/srv
// of the running system. [Resolve] follows the links itself and returns a path without links, so that the caller can
// open, mount or write it without following any.
//
// The rules are those of openat2(2) with RESOLVE_IN_ROOT: an absolute link starts at the root again, ".." of the root
// is the root, at most 40 links are followed, and every element but the last must be a directory. The result holds for
// the tree at the time: nothing else may change it between resolving and using a path.
//
// [Walk] does the same for trees that are not file systems, such as the index of an archive.
package rootfs
