package probe

import "encoding/binary"

// probeLUKS finds the headers of the LUKS1 and LUKS2 on-disk formats (cryptsetup's docs/on-disk-format*.pdf). LUKS2 has
// a second header at one of nine positions. A device with only the second header is still LUKS: cryptsetup repairs the
// first header from it.
func probeLUKS(d *device) []Signature {
	be := binary.BigEndian
	var first *Signature
	var out []Signature
	if b := d.read(0, 512); b != nil && string(b[:6]) == "LUKS\xba\xbe" {
		switch be.Uint16(b[6:]) {
		case 1:
			return []Signature{{Kind: LUKS, Type: "LUKS1", Version: "1", UUID: text(b[168:208]), Length: 6, copies: []Range{d.clip(0, 592)}}}
		case 2:
			out = append(out, luks2(d, b, 0))
			first = &out[0]
		default:
			return []Signature{{Kind: LUKS, Type: "LUKS", Version: decimal(uint64(be.Uint16(b[6:]))), Length: 6, copies: []Range{d.clip(0, 4096)}}}
		}
	}
	for at := int64(0x4000); at <= 0x400000; at *= 2 {
		b := d.read(at, 512)
		if b == nil || string(b[:6]) != "SKUL\xba\xbe" || be.Uint16(b[6:]) != 2 || be.Uint64(b[256:]) != uint64(at) {
			continue
		}
		s := luks2(d, b, at)
		if first != nil && first.UUID == s.UUID {
			first.copies = append(first.copies, s.copies...)
			continue
		}
		out = append(out, s)
		if first == nil {
			first = &out[0]
		}
	}
	return out
}

func luks2(d *device, b []byte, at int64) Signature {
	return Signature{Kind: LUKS, Type: "LUKS2", Version: "2", UUID: text(b[168:208]), Label: text(b[24:72]), Offset: at, Length: 6,
		copies: []Range{d.clip(at, 4096)}}
}
