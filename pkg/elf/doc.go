// Package elf finds what a program needs to run in another root: its shared
// libraries, its loader, the interpreter of a script, and every symbolic link on the
// way to them. [Closure] only reads files. It never runs the program or its loader
// (as ldd may do), so it is safe on a root that is not trusted.
//
// The search is that of ld.so(8) without environment variables: DT_RPATH of the
// object and of those that led to it, unless the object has a DT_RUNPATH; its
// DT_RUNPATH; the directories of /etc/ld.so.conf instead of the cache; the default
// directories, including multiarch ones. Like the loader, the search skips libraries
// of another class or machine. It looks in glibc-hwcaps directories only for a
// library that is nowhere else, the oldest level first: the image may run on an older
// processor than the one on which it was created.
//
// Caveats. Libraries that a program opens with dlopen (NSS, gconv, plug-ins, libgcc_s
// for thread cancellation) are not visible and must be named by the caller. A library
// that is found only through ld.so.conf is marked ([File].SearchDir): an image without
// ld.so.cache must name its directory in LD_LIBRARY_PATH. debug/elf is not hardened
// against hostile files: a panic in it is caught and becomes an error.
package elf
