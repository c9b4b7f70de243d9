// Package cpio reads and writes initramfs images: newc archives, with the
// compression and concatenation that the kernel's unpacker accepts.
//
// Writing uses github.com/cavaliergopher/cpio and works around its defects: device
// numbers are patched into the header, inodes are renumbered, and a value that
// does not fit into the 8 hexadecimal digits of a newc field is refused instead of
// truncated. The output depends only on the arguments: the same entries give the
// same image.
//
// Reading follows the kernel (init/initramfs.c), not the cpio tool. An image is a
// sequence of segments, with zero bytes anywhere between them. A segment is an
// uncompressed archive that starts at a multiple of four bytes, or a compressed
// stream of archives. A trailer is not needed, a later entry replaces an earlier
// one with the same name, and existing symbolic links are followed. gzip, zstd, xz
// and legacy lz4 are supported; bzip2, lzma and lzo are recognized and refused by
// name ([FormatError]).
//
// Caveats. Input may be hostile: [Options] limits every count and size, but a
// compressed segment may need a window of 128 MiB of memory (the kernel's own
// limit). The checksums of 070702 archives are not verified. The kernel and [Walk]
// read all parts of an image ([ImageOptions].Parts), but lsinitramfs and cpio show
// only the first. The package runs nothing and uses no file system.
package cpio
