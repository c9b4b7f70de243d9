// Command bench measures the copy engines against the tools in use: make bench.
//
// It makes three source filesystems from a seed on loop devices (root, tiny,
// large; see source.go), and copies each in turn by every engine and every
// installed peer, A B A B ..., each time from a source mounted again, so that
// nothing of it is cached (the loop devices use direct I/O: the backing file is
// not cached either), into a filesystem made again. The sync of the target
// counts. Wall time is that; CPU is user and system time of the processes, and
// again of the whole machine, which includes the kernel's writeback; memory is
// the peak of resident memory of all processes of the engine.
//
// The engines themselves run in a process of their own, the test binary of this
// package (driver_test.go): the import law keeps pkg/tree out of this room.
//
// It needs root, losetup, mkfs.ext4 and mkfs.xfs, about 50 GB of disk at scale
// 1, and touches no block device that it did not make.
package main
