package gpt

import (
	"fmt"
	"math"
)

// Request asks [Fit] for one partition. Size is bytes and is rounded up to whole MiB; 0 takes the rest. Number 0 takes
// the next free number.
type Request struct {
	Number     int
	Type       string // as in Partition
	Name       string
	ID         string
	Size       int64
	Attributes uint64
}

// Room is what a layout must fit.
type Room struct {
	Disks  []int64 // sizes in bytes of every disk that shall carry the layout; the smallest decides
	EndGap int64   // bytes left free at the end; 0 means 1 MiB, less than 1 MiB is raised to it
}

// Margin is the end gap for a disk whose mate is not known yet: 1 % of the disk, at least 1 MiB and at most 100 MiB.
// Disks of "the same size" differ by less.
func Margin(size int64) int64 { return roundUp(min(max(size/100, MiB), 100*MiB), MiB) }

// Fit lays requests out in their order from 1 MiB on, everything aligned to 1 MiB, so the result suits 512- and
// 4096-byte sectors alike. The end gap (>= 1 MiB) holds the backup table, keeps metadata at the end of the last
// partition from being claimed by the whole disk, and is where a slightly smaller disk may be short. The error tells
// how many bytes are missing.
func Fit(room Room, want []Request) ([]Partition, error) {
	if len(room.Disks) == 0 {
		return nil, fmt.Errorf("layout: no disk size given")
	}
	smallest := room.Disks[0]
	for _, d := range room.Disks {
		smallest = min(smallest, d)
	}
	end := (smallest - max(room.EndGap, MiB)) / MiB * MiB
	rest := -1
	fixed := int64(MiB)
	for i, w := range want {
		switch {
		case w.Size < 0 || w.Size > math.MaxInt64/8:
			return nil, fmt.Errorf("layout: partition %q: size %d", w.Name, w.Size)
		case w.Size == 0 && rest >= 0:
			return nil, fmt.Errorf("layout: partitions %q and %q both ask for the rest", want[rest].Name, w.Name)
		case w.Size == 0:
			rest = i
		case fixed > math.MaxInt64/2:
			return nil, fmt.Errorf("layout: sizes add up to more than any disk")
		}
		fixed += roundUp(w.Size, MiB)
	}
	need := fixed
	if rest >= 0 {
		need += MiB
	}
	if need > end {
		return nil, fmt.Errorf("layout: %d bytes needed and %d free on the smallest disk of %d bytes less the end gap: %d bytes missing",
			need-MiB, max(end-MiB, 0), smallest, need-end)
	}
	taken := map[int]bool{}
	for _, w := range want {
		if w.Number < 0 || w.Number > defaultEntries || w.Number != 0 && taken[w.Number] {
			return nil, fmt.Errorf("layout: partition number %d: used twice, or not in 1-%d", w.Number, defaultEntries)
		}
		taken[w.Number] = true
	}
	out := make([]Partition, 0, len(want))
	at, free := int64(MiB), 1
	for i, w := range want {
		size := roundUp(w.Size, MiB)
		if i == rest {
			size = end - fixed
		}
		if w.Number == 0 {
			for taken[free] {
				free++
			}
			taken[free] = true
			w.Number = free
		}
		out = append(out, Partition{Number: w.Number, Type: w.Type, ID: w.ID, Name: w.Name, Start: at, Size: size, Attributes: w.Attributes})
		at += size
	}
	return out, nil
}
