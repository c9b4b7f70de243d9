package lvm

import (
	"encoding/binary"
	"io"
)

const (
	mdaMagic   = " LVM2 x[5A%r0N*>"
	mdaFixed   = 40
	mdaIgnored = 1
	maxText    = 16 << 20 // bytes; LVM's only limit is the area, which has 1 MiB by default
)

// Metadata is one metadata area of a physical volume. At most one of VG and Err is set; neither is set if the area is
// ignored or holds no text, as on a PV without a volume group. Err is a *Damaged or an I/O error.
type Metadata struct {
	Area    Area
	Ignored bool // LVM was told not to keep metadata here
	// Precommitted means that the writer stopped while it wrote another text. LVM does not use that text, and VG is not
	// read from it.
	Precommitted bool
	VG           *VG
	Err          error
}

// location is a raw_locn: the position of a text, in bytes from the start of the area.
type location struct {
	offset, size    int64
	checksum, flags uint32
}

// readMetadata reads the area that a label names on a device of size bytes.
func readMetadata(r io.ReaderAt, size int64, a Area) Metadata {
	m := Metadata{Area: a}
	length, slots, err := readMDA(r, a.Offset, size)
	if err != nil {
		m.Err = err
		return m
	}
	now, next := slots[0], slots[1]
	m.Ignored = now.flags&mdaIgnored != 0
	m.Precommitted = next.offset != 0 && next.size != 0 && next.offset != now.offset
	if m.Ignored || now.offset == 0 {
		return m
	}
	text, err := readText(r, a.Offset, length, now)
	if err != nil {
		m.Err = err
		return m
	}
	vg, err := ParseVG(text)
	if err != nil {
		m.Err = damaged("metadata text", a.Offset+now.offset, "%v", err)
		return m
	}
	vg.text = now.checksum
	m.VG = &vg
	return m
}

func readMDA(r io.ReaderAt, at, size int64) (length int64, slots [2]location, err error) {
	if at > size-sector {
		return 0, slots, damaged("metadata area", at, "outside the device of %d bytes", size)
	}
	b, err := read(r, at, sector)
	if err != nil {
		return 0, slots, err
	}
	return parseMDA(b, at, size)
}

// parseMDA checks the header at byte at. It returns the length of the area and its first two slots: the committed text
// and the precommitted one.
func parseMDA(b []byte, at, size int64) (length int64, slots [2]location, err error) {
	le := binary.LittleEndian
	fail := func(format string, args ...any) (int64, [2]location, error) {
		return 0, slots, damaged("metadata area", at, format, args...)
	}
	if have, want := checksum(b[4:]), le.Uint32(b); have != want {
		return fail("checksum %08x does not match, computed %08x", want, have)
	}
	if string(b[4:20]) != mdaMagic {
		return fail("magic %q, not %q", b[4:20], mdaMagic)
	}
	if v := le.Uint32(b[20:]); v != 1 {
		return fail("version %d is not known", v)
	}
	if start := le.Uint64(b[24:]); start != uint64(at) {
		return fail("it is the header of an area at byte %d", start)
	}
	length = int64(le.Uint64(b[32:]))
	if length < 2*sector || length > size-at {
		return fail("%d bytes do not fit on the device of %d", uint64(length), size)
	}
	// The list ends with an offset of 0. The flags of that entry still count: an ignored area has only such an entry.
	for i := range slots {
		e := b[mdaFixed+24*i:]
		slots[i] = location{int64(le.Uint64(e)), int64(le.Uint64(e[8:])), le.Uint32(e[16:]), le.Uint32(e[20:])}
		if slots[i].offset == 0 {
			break
		}
	}
	return length, slots, nil
}

// readText reads a text from the ring of an area.
func readText(r io.ReaderAt, start, length int64, l location) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, damaged("metadata text", start+max(l.offset, 0), format, args...)
	}
	if l.offset < sector || l.offset >= length || l.size <= 0 || l.size > length-sector {
		return fail("%d bytes at %d do not fit into the area of %d", uint64(l.size), uint64(l.offset), length)
	}
	if l.size > maxText {
		return fail("%d bytes are more than the %d accepted", l.size, maxText)
	}
	wrap := max(0, l.offset+l.size-length)
	text, err := read(r, start+l.offset, int(l.size-wrap))
	if err != nil {
		return nil, err
	}
	if wrap > 0 {
		behind, err := read(r, start+sector, int(wrap))
		if err != nil {
			return nil, err
		}
		text = append(text, behind...)
	}
	if have := checksum(text); have != l.checksum {
		return fail("checksum %08x of %d bytes does not match, computed %08x: torn or overwritten", l.checksum, l.size, have)
	}
	return text, nil
}
