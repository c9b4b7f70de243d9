package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

type entry struct {
	active, typ  byte
	start, count uint32
}

func record(entries ...entry) []byte {
	b := make([]byte, 512)
	for i, e := range entries {
		p := b[446+16*i:]
		p[0], p[4] = e.active, e.typ
		binary.LittleEndian.PutUint32(p[8:], e.start)
		binary.LittleEndian.PutUint32(p[12:], e.count)
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

func TestReadDOS(t *testing.T) {
	const size = 64 * MiB // 131072 sectors
	for _, c := range []struct {
		name   string
		pieces []Write
		want   []int // numbers
		says   string
		none   bool
	}{
		{"empty disk", nil, nil, "signature 0x0000", true},
		{"one", []Write{{0, record(entry{0x80, 0x83, 2048, 4096})}}, []int{1}, "", false},
		{"second slot only", []Write{{0, record(entry{}, entry{0, 0x82, 2048, 4096})}}, []int{2}, "", false},
		{"fat boot record", []Write{{0, append(append(make([]byte, 54), "FAT16   "...), record()[62:]...)}}, nil, "boot record", true},
		{"code where entries are", []Write{{0, record(entry{0x33, 0x83, 1, 1})}}, nil, "boot indicator 0x33", true},
		{"outside", []Write{{0, record(entry{0, 0x83, 131000, 100})}}, nil, "outside the disk", false},
		{"on sector 0", []Write{{0, record(entry{0, 0x83, 0, 100})}}, nil, "outside the disk", false},
		{"overlap", []Write{{0, record(entry{0, 0x83, 2048, 4096}, entry{0, 0x83, 6143, 1})}}, nil, "partition 2 (bytes 3145216-3145727): overlaps partition 1", false},
		{"chain", []Write{{0, record(entry{0, 0x83, 2048, 2048}, entry{0, 0x0f, 4096, 20000})},
			{4096 * 512, record(entry{0, 0x83, 63, 1000}, entry{0, 0x05, 2000, 3000})},
			{6096 * 512, record(entry{0, 0x82, 1, 500})}}, []int{1, 2, 5, 6}, "", false},
		{"chain with an empty first record", []Write{{0, record(entry{0, 0x85, 4096, 20000})},
			{4096 * 512, record(entry{}, entry{0, 0x05, 2000, 3000})}, {6096 * 512, record(entry{0, 0x82, 1, 500})}}, []int{1, 5}, "", false},
		{"loop", []Write{{0, record(entry{0, 0x05, 4096, 20000})},
			{4096 * 512, record(entry{0, 0x83, 1, 5}, entry{0, 0x05, 2000, 100})}, {6096 * 512, record(entry{0, 0x83, 1, 5}, entry{0, 0x05, 0, 100})}}, nil, "loops back", false},
		{"link outside", []Write{{0, record(entry{0, 0x05, 4096, 20000})}, {4096 * 512, record(entry{0, 0x83, 1, 5}, entry{0, 0x05, 20000, 9})}}, nil, "links to byte", false},
		{"logical outside", []Write{{0, record(entry{0, 0x05, 4096, 20000})}, {4096 * 512, record(entry{0, 0x83, 1, 50000})}}, nil, "lies outside it", false},
		{"broken record", []Write{{0, record(entry{0, 0x05, 4096, 20000})}, {4096 * 512, record(entry{0, 0x83, 1, 5}, entry{0, 0x05, 2000, 9})}}, nil, "record at byte 3121152: signature", false},
		{"extended never filled", []Write{{0, record(entry{0, 0x05, 4096, 20000})}}, []int{1}, "", false},
		{"logical overlap", []Write{{0, record(entry{0, 0x05, 4096, 20000})},
			{4096 * 512, record(entry{0, 0x83, 1, 5000}, entry{0, 0x05, 2000, 100})}, {6096 * 512, record(entry{0, 0x83, 1, 5})}}, nil, "overlaps", false},
		{"primary inside the extended", []Write{{0, record(entry{0, 0x05, 4096, 20000}, entry{0, 0x83, 5000, 10})}}, nil, "overlaps", false},
		{"gpt without protective entry", []Write{{512, encode(t, sample(t, 512*MiB, 512), 512*MiB, nil).writes[3].Data}}, nil, "no partition table", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read(image{size, c.pieces}, size, 512)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrNone) != c.none {
					t.Fatalf("err = %v, wants %q, none %v", err, c.says, c.none)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Partitions) != len(c.want) {
				t.Fatalf("partitions = %+v", got.Partitions)
			}
			for i, n := range c.want {
				if p := got.Partitions[i]; p.Number != n || p.Logical != (n > 4) {
					t.Errorf("partition %+v, wants number %d", p, n)
				}
			}
		})
	}
}

// Read must stop early in a chain of records as long as the extended partition.
func TestReadDOSBoundsTheChain(t *testing.T) {
	pieces := []Write{{0, record(entry{0, 0x05, 8, 100000})}}
	for i := range int64(2000) {
		pieces = append(pieces, Write{(8 + i) * 512, record(entry{}, entry{0, 0x05, uint32(i + 1), 1})})
	}
	_, err := Read(image{64 * MiB, pieces}, 64*MiB, 512)
	if err == nil || !strings.Contains(err.Error(), "more than 251 records") {
		t.Errorf("err = %v", err)
	}
}

func TestHybridIsNoted(t *testing.T) {
	const size = 512 * MiB
	m := encode(t, sample(t, size, 512), size, nil)
	m.writes = append(m.writes, Write{446 + 16, record(entry{0x80, 0x83, 2048, 2048})[446:462]})
	got, err := Read(m, size, 512)
	if err != nil || !got.Hybrid || got.Scheme != SchemeGPT {
		t.Errorf("%+v, %v", got, err)
	}
}

// fdisk 2.34 could put a record into the partition before it. The table is still readable, but a write to that
// partition would lose every later one. Damage says so once for each record.
func TestRecordInsidePartition(t *testing.T) {
	const size = 64 * MiB
	disk := func(second uint32) image {
		return image{size, []Write{
			{0, record(entry{0, 0x05, 2048, 100000})},
			{2048 * 512, record(entry{0, 0x83, 2048, 8192}, entry{0, 0x05, second, 20000})},
			{int64(2048+second) * 512, record(entry{0, 0x83, 12000, 4096})},
		}}
	}
	for second, want := range map[uint32]string{ // sectors from the start of the extended partition
		10239: fmt.Sprintf("record at byte %d, which locates a logical partition, lies inside partition 5 (bytes %d-%d)", (2048+10239)*512, 4096*512, (4096+8192)*512-1),
		10240: "", // just behind it
		2047:  "", // just before it
	} {
		got, err := Read(disk(second), size, 512)
		if err != nil || len(got.Partitions) != 3 {
			t.Errorf("record at %d: %+v, %v", second, got, err)
		} else if all := strings.Join(got.Damage, "\n"); (want == "") != (all == "") || !strings.Contains(all, want) || len(got.Damage) > 1 {
			t.Errorf("record at %d: damage %q, want %q", second, all, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	const size = 64 * MiB
	tab := Table{Scheme: SchemeGPT, ID: guidOf(1), SectorSize: 512, Partitions: []Partition{{Number: 1, Type: guidOf(2), ID: guidOf(3), Start: MiB, Size: MiB, Name: "x"}}}
	m := encode(f, tab, size, nil)
	f.Add(m.writes[4].Data, m.writes[3].Data, m.writes[2].Data[:128], false, false)
	f.Add(m.writes[4].Data, m.writes[3].Data, m.writes[2].Data[:128], true, true)
	f.Add(record(entry{0x80, 0x83, 8, 8}, entry{0, 0x05, 2, 1000}), record(), record(entry{0, 0x83, 1, 1}, entry{0, 5, 1, 1}), false, false)
	f.Fuzz(func(t *testing.T, boot, header, array []byte, wide, fix bool) {
		ss := int64(512)
		if wide {
			ss = 4096
		}
		boot, header = boot[:min(len(boot), int(ss))], append([]byte(nil), header[:min(len(header), int(ss))]...)
		if fix && len(header) >= headerBytes {
			fixSums(header, array)
		}
		got, err := Read(image{size, []Write{{0, boot}, {ss, header}, {2 * ss, array}}}, size, int(ss))
		if err != nil {
			return
		}
		for _, p := range got.Partitions {
			if p.Start <= 0 || p.Size <= 0 || p.end() > size || p.Number < 1 {
				t.Fatalf("%+v", p)
			}
		}
		if got.Scheme == SchemeGPT && got.Damage == nil {
			t.Fatalf("one copy only, and no damage: %+v", got)
		}
	})
}

// fixSums lets the fuzzer past the checksums: 128 entries of 128 bytes, zeros after its input.
func fixSums(header, array []byte) {
	full := make([]byte, 128*128)
	copy(full, array)
	le := binary.LittleEndian
	le.PutUint32(header[12:], headerBytes)
	le.PutUint32(header[80:], 128)
	le.PutUint32(header[84:], 128)
	le.PutUint32(header[88:], checksum(full))
	le.PutUint32(header[16:], 0)
	le.PutUint32(header[16:], checksum(header[:headerBytes]))
}
