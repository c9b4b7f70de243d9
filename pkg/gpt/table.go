package gpt

import (
	"errors"
	"fmt"
	"sort"
)

// The values of [Table.Scheme].
const (
	SchemeGPT = "gpt"
	SchemeDOS = "dos"
)

// MiB is the alignment of partitions, in bytes.
const MiB = 1 << 20

const (
	defaultEntries = 128
	maxEntries     = 4096
	entryBytes     = 128
	headerBytes    = 92
	nameUnits      = 36
)

// ErrNone means that there is no partition table; the wrapping error says what is there instead.
var ErrNone = errors.New("no partition table")

// Table is a partition table of either scheme.
type Table struct {
	Scheme      string // SchemeGPT or SchemeDOS
	ID          string // disk GUID in lower case, or the DOS disk id as 8 hex digits
	SectorSize  int    // logical, in bytes
	FirstUsable int64  // first byte that a partition may use
	LastUsable  int64  // last byte that a partition may use (inclusive)
	Entries     int    // slots of the GPT entry array; 0 means 128; always 0 for DOS
	Partitions  []Partition

	Damage []string // faults that Read could work around; nil for an intact table
	Backup bool     // this is the backup, as the primary is damaged: neither kernel nor boot loader uses it unasked
	Hybrid bool     // a GPT whose sector 0 has other entries besides the protective one
}

// Partition is one entry in use. Start and Size are bytes.
type Partition struct {
	Number     int    // as the kernel numbers it; logical ones start at 5
	Type       string // GUID in lower case, or "0x83"
	ID         string // the kernel's PARTUUID: a GUID, or "DISKID-NN" with NN in hex
	Name       string // GPT only
	Start      int64
	Size       int64
	Attributes uint64 // GPT attribute bits; for DOS the boot indicator (0x80 is active)
	Logical    bool   // DOS: inside the extended partition
}

// Extended reports whether p is a DOS extended partition, which contains logical partitions and no data of its own.
func (p Partition) Extended() bool { return isExtended(p.Type) }

// end returns the first byte after the partition.
func (p Partition) end() int64 { return p.Start + p.Size }

// overlap returns an error that names the first two partitions that share a byte. A logical partition may lie in its
// extended partition.
func overlap(parts []Partition) error {
	byStart := append([]Partition(nil), parts...)
	sort.SliceStable(byStart, func(i, j int) bool { return byStart[i].Start < byStart[j].Start })
	var last [2]Partition // the primary and the logical partition that reach furthest so far
	for _, p := range byStart {
		for i, q := range last {
			contained := p.Logical && q.Extended() || i == 1 && p.Extended()
			if q.Number != 0 && !contained && p.Start < q.end() {
				return fmt.Errorf("partition %d (bytes %d-%d): overlaps partition %d (bytes %d-%d)",
					p.Number, p.Start, p.end()-1, q.Number, q.Start, q.end()-1)
			}
		}
		level := 0
		if p.Logical {
			level = 1
		}
		if last[level].Number == 0 || p.end() > last[level].end() {
			last[level] = p
		}
	}
	return nil
}

func (t Table) slots() int {
	if t.Entries == 0 {
		return defaultEntries
	}
	return t.Entries
}

// arraySectors returns how many sectors one copy of the entry array takes.
func arraySectors(entries, sectorSize int) int64 {
	return roundUp(int64(entries)*entryBytes, int64(sectorSize)) / int64(sectorSize)
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

func checkSector(n int) error {
	switch n {
	case 512, 1024, 2048, 4096:
		return nil
	}
	return fmt.Errorf("sector size %d: not 512, 1024, 2048 or 4096", n)
}
