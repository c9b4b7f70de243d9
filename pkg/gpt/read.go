package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Read reads the partition table of a disk of size bytes with logical sectors of sectorSize bytes. The error wraps
// [ErrNone] if there is no table; any other error means that there is one but that it cannot be trusted. For a DOS
// table Read follows the whole chain of logical partitions.
func Read(r io.ReaderAt, size int64, sectorSize int) (Table, error) {
	if err := checkSector(sectorSize); err != nil {
		return Table{}, err
	}
	if size < int64(sectorSize) {
		return Table{}, fmt.Errorf("disk of %d bytes: %w", size, ErrNone)
	}
	boot := make([]byte, 512)
	if err := readAt(r, boot, 0); err != nil {
		return Table{}, fmt.Errorf("sector 0: %w", err)
	}
	if !hasProtective(boot) {
		t, err := readDOS(r, boot, size, sectorSize)
		if errors.Is(err, ErrNone) {
			if _, herr := readHeader(r, size, sectorSize, 1); herr == nil {
				return t, fmt.Errorf("%w; the GPT header at byte %d does not count without a protective entry in sector 0", err, sectorSize)
			}
		}
		return t, err
	}
	return readGPT(r, boot, size, sectorSize)
}

type header struct {
	lba, alternate, first, last, array uint64
	disk                               guid
	count, entry, arraySum             uint32
}

func readGPT(r io.ReaderAt, boot []byte, size int64, ss int) (Table, error) {
	lastLBA := uint64(size/int64(ss)) - 1
	primary, perr := readCopy(r, size, ss, 1)
	at := lastLBA
	if perr == nil {
		at = primary.alternate
	}
	backup, berr := readCopy(r, size, ss, at)
	if berr != nil && perr == nil && at != lastLBA {
		// After a disk grew or was cloned, the header may point to nothing while the end of the disk has a copy.
		if b, err := readCopy(r, size, ss, lastLBA); err == nil {
			backup, berr = b, nil
		}
	}
	use := primary
	var damage []string
	switch {
	case perr != nil && berr != nil:
		for _, other := range []int{512, 4096} {
			if _, err := readHeader(r, size, other, 1); other != ss && err == nil {
				return Table{}, fmt.Errorf("gpt: written for sectors of %d bytes, but the disk has %d", other, ss)
			}
		}
		return Table{}, fmt.Errorf("gpt: primary: %w; backup: %w", perr, berr)
	case perr != nil:
		use = backup
		damage = append(damage, fmt.Sprintf("primary: %v; the backup was used", perr))
	case berr != nil:
		damage = append(damage, fmt.Sprintf("backup: %v", berr))
	default:
		if d := differ(primary, backup); d != "" {
			damage = append(damage, "primary and backup differ in "+d+"; the primary was used")
		}
		if backup.lba != lastLBA {
			damage = append(damage, fmt.Sprintf("backup: lies at byte %d, not in the disk's last sector at %d", backup.lba*uint64(ss), lastLBA*uint64(ss)))
		}
	}
	t := Table{Scheme: SchemeGPT, ID: use.disk.String(), SectorSize: ss, Damage: damage, Backup: perr != nil, Hybrid: isHybrid(boot),
		FirstUsable: int64(use.first) * int64(ss), LastUsable: int64(use.last+1)*int64(ss) - 1}
	if use.count != defaultEntries {
		t.Entries = int(use.count)
	}
	var err error
	if t.Partitions, err = use.partitions(ss); err != nil {
		return Table{}, fmt.Errorf("gpt %s: %w", t.ID, err)
	}
	if err := overlap(t.Partitions); err != nil {
		return Table{}, fmt.Errorf("gpt %s: %w", t.ID, err)
	}
	return t, nil
}

// tableCopy is one header with its entry array; both checksums are verified.
type tableCopy struct {
	header
	raw []byte
}

func readCopy(r io.ReaderAt, size int64, ss int, lba uint64) (tableCopy, error) {
	h, err := readHeader(r, size, ss, lba)
	if err != nil {
		return tableCopy{}, err
	}
	n := uint64(h.count) * entryBytes
	sectors := uint64(size / int64(ss))
	if h.count > maxEntries {
		return tableCopy{}, fmt.Errorf("header at byte %d: entry array of %d slots is too large, at most %d", lba*uint64(ss), h.count, maxEntries)
	}
	need := (n + uint64(ss) - 1) / uint64(ss)
	if h.array < 2 || h.array >= sectors || need > sectors-h.array || h.array <= h.last && h.array+need > h.first {
		return tableCopy{}, fmt.Errorf("header at byte %d: entry array at an invalid position, sector %d", lba*uint64(ss), h.array)
	}
	c := tableCopy{header: h, raw: make([]byte, n)}
	if err := readAt(r, c.raw, int64(h.array)*int64(ss)); err != nil {
		return tableCopy{}, fmt.Errorf("entry array at sector %d: %w", h.array, err)
	}
	if sum := crc32.ChecksumIEEE(c.raw); sum != h.arraySum {
		return tableCopy{}, fmt.Errorf("entry array at sector %d: checksum 0x%08x does not match 0x%08x", h.array, sum, h.arraySum)
	}
	return c, nil
}

func readHeader(r io.ReaderAt, size int64, ss int, lba uint64) (header, error) {
	var h header
	sectors := uint64(size / int64(ss))
	if lba == 0 || lba >= sectors {
		return h, fmt.Errorf("header at sector %d: outside the disk of %d sectors", lba, sectors)
	}
	at := int64(lba) * int64(ss)
	b := make([]byte, ss)
	if err := readAt(r, b, at); err != nil {
		return h, fmt.Errorf("header at byte %d: %w", at, err)
	}
	if string(b[:8]) != "EFI PART" {
		return h, fmt.Errorf("header at byte %d: no EFI PART signature", at)
	}
	le := binary.LittleEndian
	n := le.Uint32(b[12:])
	if n < headerBytes || n > uint32(ss) {
		return h, fmt.Errorf("header at byte %d: size %d", at, n)
	}
	want := le.Uint32(b[16:])
	le.PutUint32(b[16:], 0)
	if sum := crc32.ChecksumIEEE(b[:n]); sum != want {
		return h, fmt.Errorf("header at byte %d: checksum 0x%08x does not match 0x%08x", at, sum, want)
	}
	h = header{lba: le.Uint64(b[24:]), alternate: le.Uint64(b[32:]), first: le.Uint64(b[40:]), last: le.Uint64(b[48:]),
		array: le.Uint64(b[72:]), disk: guid(b[56:72]), count: le.Uint32(b[80:]), entry: le.Uint32(b[84:]), arraySum: le.Uint32(b[88:])}
	switch {
	case h.lba != lba:
		return h, fmt.Errorf("header at byte %d: it says that it is at sector %d", at, h.lba)
	case h.first < 2 || h.last < h.first || h.last >= sectors || h.first <= lba && lba <= h.last:
		return h, fmt.Errorf("header at byte %d: usable sectors %d-%d of a disk of %d", at, h.first, h.last, sectors)
	case h.entry != entryBytes || h.count == 0:
		return h, fmt.Errorf("header at byte %d: %d entries of %d bytes; Linux reads only entries of %d", at, h.count, h.entry, entryBytes)
	}
	return h, nil
}

// differ describes how the primary copy a and the backup b differ; it returns "" if they do not.
func differ(a, b tableCopy) string {
	switch {
	case a.disk != b.disk:
		return fmt.Sprintf("disk guid, %s and %s", a.disk, b.disk)
	case a.first != b.first || a.last != b.last:
		return fmt.Sprintf("usable range, sectors %d-%d and %d-%d", a.first, a.last, b.first, b.last)
	case a.count != b.count:
		return fmt.Sprintf("partitions: %d and %d slots", a.count, b.count)
	case a.arraySum != b.arraySum:
		return "partitions: " + differAt(a.raw, b.raw)
	}
	return ""
}

// differAt describes the first entry in which two arrays differ, with what each of them has there.
func differAt(a, b []byte) string {
	le := binary.LittleEndian
	place := func(e []byte) string {
		if guid(e[:16]).IsZero() {
			return "absent"
		}
		return fmt.Sprintf("at sectors %d-%d", le.Uint64(e[32:]), le.Uint64(e[40:]))
	}
	for at := 0; at < min(len(a), len(b)); at += entryBytes {
		x, y := a[at:at+entryBytes], b[at:at+entryBytes]
		if bytes.Equal(x, y) {
			continue
		}
		n := at/entryBytes + 1
		if px, py := place(x), place(y); px != py {
			return fmt.Sprintf("partition %d is %s and %s", n, px, py)
		}
		return fmt.Sprintf("partition %d has type %s, guid %s and type %s, guid %s, or another name or attributes", n, guid(x[:16]), guid(x[16:32]), guid(y[:16]), guid(y[16:32]))
	}
	return "their checksums"
}

func (c tableCopy) partitions(ss int) ([]Partition, error) {
	le := binary.LittleEndian
	var out []Partition
	for i := range int(c.count) {
		e := c.raw[i*entryBytes:][:entryBytes]
		typ := guid(e[:16])
		if typ.IsZero() {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first < c.first || last > c.last || last < first {
			return nil, fmt.Errorf("partition %d: sectors %d-%d lie outside the usable %d-%d", i+1, first, last, c.first, c.last)
		}
		units := make([]uint16, 0, nameUnits)
		for j := range nameUnits {
			u := le.Uint16(e[56+2*j:])
			if u == 0 {
				break
			}
			units = append(units, u)
		}
		out = append(out, Partition{Number: i + 1, Type: typ.String(), ID: guid(e[16:32]).String(), Name: string(utf16.Decode(units)),
			Start: int64(first) * int64(ss), Size: int64(last-first+1) * int64(ss), Attributes: le.Uint64(e[48:])})
	}
	return out, nil
}

// readAt fills b or returns an error; io.EOF with a full buffer is success.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("read at byte %d: %d of %d bytes: %w", at, n, len(b), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read at byte %d: %w", at, err)
}
