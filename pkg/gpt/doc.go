// Package gpt spells partition tables: GPT (read, encode) and DOS (read, with extended and logical
// partitions). Bytes in, values out, and back; it opens no device and issues no ioctl.
//
// Every position in this package is in bytes, never in sectors, so that tables of disks with different
// logical sector sizes can be compared.
//
// What a caller must know:
//   - [Read] follows the kernel: a GPT exists only where sector 0 carries a protective entry (type 0xee). Without it a
//     valid header is a leftover, and Read says so in its error, which wraps [ErrNone].
//   - A damaged primary or backup copy is not an error as long as the other is whole; [Table.Damage] says what is
//     wrong, and a caller which is about to write should look at it. Overlapping partitions are an error.
//   - [Encode] returns the writes in the order that survives a power cut, if the caller flushes between them: backup
//     entries, backup header, primary entries, primary header, sector 0 last. Before the last write the disk still is
//     what its old sector 0 says; after it both copies are complete.
//   - Encode rebuilds the protective MBR: boot code (bytes 0-439) survives, hybrid entries and a DOS disk id do not.
//   - DOS tables are read but not yet written.
//
// go-diskfs/partition/gpt was looked at and left: it brings its backend abstraction, google/uuid and with it package
// net, into a binary that has none, leaves sector 0 to us anyway, and decides the order of writes itself.
//
// Sources: UEFI specification 2.10 chapter 5 (GPT, protective MBR), block/partitions/efi.c
// and msdos.c of Linux for what the kernel accepts, the Discoverable Partitions Specification for type GUIDs.
package gpt
