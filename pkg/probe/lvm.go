package probe

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// probeLVM looks for a physical volume's label in the first four sectors (LVM2 lib/format_text/layout.h, label.h).
func probeLVM(d *device) []Signature {
	le := binary.LittleEndian
	var out []Signature
	for sector := range int64(4) {
		at := sector * 512
		b := d.read(at, 512)
		if b == nil || string(b[:8]) != "LABELONE" || le.Uint64(b[8:]) != uint64(sector) || string(b[24:32]) != "LVM2 001" {
			continue
		}
		// LVM's checksum is CRC-32 with its own start value and without the final complement.
		sum := ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[20:])
		s := Signature{Kind: LVM, Type: "LVM2_member", Version: "LVM2 001", Offset: at, Length: 8, Checksum: check(sum == le.Uint32(b[16:])),
			copies: []Range{{at, 512}}}
		if off := le.Uint32(b[20:]); off <= 512-40 {
			s.UUID = lvmID(text(b[off : off+32]))
			s.Size = max(int64(le.Uint64(b[off+32:])), 0)
		}
		out = append(out, s)
	}
	return out
}

func lvmID(s string) string {
	if len(s) != 32 {
		return ""
	}
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}
