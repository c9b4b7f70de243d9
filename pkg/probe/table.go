package probe

import (
	"encoding/binary"
	"fmt"
)

// probeTable tells whether a partition table is there; pkg/gpt reads it. A GPT counts where sector 0 has a protective
// entry, as for the kernel (block/partitions/efi.c); a header without it is a ghost. A DOS table is told from a boot
// record, which ends in the same 0x55aa, by its entries.
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

// entries judges the four entries of sector 0. Of a protective one the kernel looks at type and start only, and pkg/gpt
// does the same.
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
	// Without entries only a disk id tells an empty table from a boot record.
	return protective, !odd && (used || binary.LittleEndian.Uint32(b[440:]) != 0 && !bootRecord(b))
}

// bootRecord knows the volumes whose first sector ends in 0x55aa too.
func bootRecord(b []byte) bool {
	return string(b[54:57]) == "FAT" || string(b[82:87]) == "FAT32" || string(b[3:7]) == "NTFS" || string(b[3:8]) == "EXFAT" || string(b[3:11]) == "-FVE-FS-"
}

// guid prints the mixed-endian form.
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}
