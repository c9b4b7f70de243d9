// Command bench measures the copy engines against the tools in use: make bench.
//
// It makes source filesystems on loop devices, as the kernel makes those, from a
// seed (root, tiny, large) and from this machine's /usr (real; see source.go), and
// copies each in turn by the shipped program, every engine and every
// installed peer, A B A B ..., each time from a source mounted again, so that
// nothing of it is cached (the loop devices use direct I/O: the backing file is
// not cached either), into a filesystem made again. The sync of the target
// counts. Wall time is that; CPU is user and system time of the processes, and
// again of the whole machine, which includes the kernel's writeback; memory is
// the peak of resident memory of all processes of the engine.
//
// The shipped program verifies what it copied; how much of its time that took is
// what its result says. The engines themselves run in a process of their own, the test binary of this
// package (driver_test.go): the import law keeps pkg/tree out of this room.
//
// It needs root, losetup, mkfs.ext4 and mkfs.xfs, about 50 GB of disk at scale
// 1, and touches no block device that it did not make.
package main
