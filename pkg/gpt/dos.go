package gpt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxLogical is how many logical partitions Linux shows on one disk.
const maxLogical = 251

type dosEntry struct {
	active, typ  byte
	start, count uint32 // sectors; start is relative to a base that depends on where the entry is
}

func dosEntries(b []byte) [4]dosEntry {
	var out [4]dosEntry
	for i := range out {
		e := b[446+16*i:]
		out[i] = dosEntry{e[0], e[4], binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])}
	}
	return out
}

func signed(b []byte) bool { return b[510] == 0x55 && b[511] == 0xaa }

func hasProtective(boot []byte) bool {
	if !signed(boot) {
		return false
	}
	for _, e := range dosEntries(boot) {
		if e.typ == 0xee && e.start == 1 {
			return true
		}
	}
	return false
}

func isHybrid(boot []byte) bool {
	for _, e := range dosEntries(boot) {
		if e.typ != 0 && e.typ != 0xee {
			return true
		}
	}
	return false
}

// isVolumeBootRecord reports whether b is the boot record of a volume, which has the same signature as a table.
func isVolumeBootRecord(b []byte) bool {
	return string(b[54:57]) == "FAT" || string(b[82:87]) == "FAT32" || string(b[3:7]) == "NTFS" || string(b[3:8]) == "EXFAT"
}

func readDOS(r io.ReaderAt, boot []byte, size int64, ss int) (Table, error) {
	if !signed(boot) {
		return Table{}, fmt.Errorf("sector 0: signature 0x%02x%02x instead of 0x55aa: %w", boot[510], boot[511], ErrNone)
	}
	entries := dosEntries(boot)
	used := false
	for i, e := range entries {
		if e.active&0x7f != 0 {
			return Table{}, fmt.Errorf("sector 0: boot indicator 0x%02x in entry %d: a boot record: %w", e.active, i+1, ErrNone)
		}
		used = used || e.typ != 0 && e.count != 0
	}
	id := binary.LittleEndian.Uint32(boot[440:])
	if isVolumeBootRecord(boot) && !used || !used && id == 0 {
		return Table{}, fmt.Errorf("sector 0: a boot record without entries: %w", ErrNone)
	}
	t := Table{Scheme: SchemeDOS, ID: fmt.Sprintf("%08x", id), SectorSize: ss, FirstUsable: int64(ss), LastUsable: min(size/int64(ss), 1<<32)*int64(ss) - 1}
	for i, e := range entries {
		if e.typ == 0 || e.count == 0 {
			continue
		}
		if err := t.add(i+1, e, 0, false); err != nil {
			return Table{}, err
		}
	}
	for _, ext := range t.Partitions {
		if !ext.Extended() {
			continue
		}
		records, err := t.readChain(r, ext)
		if err != nil {
			return Table{}, fmt.Errorf("dos %s: extended partition %d: %w", t.ID, ext.Number, err)
		}
		t.recordsInside(records)
	}
	if err := overlap(t.Partitions); err != nil {
		return Table{}, fmt.Errorf("dos %s: %w", t.ID, err)
	}
	return t, nil
}

// readChain follows the extended boot records. In each, data entries count from the record itself, and the link counts
// from the start of the extended partition. It returns the positions of the records, in bytes.
func (t *Table) readChain(r io.ReaderAt, ext Partition) (records []int64, err error) {
	ss := int64(t.SectorSize)
	seen := map[int64]bool{}
	for at := ext.Start; ; {
		if seen[at] {
			return nil, fmt.Errorf("record at byte %d: the chain loops back to it", at)
		}
		if len(seen) >= maxLogical {
			return nil, fmt.Errorf("chain of more than %d records", maxLogical)
		}
		seen[at] = true
		records = append(records, at)
		b := make([]byte, 512)
		if err := readAt(r, b, at); err != nil {
			return nil, err
		}
		if !signed(b) {
			if at == ext.Start {
				return nil, nil // Linux treats an extended partition without a record as empty
			}
			return nil, fmt.Errorf("record at byte %d: signature 0x%02x%02x instead of 0x55aa", at, b[510], b[511])
		}
		next := int64(-1)
		// The format does not use the third and fourth entries, and Linux expects garbage there too.
		entries := dosEntries(b)
		for _, e := range entries[:2] {
			switch {
			case e.typ == 0 || e.count == 0:
			case isExtended(dosType(e.typ)):
				if next < 0 {
					next = ext.Start + int64(e.start)*ss
				}
			default:
				n := t.nextLogical()
				if n > 4+maxLogical {
					return nil, fmt.Errorf("more than %d logical partitions", maxLogical)
				}
				if err := t.add(n, e, at, true); err != nil {
					return nil, err
				}
				p := t.Partitions[len(t.Partitions)-1]
				if p.Start < ext.Start || p.end() > ext.end() {
					return nil, fmt.Errorf("partition %d (bytes %d-%d): lies outside it (bytes %d-%d)", n, p.Start, p.end()-1, ext.Start, ext.end()-1)
				}
			}
		}
		if next < 0 {
			return records, nil
		}
		if next < ext.Start || next > ext.end()-ss {
			return nil, fmt.Errorf("record at byte %d: links to byte %d outside the partition", at, next)
		}
		at = next
	}
}

// recordsInside adds to Damage each record that lies inside a logical partition, which fdisk 2.34 could create. A write
// to that partition may overwrite the record, and then every later logical partition is lost.
func (t *Table) recordsInside(records []int64) {
	for _, at := range records {
		for _, p := range t.Partitions {
			if p.Logical && p.Start <= at && at < p.end() {
				t.Damage = append(t.Damage, fmt.Sprintf("the record at byte %d, which locates a logical partition, lies inside partition %d (bytes %d-%d)", at, p.Number, p.Start, p.end()-1))
			}
		}
	}
}

func (t *Table) nextLogical() int {
	n := 5
	for _, p := range t.Partitions {
		if p.Logical {
			n++
		}
	}
	return n
}

func (t *Table) add(number int, e dosEntry, base int64, logical bool) error {
	ss := int64(t.SectorSize)
	p := Partition{Number: number, Type: dosType(e.typ), ID: fmt.Sprintf("%s-%02x", t.ID, number), Start: base + int64(e.start)*ss,
		Size: int64(e.count) * ss, Attributes: uint64(e.active), Logical: logical}
	if p.Start < t.FirstUsable || p.end()-1 > t.LastUsable {
		return fmt.Errorf("dos %s: partition %d: bytes %d-%d lie outside the disk's %d-%d", t.ID, number, p.Start, p.end()-1, t.FirstUsable, t.LastUsable)
	}
	t.Partitions = append(t.Partitions, p)
	return nil
}
