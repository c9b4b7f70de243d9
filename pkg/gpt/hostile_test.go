package gpt

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
)

// Headers with valid checksums and false fields. Both copies say the same, so that neither can replace the other.
func TestHostileHeaders(t *testing.T) {
	const size = 512 * MiB
	le := binary.LittleEndian
	good := encode(t, sample(t, size, 512), size, nil)
	for _, c := range []struct {
		name   string
		change func(header, array []byte)
		says   string
	}{
		{"count 2^32-1", func(h, _ []byte) { le.PutUint32(h[80:], math.MaxUint32) }, "4294967295 slots is too large"},
		{"count 4097", func(h, _ []byte) { le.PutUint32(h[80:], 4097) }, "too large"},
		{"count 0", func(h, _ []byte) { le.PutUint32(h[80:], 0) }, "0 entries of 128"},
		{"entry size 256", func(h, _ []byte) { le.PutUint32(h[84:], 256) }, "128 entries of 256"},
		{"entry size 0", func(h, _ []byte) { le.PutUint32(h[84:], 0) }, "128 entries of 0"},
		{"entry size 2^31", func(h, _ []byte) { le.PutUint32(h[84:], 1<<31) }, "entries of 2147483648"},
		{"array at the end of the address space", func(h, _ []byte) { le.PutUint64(h[72:], math.MaxUint64) }, "invalid position"},
		{"array over the partitions", func(h, _ []byte) { le.PutUint64(h[72:], 5000) }, "invalid position"},
		{"array over sector 0", func(h, _ []byte) { le.PutUint64(h[72:], 0) }, "invalid position"},
		{"usable range beyond the disk", func(h, _ []byte) { le.PutUint64(h[48:], math.MaxUint64) }, "usable sectors"},
		{"usable range over the header", func(h, _ []byte) { le.PutUint64(h[40:], 0) }, "usable sectors"},
		{"usable range backwards", func(h, _ []byte) { le.PutUint64(h[40:], 900000); le.PutUint64(h[48:], 800000) }, "usable sectors"},
		{"header of 4 GiB", func(h, _ []byte) { le.PutUint32(h[12:], math.MaxUint32) }, "size 4294967295"},
		{"partition backwards", func(_, a []byte) { le.PutUint64(a[40:], 2047) }, "sectors 2048-2047"},
		{"partition to the end of the address space", func(_, a []byte) { le.PutUint64(a[40:], math.MaxUint64) }, "outside the usable"},
		{"partition over the table", func(_, a []byte) { le.PutUint64(a[32:], 2) }, "outside the usable"},
		{"overlap by one sector", func(_, a []byte) { le.PutUint64(a[40:], le.Uint64(a[128+32:])) }, "overlaps"},
		{"one inside another", func(_, a []byte) { le.PutUint64(a[40:], le.Uint64(a[128+40:])) }, "overlaps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := image{size, nil}
			for _, pair := range [][2]int{{0, 1}, {2, 3}} { // backup, primary
				array, header := bytes.Clone(good.writes[pair[0]].Data), bytes.Clone(good.writes[pair[1]].Data)
				c.change(header, array)
				le.PutUint32(header[88:], checksum(array))
				n := min(le.Uint32(header[12:]), 512)
				le.PutUint32(header[16:], 0)
				le.PutUint32(header[16:], checksum(header[:n]))
				bad.writes = append(bad.writes, Write{good.writes[pair[0]].Offset, array}, Write{good.writes[pair[1]].Offset, header})
			}
			bad.writes = append(bad.writes, good.writes[4])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read(bad, size, 512)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, wants %q", err, c.says)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 4*MiB {
				t.Errorf("%d bytes allocated", got)
			}
		})
	}
}

// The backup header where the primary says, on a disk that grew, and one that belongs to an older table.
func TestAlternateHeader(t *testing.T) {
	const size, grown = 512 * MiB, 768 * MiB
	old := encode(t, sample(t, size, 512), size, nil)
	next := sample(t, grown, 512)
	next.ID = guidOf(1000)
	now := encode(t, next, grown, nil)
	primary := func(change func([]byte)) Write {
		h := bytes.Clone(now.writes[3].Data)
		change(h)
		binary.LittleEndian.PutUint32(h[16:], 0)
		binary.LittleEndian.PutUint32(h[16:], checksum(h[:headerBytes]))
		return Write{512, h}
	}
	for _, c := range []struct {
		name   string
		writes []Write
		says   string
	}{
		{"as it should be", now.writes, ""},
		{"alternate beyond the disk", append(now.writes[:4:4], primary(func(h []byte) { binary.LittleEndian.PutUint64(h[32:], math.MaxUint64) }), now.writes[4]), ""},
		{"alternate is the primary", append(now.writes[:4:4], primary(func(h []byte) { binary.LittleEndian.PutUint64(h[32:], 1) }), now.writes[4]), "lies at byte 512"},
		{"backup of an older table where the primary points", append(append(append([]Write(nil), old.writes[:2]...), now.writes[2:4]...),
			primary(func(h []byte) { binary.LittleEndian.PutUint64(h[32:], size/512-1) }), now.writes[4]), "differ in disk guid"},
		{"no backup", now.writes[2:], "backup: header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(image{grown, c.writes}, grown, 512)
			if err != nil || got.ID != next.ID {
				t.Fatalf("%+v, %v", got, err)
			}
			if all := strings.Join(got.Damage, "; "); (c.says == "") != (all == "") || !strings.Contains(all, c.says) {
				t.Errorf("damage = %q, wants %q", all, c.says)
			}
		})
	}
}

// Damage reports both values of a difference: only the operator knows which of them is right.
func TestDifferingCopiesAreNamed(t *testing.T) {
	const size = 512 * MiB
	was := sample(t, size, 512)
	old := encode(t, was, size, nil)
	change := func(f func(*Table)) Table {
		c := sample(t, size, 512)
		f(&c)
		return c
	}
	for name, c := range map[string]struct {
		next Table
		says []string
	}{
		"guid":         {change(func(t *Table) { t.ID = guidOf(1000) }), []string{guidOf(1000), was.ID}},
		"usable range": {change(func(t *Table) { t.LastUsable = size - 64*512 - 1 }), []string{"34-1048511", "34-1048542"}},
		"slots":        {change(func(t *Table) { t.Entries = 256 }), []string{"usable range", "66-", "34-"}},
		"resized":      {change(func(t *Table) { t.Partitions[0].Size -= 512 }), []string{"partition 1 is", "2048-", " and at sectors 2048-"}},
		"removed":      {change(func(t *Table) { t.Partitions = t.Partitions[1:] }), []string{"partition 1 is absent and at sectors 2048-"}},
		"renamed":      {change(func(t *Table) { t.Partitions[0].Name += "x" }), []string{"partition 1 has type", "name"}},
	} {
		now := encode(t, c.next, size, nil)
		got, err := Read(image{size, append(append([]Write(nil), now.writes...), old.writes[:2]...)}, size, 512)
		if err != nil || len(got.Damage) != 1 || !strings.Contains(got.Damage[0], "primary and backup differ in ") {
			t.Errorf("%s: %q, %v", name, got.Damage, err)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(got.Damage[0], w) {
				t.Errorf("%s: %q does not say %q", name, got.Damage[0], w)
			}
		}
	}
}

// As in block/partitions/efi.c, a protective entry counts in any of the four slots, whatever its size or boot
// indicators.
func TestProtectiveVariants(t *testing.T) {
	const size = 512 * MiB
	m := encode(t, sample(t, size, 512), size, nil)
	for _, c := range []struct {
		name string
		boot []byte
		gpt  bool
	}{
		{"size of all ones", record(entry{0, 0xee, 1, math.MaxUint32}), true},
		{"size of a smaller disk", record(entry{0, 0xee, 1, 1000}), true},
		{"active", record(entry{0x80, 0xee, 1, 1000}), true},
		{"last entry", record(entry{}, entry{}, entry{}, entry{0, 0xee, 1, 1000}), true},
		{"hybrid, protective second", record(entry{0x80, 0x83, 2048, 2048}, entry{0, 0xee, 1, 2047}), true},
		{"odd boot indicator", record(entry{0x33, 0xee, 1, 1000}), true},
		{"starts elsewhere", record(entry{0, 0xee, 2, 1000}), false},
		{"no signature", append(record(entry{0, 0xee, 1, 1000})[:510], 0, 0), false},
	} {
		got, err := Read(image{size, append(m.writes[:4:4], Write{0, c.boot})}, size, 512)
		if (err == nil && got.Scheme == SchemeGPT) != c.gpt {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A table for sectors of 512 bytes has its header inside the first sector of 4096.
func TestEncodeLeavesNothingOfTheOldSector(t *testing.T) {
	old := bytes.Repeat([]byte{0x90}, 4096)
	copy(old[512:], "EFI PART")
	boot := encode(t, sample(t, 512*MiB, 4096), 512*MiB, old).writes[4].Data
	if !bytes.Equal(boot[:440], old[:440]) || !bytes.Equal(boot[512:], make([]byte, 4096-512)) {
		t.Errorf("boot sector: % x", boot[500:560])
	}
}
