// Package cpio spells initramfs images: newc archives, and the compression and
// concatenation which the kernel's unpacker accepts around them.
//
// Writing goes through github.com/cavaliergopher/cpio, whose defects are kept
// away from its callers: device numbers are patched into the header, inodes
// are renumbered, and whatever does not fit into the 8 hexadecimal digits of
// a newc field is refused instead of cut off. The bytes written depend on
// nothing but the arguments: the same entries give the same image.
//
// Reading follows the kernel (init/initramfs.c), not the cpio tool: an image is
// a sequence of segments, each an uncompressed archive which starts at a
// multiple of four bytes or a compressed stream of archives, with zero bytes
// anywhere between them. A trailer is not needed, a later entry replaces an
// earlier one of the same name, and symbolic links which are already there are
// followed. gzip, zstd, xz and legacy lz4 are read; bzip2, lzma and lzo are
// recognised and refused by name ([FormatError]).
//
// Caveats. A reader takes hostile input: every count and size is bounded by
// [Options], but a compressed segment may ask for a window of 128 MiB (the
// kernel's own limit) in memory. The checksums of 070702 archives are not
// verified. An image of several parts ([ImageOptions].Parts) is read whole by
// the kernel and by [Walk], but lsinitramfs and cpio show its first part only.
// The room runs nothing and touches no file system.
package cpio
