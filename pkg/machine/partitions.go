package machine

import (
	"cmp"
	"fmt"
	"slices"
)

// diffParts returns the partitions to remove and to add so that have becomes want, each sorted by number.
func diffParts(have, want []Extent) (del, add []Extent) {
	for _, h := range have {
		if !slices.Contains(want, h) {
			del = append(del, h)
		}
	}
	for _, w := range want {
		if !slices.Contains(have, w) {
			add = append(add, w)
		}
	}
	byNumber := func(a, b Extent) int { return cmp.Compare(a.Number, b.Number) }
	slices.SortFunc(del, byNumber)
	slices.SortFunc(add, byNumber)
	return del, add
}

// checkParts returns an error if the kernel cannot have these partitions on a disk of size bytes.
func checkParts(dev string, size int64, parts []Extent) error {
	sorted := slices.SortedFunc(slices.Values(parts), func(a, b Extent) int { return cmp.Compare(a.Start, b.Start) })
	seen := map[int]bool{}
	for i, p := range sorted {
		switch {
		case p.Number < 1 || p.Number > 1<<16:
			return fmt.Errorf("device %s: partition number %d is out of range", dev, p.Number)
		case seen[p.Number]:
			return fmt.Errorf("device %s: partition number %d is used twice", dev, p.Number)
		case p.Start < 0 || p.Size <= 0 || p.Start%512 != 0 || p.Size%512 != 0:
			return fmt.Errorf("device %s: partition %d: %d bytes at %d are not whole sectors", dev, p.Number, p.Size, p.Start)
		case p.Start > size || p.Size > size-p.Start:
			return fmt.Errorf("device %s: partition %d: %d bytes at %d lie outside its %d bytes", dev, p.Number, p.Size, p.Start, size)
		case i > 0 && sorted[i-1].Start+sorted[i-1].Size > p.Start:
			return fmt.Errorf("device %s: partitions %d and %d overlap", dev, sorted[i-1].Number, p.Number)
		}
		seen[p.Number] = true
	}
	return nil
}
