package lvm

import (
	"encoding/binary"
	"io"
)

const (
	labelSectors = 4
	labelID      = "LABELONE"
	labelType    = "LVM2 001"
	pvFixed      = 32 + 8 // id and size, before the lists of areas
)

// Area is a range of bytes on a device. In a label's list of data areas, a Size of 0 means up to the end.
type Area struct {
	Offset, Size int64
}

// Label is what the label's sector says about a physical volume.
type Label struct {
	Offset     int64 // of the label's sector, in bytes
	PV         ID
	DeviceSize int64 // bytes, when it was created or last resized
	Data       []Area
	Metadata   []Area

	Extension uint32 // version of the header's extension; 0 for none
	Used      bool   // it belongs to a volume group, even if no metadata area here says so; from version 2 on
	Boot      []Area // reserved for a boot loader
}

// ReadLabel finds the label of a device of size bytes as LVM does: the first valid label in the first four sectors
// counts. The error is ErrNoLabel if there is none, a *Damaged if there is one that is not valid, or an I/O error.
func ReadLabel(r io.ReaderAt, size int64) (Label, error) {
	n := min(size, labelSectors*sector) / sector * sector
	if n <= 0 {
		return Label{}, ErrNoLabel
	}
	b, err := read(r, 0, int(n))
	if err != nil {
		return Label{}, err
	}
	err = ErrNoLabel
	for at := int64(0); at < n; at += sector {
		l, bad := parseLabel(b[at:at+sector], at)
		if bad == nil {
			return l, nil
		}
		if err == ErrNoLabel {
			err = bad
		}
	}
	return Label{}, err
}

// parseLabel reads the sector at byte at.
func parseLabel(b []byte, at int64) (Label, error) {
	le := binary.LittleEndian
	if string(b[:8]) != labelID {
		return Label{}, ErrNoLabel
	}
	fail := func(format string, args ...any) (Label, error) {
		return Label{}, damaged("label", at, format, args...)
	}
	if n := le.Uint64(b[8:]); n != uint64(at/sector) {
		return fail("it is the label of sector %d: a copy, or a device that begins elsewhere", n)
	}
	if have, want := checksum(b[20:]), le.Uint32(b[16:]); have != want {
		return fail("checksum %08x does not match, computed %08x", want, have)
	}
	if t := b[24:32]; string(t) != labelType {
		return fail("type %q, not %q", t, labelType)
	}
	off := le.Uint32(b[20:])
	if off < 32 || off > sector-pvFixed {
		return fail("PV header at %d of its sector", off)
	}
	id, err := ParseID(string(b[off : off+32]))
	if err != nil {
		return fail("PV header: %v", err)
	}
	l := Label{Offset: at, PV: id}
	rest := b[off+32:]
	if l.DeviceSize = int64(le.Uint64(rest)); l.DeviceSize < 0 {
		return fail("device size %d", uint64(l.DeviceSize))
	}
	rest = rest[8:]
	var ok bool
	if l.Data, rest, ok = areas(rest); !ok {
		return fail("the list of data areas has no end, or an impossible offset")
	}
	if l.Metadata, rest, ok = areas(rest); !ok {
		return fail("the list of metadata areas has no end, or an impossible offset")
	}
	if len(rest) < 8 || le.Uint32(rest) == 0 {
		return l, nil
	}
	l.Extension, l.Used = le.Uint32(rest), le.Uint32(rest[4:])&1 != 0
	if l.Boot, _, ok = areas(rest[8:]); !ok {
		return fail("the list of boot loader areas has no end, or an impossible offset")
	}
	return l, nil
}

// areas reads a list that ends with an offset of 0, and returns the bytes behind it.
func areas(b []byte) (list []Area, rest []byte, ok bool) {
	for ; len(b) >= 16; b = b[16:] {
		a := Area{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		switch {
		case a.Offset == 0:
			return list, b[16:], true
		case a.Offset < 0 || a.Size < 0:
			return nil, nil, false
		}
		list = append(list, a)
	}
	return nil, nil, false
}
