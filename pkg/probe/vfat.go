package probe

import (
	"encoding/binary"
	"fmt"
)

// probeVFAT reads the boot sector of FAT12, FAT16 and FAT32 (Microsoft's FAT specification 1.03). The label comes only
// from the root directory, as for /dev/disk/by-label and LABEL= since util-linux 2.33: when Windows erases or changes
// the label, the boot sector keeps the old one.
func probeVFAT(d *device) []Signature {
	le := binary.LittleEndian
	b := d.read(0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa || b[0] != 0xeb && b[0] != 0xe9 || string(b[3:7]) == "NTFS" {
		return nil
	}
	sector, perCluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, fats := int64(le.Uint16(b[14:])), int64(b[16])
	if !powerOfTwo(uint64(sector)) || sector < 512 || sector > 4096 || !powerOfTwo(uint64(perCluster)) || reserved == 0 || fats == 0 || fats > 2 ||
		b[21] != 0xf0 && b[21] < 0xf8 {
		return nil
	}
	rootEntries, total, perFAT := int64(le.Uint16(b[17:])), int64(le.Uint16(b[19:])), int64(le.Uint16(b[22:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	wide := perFAT == 0
	serial, state := b[39:43], b[37]
	if wide {
		perFAT = int64(le.Uint32(b[36:]))
		serial, state = b[67:71], b[65]
	}
	rootSectors := (rootEntries*32 + sector - 1) / sector
	data := reserved + fats*perFAT + rootSectors
	if perFAT == 0 || data >= total || wide != (rootEntries == 0) {
		return nil
	}
	s := Signature{Kind: Filesystem, Type: "vfat", Version: "FAT32", Offset: 510, Length: 2, Size: total * sector, BlockSize: sector,
		UUID: fmt.Sprintf("%04X-%04X", le.Uint16(serial[2:]), le.Uint16(serial)), copies: []Range{{0, 512}}}
	if state&1 != 0 {
		s.Dirty = "boot sector: mounted for writing and not unmounted"
	}
	clusters := (total - data) / perCluster
	root, rootLen := (reserved+fats*perFAT)*sector, rootEntries*32
	if wide {
		root = (data + max(int64(le.Uint32(b[44:]))-2, 0)*perCluster) * sector
		rootLen = sector * perCluster
		if at := int64(le.Uint16(b[50:])) * sector; at > 0 && at+512 <= d.size {
			s.copies = append(s.copies, Range{at, 512})
		}
		if f := d.read(int64(le.Uint16(b[48:]))*sector, 512); f != nil && string(f[:4]) == "RRaA" && string(f[484:488]) == "rrAa" {
			if free := int64(le.Uint32(f[488:])); free <= clusters {
				s.Used = (clusters - free) * perCluster * sector
			}
		}
	} else if s.Version = "FAT16"; clusters < 4085 {
		s.Version = "FAT12"
	}
	s.Label = fatLabel(d.read(root, int(min(rootLen, 64<<10))))
	return []Signature{s}
}

func fatLabel(dir []byte) string {
	for ; len(dir) >= 32 && dir[0] != 0; dir = dir[32:] {
		const volume, longName = 0x08, 0x0f
		if attr := dir[11]; dir[0] != 0xe5 && attr&longName == volume {
			name := append([]byte(nil), dir[:11]...)
			if name[0] == 0x05 {
				name[0] = 0xe5
			}
			return text(name)
		}
	}
	return ""
}
