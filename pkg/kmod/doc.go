// Package kmod reads the formats of kernel modules: the tables that depmod writes,
// modprobe's configuration, module parameters on the kernel command line, the
// .modinfo section of a module file, and the version inside a kernel image.
//
// It determines which files to load, in which order and with which options. It
// loads nothing and runs nothing: it never follows the `install` and `remove`
// commands of modprobe.d (see [Index.Resolve]).
//
// Names are compared as in the kernel: '-' and '_' are the same, and every name
// that this package returns has '_'. Paths are relative to /lib/modules/RELEASE.
// The formats are those of modules.dep(5), modprobe.d(5), and depmod's output as
// of kmod 30. The package does not read the binary indexes (*.bin).
//
// Input may be hostile: files are read up to a limit, and nothing here panics on
// bad bytes. debug/elf is not hardened against them, so a panic in it is caught
// and becomes an error.
package kmod
