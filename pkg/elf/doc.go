// Package elf spells what a program needs to run in another root: its shared
// libraries, its loader, the interpreter of a script, and every symbolic link on the
// way to them. [Closure] reads files only. It never runs the program or its loader
// (as ldd may do), so it is safe on a root that is not trusted.
//
// The search is that of ld.so(8) without environment: DT_RPATH of the object and of those that led to it,
// unless it has a DT_RUNPATH; its DT_RUNPATH; the directories of
// /etc/ld.so.conf, which stand for the cache; the default directories,
// multiarch ones included. Libraries of another class or machine are passed over, as the
// loader does. Directories glibc-hwcaps are looked at only for a library that is nowhere else,
// the oldest level first: the image may run on an older processor than the one it was made on.
//
// Caveats. What a program opens by dlopen (NSS, gconv, plug-ins, libgcc_s for
// thread cancellation) cannot be seen and must be named by the caller. A
// library that is found only through ld.so.conf is marked ([File].SearchDir): an image
// without ld.so.cache must name its directory in LD_LIBRARY_PATH. debug/elf is not hardened
// against hostile files: a panic in it is caught and becomes an error.
package elf
