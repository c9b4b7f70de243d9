// Package lvm reads the formats of LVM2: the label and metadata areas of a
// physical volume, the metadata text, and system.devices. It says how each
// logical volume can be read.
//
// The package never opens, runs or changes anything. It reads the bytes that it
// is given (io.ReaderAt, []byte) and returns values. It activates nothing: a
// volume that is a plain mapping is returned as a table of byte ranges, the
// content of a device-mapper table; any other is described, or refused with the
// reason.
//
// Units: sizes and offsets are bytes. The text counts in sectors of 512 bytes
// and in extents; only fields whose name or comment says extents are in extents.
//
// The formats are those of LVM2's lib/format_text/layout.h, text_label.c,
// format-text.c, import_vsn1.c, libdm/libdm-config.c and lib/device/device_id.c:
//
//	label        one of the first four sectors: LABELONE, checksum, "LVM2 001"
//	PV header    in the label's sector: id, data areas, metadata areas, extension
//	mda header   first sector of a metadata area: checksum, magic, locations
//	text         in a ring behind the mda header; it may wrap around to the start
//
// Each PV of a volume group may hold the text or not (metadata areas can be
// absent or ignored). [Assemble] decides as LVM does: a group is identified by
// its id, the highest seqno counts, and a PV belongs to the group whose newest
// text lists it. Where LVM only warns and then picks by chance (two texts with
// one seqno, one PV on two devices), Assemble returns a [Refusal].
//
// Caveats. Damage is reported, not repaired: a torn text is an error that names
// the position, and the other metadata area is used. A text with a valid checksum
// is still treated as hostile: its size, depth and number of values are limited,
// and every extent is checked against its PV. The device that a text names is a
// hint where the PV was when the text was written, never an identity.
package lvm
