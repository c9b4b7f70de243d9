package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// Write is one range of bytes to put on the disk.
type Write struct {
	Offset int64
	Data   []byte
}

// Encode returns the writes of a GPT for a disk of diskSize bytes, as whole sectors, in the order in which they must be
// written and flushed (see the package comment). bootSector is the old sector 0, or nil; Encode keeps its boot code.
// FirstUsable, LastUsable and Entries may be zero: they then get the values that every tool uses. Encode returns an
// error for a table that is not a GPT, does not fit the disk, or has partitions that are invalid or overlap.
func Encode(t Table, diskSize int64, bootSector []byte) ([]Write, error) {
	if t.Scheme != SchemeGPT {
		return nil, fmt.Errorf("table of scheme %q: only gpt can be written", t.Scheme)
	}
	t, err := t.complete(diskSize)
	if err != nil {
		return nil, err
	}
	array, err := t.encodeEntries()
	if err != nil {
		return nil, err
	}
	disk, err := parseGUID(t.ID)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if disk.IsZero() {
		return nil, fmt.Errorf("disk: guid is zero")
	}
	ss := int64(t.SectorSize)
	last := diskSize/ss - 1
	backupArray := last - int64(len(array))/ss
	head := func(lba, other, arrayLBA int64) []byte {
		b := make([]byte, ss)
		le := binary.LittleEndian
		copy(b, "EFI PART")
		le.PutUint32(b[8:], 0x00010000)
		le.PutUint32(b[12:], headerBytes)
		le.PutUint64(b[24:], uint64(lba))
		le.PutUint64(b[32:], uint64(other))
		le.PutUint64(b[40:], uint64(t.FirstUsable/ss))
		le.PutUint64(b[48:], uint64(t.LastUsable/ss))
		copy(b[56:], disk[:])
		le.PutUint64(b[72:], uint64(arrayLBA))
		le.PutUint32(b[80:], uint32(t.slots()))
		le.PutUint32(b[84:], entryBytes)
		le.PutUint32(b[88:], crc32.ChecksumIEEE(array[:t.slots()*entryBytes]))
		le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:headerBytes]))
		return b
	}
	boot, err := protective(bootSector, int(ss), last)
	if err != nil {
		return nil, err
	}
	return []Write{
		{backupArray * ss, array},
		{last * ss, head(last, 1, backupArray)},
		{2 * ss, array},
		{ss, head(1, last, 2)},
		{0, boot},
	}, nil
}

// complete fills in the optional fields and checks the others against the disk.
func (t Table) complete(diskSize int64) (Table, error) {
	if err := checkSector(t.SectorSize); err != nil {
		return t, err
	}
	if t.slots() < defaultEntries || t.slots() > maxEntries {
		return t, fmt.Errorf("entry array of %d slots: not %d to %d", t.slots(), defaultEntries, maxEntries)
	}
	first, last := usable(t.slots(), t.SectorSize, diskSize)
	if last <= first {
		return t, fmt.Errorf("disk of %d bytes: too small for a gpt", diskSize)
	}
	if t.FirstUsable == 0 {
		t.FirstUsable = first
	}
	if t.LastUsable == 0 {
		t.LastUsable = last
	}
	ss := int64(t.SectorSize)
	switch {
	case t.FirstUsable < first || t.FirstUsable%ss != 0:
		return t, fmt.Errorf("first usable byte %d: not a sector's first, or before %d", t.FirstUsable, first)
	case t.LastUsable > last || (t.LastUsable+1)%ss != 0:
		return t, fmt.Errorf("last usable byte %d: not a sector's last, or after %d", t.LastUsable, last)
	case t.LastUsable < t.FirstUsable:
		return t, fmt.Errorf("usable bytes %d-%d: empty", t.FirstUsable, t.LastUsable)
	}
	return t, nil
}

// usable returns the widest range that both copies of the table leave to partitions, in bytes; last is inclusive.
func usable(slots, sectorSize int, diskSize int64) (first, last int64) {
	ss := int64(sectorSize)
	n := arraySectors(slots, sectorSize)
	return (2 + n) * ss, (diskSize/ss-1-n)*ss - 1
}

func (t Table) encodeEntries() ([]byte, error) {
	ss := int64(t.SectorSize)
	array := make([]byte, arraySectors(t.slots(), t.SectorSize)*ss)
	le := binary.LittleEndian
	numbers, ids := map[int]bool{}, map[guid]int{}
	for _, p := range t.Partitions {
		typ, err := parseGUID(p.Type)
		if err != nil {
			return nil, fmt.Errorf("partition %d: type: %w", p.Number, err)
		}
		id, err := parseGUID(p.ID)
		if err != nil {
			return nil, fmt.Errorf("partition %d: id: %w", p.Number, err)
		}
		name, err := encodeName(p.Name)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", p.Number, err)
		}
		switch {
		case p.Number < 1 || p.Number > t.slots():
			return nil, fmt.Errorf("partition %d: number not in 1-%d", p.Number, t.slots())
		case numbers[p.Number]:
			return nil, fmt.Errorf("partition %d: number used twice", p.Number)
		case typ.IsZero() || id.IsZero():
			return nil, fmt.Errorf("partition %d: type or id is zero", p.Number)
		case ids[id] != 0:
			return nil, fmt.Errorf("partition %d: partition %[3]d has the same id, %[2]s", p.Number, id, ids[id])
		case p.Logical:
			return nil, fmt.Errorf("partition %d: logical in a gpt", p.Number)
		case p.Start%ss != 0 || p.Size%ss != 0 || p.Size <= 0:
			return nil, fmt.Errorf("partition %d: start %d, size %d: not whole sectors of %d", p.Number, p.Start, p.Size, ss)
		case p.Start < t.FirstUsable || p.Size > math.MaxInt64-p.Start || p.end()-1 > t.LastUsable:
			return nil, fmt.Errorf("partition %d: start %d, size %d: outside the usable bytes %d-%d", p.Number, p.Start, p.Size, t.FirstUsable, t.LastUsable)
		}
		numbers[p.Number], ids[id] = true, p.Number
		e := array[(p.Number-1)*entryBytes:][:entryBytes]
		copy(e, typ[:])
		copy(e[16:], id[:])
		le.PutUint64(e[32:], uint64(p.Start/ss))
		le.PutUint64(e[40:], uint64(p.end()/ss-1))
		le.PutUint64(e[48:], p.Attributes)
		for i, u := range name {
			le.PutUint16(e[56+2*i:], u)
		}
	}
	return array, overlap(t.Partitions)
}

func encodeName(s string) ([]uint16, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("name %q: not UTF-8", s)
	}
	u := utf16.Encode([]rune(s))
	if len(u) > nameUnits {
		return nil, fmt.Errorf("name %q: %d UTF-16 units, at most %d fit", s, len(u), nameUnits)
	}
	for _, c := range u {
		if c == 0 {
			return nil, fmt.Errorf("name %q: contains a NUL", s)
		}
	}
	return u, nil
}

// protective builds sector 0. It clears the disk id (bytes 440-445): UEFI requires zero, and a copy would be ambiguous.
func protective(old []byte, ss int, last int64) ([]byte, error) {
	if old != nil && len(old) != 512 && len(old) != ss {
		return nil, fmt.Errorf("boot sector of %d bytes: neither 512 nor %d", len(old), ss)
	}
	// On a disk with sectors of 4096 bytes, the rest of the sector may hold the header of a table written for 512.
	b := make([]byte, ss)
	copy(b[:440], old)
	e := b[446:]
	copy(e, []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(e[8:], 1)
	binary.LittleEndian.PutUint32(e[12:], uint32(min(last, math.MaxUint32)))
	b[510], b[511] = 0x55, 0xaa
	return b, nil
}
