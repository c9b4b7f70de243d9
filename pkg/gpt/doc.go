// Package gpt reads and writes partition tables: GPT (read and encode) and DOS (read, with extended and logical
// partitions). It converts bytes to values and back; it opens no device and issues no ioctl.
//
// Every exported position is in bytes, never in sectors, so that tables of disks with different logical sector sizes
// can be compared.
//
// What a caller must know:
//   - [Read] follows the kernel: a disk has a GPT only if sector 0 has a protective entry (type 0xee). Without it, a
//     valid header is a leftover, and Read says so in its error, which wraps [ErrNone].
//   - A damaged primary or backup copy is not an error if the other copy is intact. [Table.Damage] says what is wrong;
//     a caller should check it before it writes. Overlapping partitions are an error.
//   - [Encode] returns the writes in an order that survives a power cut if the caller flushes between them: backup
//     entries, backup header, primary entries, primary header, sector 0. Until the last write the old sector 0 still
//     describes the disk; after it both copies are complete.
//   - Encode rebuilds the protective MBR: boot code (bytes 0-439) survives, hybrid entries and a DOS disk id do not.
//   - DOS tables are read but not written.
//
// This package does not use go-diskfs/partition/gpt, which would add its backend abstraction, google/uuid and package
// net to the binary, does not write sector 0 as needed here, and chooses the order of writes itself.
//
// Sources: UEFI specification 2.10 chapter 5 (GPT, protective MBR), block/partitions/efi.c and msdos.c of Linux for
// what the kernel accepts, and the Discoverable Partitions Specification for type GUIDs.
package gpt
