// Package boot spells the dialects of boot loaders and the kernel command line: GRUB's grub.cfg, grubenv and custom.cfg,
// GRUB's boot sector and core image for BIOS, Boot Loader Specification entries and systemd-boot's loader.conf.
//
// Contract. Bytes in, values and bytes out: nothing here opens a file, writes to a disk or runs a tool; the caller decides
// where bytes go. What is parsed renders to the same bytes until it is changed. grub.cfg is read, never evaluated: answers
// about it are about its text, and a condition around a statement is not judged.
//
// grubenv must be written in place, 1024 bytes over the old ones: GRUB writes the sectors it finds at boot and knows no
// rename. A boot sector is handed back whole, with the partition table of the one it replaces.
package boot
