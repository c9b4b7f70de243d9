package lvm

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// craft returns the beginning of a PV: a label in sector 1, and at 4096 a ring of length bytes with a text from off on.
func craft(id string, text []byte, length, off int64) []byte {
	b := make([]byte, 4096+max(length, sector))
	le := binary.LittleEndian
	l := b[sector:]
	copy(l, labelID)
	le.PutUint64(l[8:], 1)
	le.PutUint32(l[20:], 32)
	copy(l[24:], labelType)
	copy(l[32:], id)
	le.PutUint64(l[64:], uint64(len(b)))
	le.PutUint64(l[72:], 1<<20)
	le.PutUint64(l[104:], 4096)
	le.PutUint64(l[112:], uint64(length))
	le.PutUint32(l[136:], 2)
	le.PutUint32(l[140:], 1)
	h := b[4096:]
	copy(h[4:], mdaMagic)
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[24:], 4096)
	le.PutUint64(h[32:], uint64(length))
	le.PutUint64(h[40:], uint64(off))
	le.PutUint64(h[48:], uint64(len(text)))
	le.PutUint32(h[56:], checksum(text))
	for i, c := range text {
		at := off + int64(i)
		if at >= length {
			at += sector - length
		}
		if at >= sector && at < length {
			h[at] = c
		}
	}
	seal(b)
	return b
}

// seal updates the checksums of label and header.
func seal(b []byte) {
	binary.LittleEndian.PutUint32(b[sector+16:], checksum(b[sector+20:2*sector]))
	binary.LittleEndian.PutUint32(b[4096:], checksum(b[4100:4096+sector]))
}

const pvID = "nr244JoZsQx24XhAmPXsFIC0wwuAkuX4"

// A text reads the same wherever it begins in its ring.
func TestRing(t *testing.T) {
	text := append(every(t), 0)
	rapid.Check(t, func(t *rapid.T) {
		length := int64(len(text)) + sector + rapid.Int64Range(0, 9000).Draw(t, "room")
		b := craft(pvID, text, length, rapid.Int64Range(sector, length-1).Draw(t, "off"))
		d, err := Scan("d", bytes.NewReader(b), int64(len(b)))
		if err != nil || d.Err() != nil || d.VG() == nil || d.VG().Name != "every" || d.Label.PV.Compact() != pvID || !d.Label.Used {
			t.Fatalf("%v, %v, %+v", err, d.Err(), d)
		}
	})
}

// Any change of a byte that counts is an error that names the position, and never reads as other contents.
func TestTorn(t *testing.T) {
	text := every(t)
	b := craft(pvID, text, 64<<10, 40<<10)
	used := int64(len(text))
	rapid.Check(t, func(t *rapid.T) {
		c := bytes.Clone(b)
		// The label's sector, the header's, or the text with its end at the start of the ring.
		at := rapid.Int64Range(0, 2*sector+used-1).Draw(t, "at")
		what := "label"
		switch {
		case at < sector:
			at += sector
		case at < 2*sector:
			at, what = at-sector+4096, "metadata area"
		default:
			if at, what = at-2*sector+40<<10, "metadata text"; at >= 64<<10 {
				at += sector - 64<<10
			}
			at += 4096
		}
		c[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		d, err := Scan("d", bytes.NewReader(c), int64(len(c)))
		if err == ErrNoLabel && at < sector+8 {
			return
		}
		if err == nil {
			err = d.Areas[0].Err
		}
		bad, ok := err.(*Damaged)
		if !ok || bad.What != what || d.VG() != nil {
			t.Fatalf("byte %d of the %s changed: %v", at, what, err)
		}
	})
}

// Every fault of a label or header has an error of its own.
func TestDamage(t *testing.T) {
	le := binary.LittleEndian
	text := every(t)
	for _, c := range []struct {
		name, want string
		change     func(b []byte)
	}{
		{"label of another sector", "label at byte 512: it is the label of sector 2", func(b []byte) { b[520] = 2 }},
		{"type", `type "LVM9 001"`, func(b []byte) { b[512+27] = '9' }},
		{"PV header outside", "PV header at 480", func(b []byte) { le.PutUint32(b[512+20:], 480) }},
		{"id", `character '%' is not allowed`, func(b []byte) { b[512+40] = '%' }},
		{"negative size", "device size", func(b []byte) { b[512+71] = 0x80 }},
		{"data areas without end", "data areas has no end", func(b []byte) { ones(b[512+72 : 1024]) }},
		{"metadata areas without end", "metadata areas has no end", func(b []byte) { ones(b[512+104 : 1024]) }},
		{"boot areas without end", "boot loader areas has no end", func(b []byte) { ones(b[512+144 : 1024]) }},
		{"negative area of data", "data areas has no end, or an impossible offset", func(b []byte) { b[512+79] = 0x80 }},
		{"negative size of an area", "metadata areas has no end, or an impossible offset", func(b []byte) { b[512+119] = 0x80 }},
		{"area outside of the device", "outside the device of 69632 bytes", func(b []byte) { le.PutUint64(b[512+104:], 1<<40) }},
		{"area at the end of the numbers", "outside the device", func(b []byte) { le.PutUint64(b[512+104:], 1<<63-1) }},
		{"magic", "magic", func(b []byte) { b[4100] = 'x' }},
		{"version", "version 2 is not known", func(b []byte) { b[4096+20] = 2 }},
		{"start", "header of an area at byte 8192", func(b []byte) { le.PutUint64(b[4096+24:], 8192) }},
		{"area longer than the device", "do not fit on the device", func(b []byte) { le.PutUint64(b[4096+32:], 1<<20) }},
		{"area of no room", "do not fit on the device", func(b []byte) { le.PutUint64(b[4096+32:], 512) }},
		{"negative area", "do not fit on the device", func(b []byte) { b[4096+39] = 0xff }},
		{"text over the header", "do not fit into the area", func(b []byte) { le.PutUint64(b[4096+40:], 40) }},
		{"text outside", "do not fit into the area", func(b []byte) { le.PutUint64(b[4096+40:], 1<<40) }},
		{"text of no bytes", "do not fit into the area", func(b []byte) { le.PutUint64(b[4096+48:], 0) }},
		{"text longer than the ring", "do not fit into the area", func(b []byte) { le.PutUint64(b[4096+48:], 64<<10) }},
		{"negative text", "do not fit into the area", func(b []byte) { b[4096+55] = 0xff }},
	} {
		b := craft(pvID, text, 64<<10, sector)
		c.change(b)
		seal(b)
		d, err := Scan("d", bytes.NewReader(b), int64(len(b)))
		if err == nil {
			err = d.Err()
		}
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for size := range int64(2 * sector) {
		if _, err := Scan("d", bytes.NewReader(make([]byte, size)), size); err != ErrNoLabel {
			t.Errorf("%d zeros: %v", size, err)
		}
	}
}

func ones(b []byte) {
	for i := range b {
		b[i] = 1
	}
}

// Of two areas the newer text counts, and a damaged one does not hide the other.
func TestTwoAreas(t *testing.T) {
	old, young := every(t), bytes.Replace(every(t), []byte("seqno = 8\n"), []byte("seqno = 12\n"), 1)
	if bytes.Equal(old, young) {
		t.Fatal("the text has another seqno")
	}
	a, b := craft(pvID, old, 64<<10, sector), craft(pvID, young, 64<<10, sector)
	le := binary.LittleEndian
	both := append(bytes.Clone(a), b[4096:]...)
	second := int64(len(a))
	le.PutUint64(both[second+24:], uint64(second))
	le.PutUint32(both[second:], checksum(both[second+4:second+sector]))
	copy(both[sector+136:], both[sector+120:sector+200]) // make room in the list
	le.PutUint64(both[sector+120:], uint64(second))
	le.PutUint64(both[sector+128:], 64<<10)
	seal(both)
	for _, c := range []struct {
		tear  int64
		seqno int64
	}{{-1, 12}, {4096 + 700, 12}, {second + 700, 8}, {second + 5, 8}} {
		x := bytes.Clone(both)
		if c.tear >= 0 {
			x[c.tear] ^= 1
		}
		d, err := Scan("d", bytes.NewReader(x), int64(len(x)))
		if err != nil || d.VG() == nil || d.VG().Seqno != c.seqno || (d.Err() != nil) != (c.tear >= 0) {
			t.Errorf("torn at %d: %v, %v, %+v", c.tear, err, d.Err(), d.VG())
		}
	}
}

// A text that was about to be committed is reported and not used, as in LVM.
func TestPrecommitted(t *testing.T) {
	b := craft(pvID, every(t), 64<<10, sector)
	for _, c := range []struct {
		offset, size uint64
		want         bool
	}{{0, 0, false}, {sector, 100, false}, {40 << 10, 0, false}, {40 << 10, 100, true}} {
		binary.LittleEndian.PutUint64(b[4096+64:], c.offset)
		binary.LittleEndian.PutUint64(b[4096+72:], c.size)
		seal(b)
		d, err := Scan("d", bytes.NewReader(b), int64(len(b)))
		if err != nil || d.Err() != nil || d.VG() == nil || d.Areas[0].Precommitted != c.want {
			t.Errorf("%+v: %v, %+v", c, err, d.Areas)
		}
	}
}
