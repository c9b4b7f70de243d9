package probe

import (
	"encoding/binary"
	"io"
)

// probeWeak finds formats with magics so short that data of other formats may look like them, above all the counters of
// an ext superblock. It looks for them only if nothing else was found, and checks other fields where there are any.
func probeWeak(d *device) []Signature {
	if d.known {
		return nil
	}
	be, le := binary.BigEndian, binary.LittleEndian
	out := d.magics([]foreignMagic{{"xenix", Filesystem, 2048, "\x2b\x55\x44"}, {"xenix", Filesystem, 2048, "\x44\x55\x2b"}})
	add := func(kind Kind, typ string, at, n int64) {
		out = append(out, Signature{Kind: kind, Type: typ, Offset: at, Length: n, copies: []Range{{at, n}}})
	}
	if b := d.read(0, 512); b != nil {
		var sum uint16
		for i := 0; i < 512; i += 2 {
			sum ^= be.Uint16(b[i:])
		}
		if string(b[508:510]) == "\xda\xbe" && sum == 0 {
			add(Other, "sun", 508, 2)
		}
		if block := int64(be.Uint16(b[2:])); string(b[:2]) == "ER" && block >= 512 && macEntry(d.read(block, 2)) {
			add(Other, "mac", 0, 2)
		}
		if string(b[88:90]) == "CS" && le.Uint16(b[8:]) == 1 && le.Uint16(b[10:]) == 0x10 {
			add(Other, "cs_fvault2", 88, 2)
		}
	}
	if b := d.read(1024, 512); b != nil {
		if size := be.Uint32(b[20:]); string(b[:2]) == "BD" && size != 0 && size%512 == 0 {
			add(Filesystem, "hfs", 1024, 2)
		}
		if at := minixMagic(b); at > 0 {
			add(Filesystem, "minix", 1024+at, 2)
		}
	}
	// NILFS2 has its second superblock in the last whole block of 4 KiB.
	if at := d.size/4096*4096 - 4096; at > 4096 && string(d.read(at, 8)) == "\x02\x00\x00\x00\x00\x00\x34\x34" {
		add(Filesystem, "nilfs2", at, 8)
	}
	return append(out, xfsExternalLog(d)...)
}

func macEntry(b []byte) bool { return string(b) == "PM" || string(b) == "TS" }

// minixMagic returns the offset of the magic in a minix superblock, or 0. There are three versions, in either byte
// order. As in fsck.minix, a zone must be a block, and the inode map must have a bit for each inode.
func minixMagic(b []byte) int64 {
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		at, inodes, maps, zone := int64(16), uint32(o.Uint16(b)), o.Uint16(b[4:]), o.Uint16(b[10:])
		switch o.Uint16(b[16:]) {
		case 0x137f, 0x138f, 0x2468, 0x2478:
		default:
			if o.Uint16(b[24:]) != 0x4d5a {
				continue
			}
			at, inodes, maps, zone = 24, o.Uint32(b), o.Uint16(b[6:]), o.Uint16(b[12:])
		}
		if zone == 0 && inodes != 0 && uint64(maps)*8192 > uint64(inodes) {
			return at
		}
	}
	return 0
}

// xfsExternalLog finds an XFS log on a device of its own, by record headers in the first sectors.
func xfsExternalLog(d *device) []Signature {
	const span, least = 256 << 10, 10 << 20
	if d.size < least {
		return nil
	}
	be := binary.BigEndian
	var out []Signature
	b := d.read(0, span)
	for at := int64(0); at < int64(len(b)); at += xfsBasic {
		h := b[at:][:xfsBasic]
		version, format := be.Uint32(h[8:]), be.Uint32(h[300:])
		switch {
		case be.Uint32(h) != xfsRecord || version == 0 || version > 3 || int32(be.Uint32(h[12:])) <= 0 || format == 0 || format > 3:
		case out == nil:
			out = []Signature{{Kind: Other, Type: "xfs_external_log", UUID: uuid(h[304:320]), Offset: at, Length: 4, copies: []Range{{at, xfsBasic}}}}
		default:
			out[0].copies = append(out[0].copies, Range{at, xfsBasic})
		}
	}
	return out
}

// UnknownData is the Type of the signature that [Unnamed] returns.
const UnknownData = "unknown data"

// Unnamed reports whether the first MiB of a disk on which [Probe] found nothing holds any data. Nothing else reveals
// an encrypted disk without header, or the raw volume of a database. The signature is a ghost without ranges to wipe,
// because nothing says how much data there is.
func Unnamed(r io.ReaderAt, size int64) (Signature, bool, error) {
	d := &device{r: r, size: size}
	b := d.read(0, int(min(size, 1<<20)))
	for i, c := range b {
		if c != 0 {
			return Signature{Kind: Other, Type: UnknownData, Offset: int64(i), Length: 1, Ghost: true}, true, nil
		}
	}
	return Signature{}, false, d.err
}
