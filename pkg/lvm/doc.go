// Package lvm spells LVM2: the label and metadata areas of a physical volume,
// the metadata text, how each logical volume can be read, and system.devices.
//
// The package never opens, runs or changes anything. It reads bytes it is
// handed (io.ReaderAt, []byte) and returns values. It activates nothing either:
// a volume that is mapped comes as a table of byte ranges, which is what a
// device-mapper table says in sectors; one that needs more is described, or
// refused with the reason.
//
// Units: sizes and offsets are bytes. The text counts in sectors of 512 bytes
// and in extents; only fields that say extents are in extents.
//
// Formats, as in LVM2's lib/format_text/layout.h, text_label.c, format-text.c,
// import_vsn1.c, libdm/libdm-config.c and lib/device/device_id.c:
//
//	label        one of the first four sectors: LABELONE, checksum, "LVM2 001"
//	PV header    in the label's sector: id, data areas, metadata areas, extension
//	mda header   first sector of a metadata area: checksum, magic, locations
//	text         a ring behind the mda header; it may continue at its start
//
// Several PVs of a volume group each hold the text, or do not hold it (metadata
// areas can be absent or ignored). [Assemble] decides as LVM does: a group is
// known by its id, the highest seqno counts, and a PV belongs to the group whose
// newest text lists it. What LVM only warns of and then works around by chance
// (two texts with one seqno, one PV on two devices) is a [Refusal] here.
//
// Caveats. Damage is reported, not repaired: a torn text gives an error that
// names the place, and the other metadata area is used. Text with a good checksum
// is still hostile input: its size, depth and number of values are limited, and
// every extent is checked against its PV. The device that a text names is a hint
// of where the PV was when the text was written, never an identity.
package lvm
