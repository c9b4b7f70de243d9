package probe

import (
	"encoding/binary"
	"fmt"
)

// probeTable reports whether there is a partition table; pkg/gpt reads it. As in the kernel (block/partitions/efi.c), a
// GPT counts only if sector 0 has a protective entry; a header without it is a ghost. The entries distinguish a DOS
// table from a boot record, which also ends in 0x55aa.
func probeTable(d *device) []Signature {
	var gpt *Signature
	for _, ss := range []int64{512, 4096} {
		for _, at := range []int64{ss, d.size/ss*ss - ss} {
			b := d.read(at, 92)
			if b == nil || at < ss || string(b[:8]) != "EFI PART" {
				continue
			}
			if gpt == nil {
				gpt = &Signature{Kind: Table, Type: "gpt", UUID: guid(b[56:72]), Offset: at, Length: 8, BlockSize: ss, Ghost: true}
			}
			gpt.copies = append(gpt.copies, d.clip(at, ss))
		}
	}
	var out []Signature
	boot := d.read(0, 512)
	if boot != nil && boot[510] == 0x55 && boot[511] == 0xaa {
		switch protective, dos := entries(boot); {
		case protective && gpt != nil:
			gpt.Ghost = false
			gpt.copies = append(gpt.copies, Range{446, 66})
		case protective:
			out = append(out, Signature{Kind: Table, Type: "gpt", Version: "protective MBR only", Offset: 510, Length: 2, copies: []Range{{446, 66}}})
		case dos:
			out = append(out, Signature{Kind: Table, Type: "dos", UUID: fmt.Sprintf("%08x", binary.LittleEndian.Uint32(boot[440:])),
				Offset: 510, Length: 2, copies: []Range{{440, 72}}})
		}
	}
	if gpt != nil {
		out = append(out, *gpt)
	}
	return out
}

// entries checks the four entries of sector 0. For a protective entry it looks only at type and start, like the kernel
// and pkg/gpt.
func entries(b []byte) (protective, dos bool) {
	used, odd := false, false
	for i := range 4 {
		e := b[446+16*i:][:16]
		start, count := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		protective = protective || e[4] == 0xee && start == 1
		odd = odd || e[0]&0x7f != 0
		if e[4] != 0 && count != 0 {
			used = true
			odd = odd || start == 0
		}
	}
	// Without entries, only a disk id distinguishes an empty table from a boot record.
	return protective, !odd && (used || binary.LittleEndian.Uint32(b[440:]) != 0 && !bootRecord(b))
}

// bootRecord reports whether b begins a volume whose first sector also ends in 0x55aa.
func bootRecord(b []byte) bool {
	return string(b[54:57]) == "FAT" || string(b[82:87]) == "FAT32" || string(b[3:7]) == "NTFS" || string(b[3:8]) == "EXFAT" || string(b[3:11]) == "-FVE-FS-"
}

// guid returns the text form of a GUID in GPT's mixed-endian order.
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}
