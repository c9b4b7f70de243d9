package gpt

import (
	"encoding/binary"
	"sort"
)

// Extent is a partition as the kernel has it now (/sys/class/block/*/partition, start, size), in bytes.
type Extent struct {
	Number      int
	Start, Size int64
}

// Op is the operation code of BLKPG (include/uapi/linux/blkpg.h).
type Op int32

// The operations the kernel knows.
const (
	Add    Op = 1
	Delete Op = 2
	Resize Op = 3
)

func (o Op) String() string {
	switch o {
	case Add:
		return "add"
	case Delete:
		return "delete"
	case Resize:
		return "resize"
	}
	return "unknown"
}

// BLKPG is the ioctl's number. Its argument is struct blkpg_ioctl_arg {int op; int flags; int datalen; void *data},
// where op is [Change.Op] and data points to [Change.Payload].
const BLKPG = 0x1269

// Change is one step that brings the kernel's view of a disk to a table's. Start and Size are bytes.
type Change struct {
	Op          Op
	Number      int
	Start, Size int64
}

// Payload is struct blkpg_partition in the machine's byte order: start, length, number, two unused names, padding.
func (c Change) Payload() []byte {
	b := make([]byte, 152)
	binary.NativeEndian.PutUint64(b[0:], uint64(c.Start))
	binary.NativeEndian.PutUint64(b[8:], uint64(c.Size))
	binary.NativeEndian.PutUint32(b[16:], uint32(c.Number))
	return b
}

// Diff gives the changes from what the kernel has to what the table wants, in an order the kernel accepts: deletions,
// then shrinking, then growing, then additions. A partition that starts elsewhere is deleted and added: what was there
// is gone, and the kernel refuses while it is in use.
func Diff(kernel []Extent, want []Partition) []Change {
	have := map[int]Extent{}
	for _, e := range kernel {
		have[e.Number] = e
	}
	wanted := map[int]bool{}
	var out []Change
	for _, p := range want {
		size := p.Size
		e, ok := have[p.Number]
		if p.Extended() {
			// Linux shows only the container's first KiB, or its first sector where that is larger.
			size = min(size, 1024)
			if ok && e.Size == min(p.Size, 4096) {
				size = e.Size
			}
		}
		switch {
		case ok && e.Start == p.Start && e.Size == size:
			wanted[p.Number] = true
		case ok && e.Start == p.Start && !p.Extended():
			wanted[p.Number] = true
			out = append(out, Change{Resize, p.Number, p.Start, size})
		default:
			out = append(out, Change{Add, p.Number, p.Start, size})
		}
	}
	for _, e := range kernel {
		if !wanted[e.Number] {
			out = append(out, Change{Delete, e.Number, e.Start, e.Size})
		}
	}
	rank := func(c Change) int {
		switch {
		case c.Op == Delete:
			return 0
		case c.Op == Resize && c.Size < have[c.Number].Size:
			return 1
		case c.Op == Resize:
			return 2
		}
		return 3
	}
	sort.SliceStable(out, func(i, j int) bool {
		if a, b := rank(out[i]), rank(out[j]); a != b {
			return a < b
		}
		return out[i].Number < out[j].Number
	})
	return out
}
