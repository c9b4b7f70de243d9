// Package mdguest holds the tests of pkg/md that need the kernel's md driver and mdadm on disks of their own: ordinary Go
// tests, compiled on the host and run inside the lab's small guest by TestMd of package qemutests.
//
// They run only where MIGRATE_INIT_MDGUEST is set, and touch only the virtio disks whose serial numbers are md0, md1 ...:
// anywhere else they skip. Effects are those of pkg/machine, in the order in which pkg/stage uses them.
package mdguest
