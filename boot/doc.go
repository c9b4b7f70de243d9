// Package boot reads and writes the formats of boot loaders and the kernel command line: GRUB's grub.cfg, grubenv and
// custom.cfg, GRUB's boot sector and core image for BIOS, EFI boot variables, Boot Loader Specification entries and
// systemd-boot's loader.conf.
//
// Contract. The package takes bytes and returns values and bytes: it opens no file, writes to no disk and runs no tool;
// the caller decides where the bytes go. A parsed value renders to the same bytes until it is changed. grub.cfg is read
// but never evaluated: results describe its text, and a condition around a statement is ignored.
//
// Write grubenv in place, 1024 bytes over the old ones: at boot, GRUB writes to the sectors that it finds and cannot
// rename files. A boot sector is returned whole, with the partition table of the one that it replaces.
package boot
