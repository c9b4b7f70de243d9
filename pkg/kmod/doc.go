// Package kmod spells kernel modules: the tables that depmod writes, modprobe's
// configuration, module parameters on the kernel command line, what a module
// file says of itself, and the version inside a kernel image.
//
// It answers which files are to be loaded, in which order and with which
// options. It loads nothing and runs nothing: `install` and `remove` commands of
// modprobe.d are therefore never followed (see [Index.Resolve]).
//
// Names are compared as the kernel does: '-' and '_' are the same, and every name
// that is returned has '_'. Paths are relative to /lib/modules/RELEASE. Formats:
// modules.dep(5), modprobe.d(5), and depmod's output as kmod 30 writes it.
// The binary indexes (*.bin) are not read.
//
// Input is taken to be hostile: files are read up to a bound, and nothing
// here panics on bad bytes. debug/elf is not hardened against them, so a panic
// in it is caught and becomes an error.
package kmod
