package md

import "fmt"

// Default layouts, as mdadm chooses them.
const (
	LayoutLeftSymmetric = 2     // RAID5, RAID6
	LayoutNear2         = 0x102 // RAID10: near=2, far=1
	LayoutRaid0Orig     = 1     // RAID0 on members of unequal size
)

const (
	kib          = 1 << 10
	mib          = 1 << 20
	defaultChunk = 512 * kib
	badBlockLog  = 4 * kib
)

// frame is the layout of the members, in bytes: the same on each, except for the
// position of the superblock.
type frame struct {
	dataOffset int64
	size       int64 // component
	bitmap     Bitmap
	bitmapAt   int64 // relative; 0: none
	bitmapRoom int64 // reserved for a bitmap, used or not
}

// bitmapSpace returns the bytes that mdadm reserves for a bitmap on a device of n bytes.
func bitmapSpace(n int64) int64 {
	switch {
	case n < 64*kib:
		return 0
	case n-64*kib >= 200<<30:
		return 128 * kib
	case n-4*kib > 8<<30:
		return 64 * kib
	}
	return 4 * kib
}

// dataOffsetFor returns mdadm's data offset for 1.1 and 1.2, rounded up to 1 MiB:
// space for the metadata, and about a thousandth of the device, at most 128 MiB,
// as headroom for a later reshape.
func dataOffsetFor(size, chunk int64) int64 {
	headroom := int64(128 * mib)
	for headroom<<10 > size && (chunk == 0 || headroom/2 >= chunk*2) {
		headroom >>= 1
	}
	return roundUp(12*kib+bitmapSpace(size)+headroom, mib)
}

// copies returns a RAID10 layout's near and far counts.
func copies(layout uint32) (near, far int) {
	return int(layout & 255), int(layout >> 8 & 255)
}

// syncSize returns how many bytes the bitmap covers: a component, or all of a RAID10.
func syncSize(level int, layout uint32, disks int, size, chunk int64) int64 {
	if level != 10 || chunk == 0 {
		return size
	}
	near, far := copies(layout)
	return size / chunk / int64(far) * int64(disks) / int64(near) * chunk
}

// frameFor fits the array to the smallest of the given device sizes.
func frameFor(spec Spec, sizes []int64) (frame, error) {
	var f frame
	smallest := sizes[0]
	for _, n := range sizes {
		smallest = min(smallest, n)
	}
	smallest = smallest / Sector * Sector
	space := bitmapSpace(smallest)
	switch spec.Version {
	case V090:
		off, ok := superPosition(V090, smallest)
		if !ok || spec.DataOffset != 0 {
			return f, fmt.Errorf("array %s: a 0.90 member of %d bytes with data at byte %d: needs more than 64 KiB and offset 0",
				spec.UUID, smallest, spec.DataOffset)
		}
		f.size = off
		space = 60 * kib
	case V10:
		f.dataOffset = spec.DataOffset
		f.size = smallest&^(4*kib-1) - 8*kib - badBlockLog - space - f.dataOffset
	default:
		f.dataOffset = spec.DataOffset
		if f.dataOffset == 0 {
			f.dataOffset = dataOffsetFor(smallest, spec.Chunk)
		}
		f.size = smallest - f.dataOffset
	}
	unit := int64(kib)
	if spec.Chunk > 0 {
		unit = spec.Chunk
	}
	if spec.Size > f.size {
		return f, fmt.Errorf("array %s: component of %d bytes does not fit, at most %d", spec.UUID, spec.Size, f.size)
	}
	if spec.Size > 0 {
		f.size = spec.Size
	}
	f.size = f.size / unit * unit
	if f.size <= 0 {
		return f, fmt.Errorf("array %s: smallest member of %d bytes leaves no room for data", spec.UUID, smallest)
	}
	if spec.Version == V090 {
		f.bitmapRoom = space
	} else {
		f.bitmapRoom = min(space, bitmapSpace(f.size))
	}
	if !spec.Bitmap {
		return f, nil
	}
	var err error
	f.bitmap, err = planBitmap(spec.Version, spec.UUID,
		syncSize(spec.Level, spec.Layout, spec.RaidDisks, f.size, spec.Chunk), f.bitmapRoom, firstEvents)
	if err != nil {
		return f, err
	}
	f.bitmapRoom = max(f.bitmap.Bytes(), 0)
	switch spec.Version {
	case V10:
		f.bitmapAt = -f.bitmapRoom - badBlockLog
	default:
		f.bitmapAt = superBytes
	}
	if f.dataOffset > 0 && spec.Version != V10 {
		super, _ := superPosition(spec.Version, smallest)
		if super+superBytes+f.bitmapRoom > f.dataOffset {
			return f, fmt.Errorf("array %s: data at byte %d leaves no room for a bitmap", spec.UUID, f.dataOffset)
		}
	}
	return f, nil
}

// place fills in the fields that depend on the member's own size.
func (f frame) place(s *Superblock, size int64) error {
	off, ok := superPosition(s.Version, size)
	if !ok {
		return fmt.Errorf("array %s: member of %d bytes is too small for a superblock", s.UUID, size)
	}
	s.SuperOffset, s.DataOffset, s.Size = off, f.dataOffset, f.size
	if f.bitmapAt != 0 {
		s.Features |= FeatureBitmap
		s.BitmapOffset = f.bitmapAt
	}
	switch s.Version {
	case V090:
		s.DataSize = off
	case V10:
		s.DataSize = off - f.bitmapRoom - badBlockLog - f.dataOffset
		s.BadBlocks = BadBlockLog{Offset: -badBlockLog, Size: badBlockLog}
	default:
		s.DataSize = size/Sector*Sector - f.dataOffset
		at := int64(superBytes) + f.bitmapRoom
		if f.dataOffset < off+at+badBlockLog {
			at = f.dataOffset - badBlockLog - off
		}
		if at >= superBytes && at+off+badBlockLog <= f.dataOffset && (f.bitmapAt == 0 || at >= f.bitmapAt+f.bitmapRoom) {
			s.BadBlocks = BadBlockLog{Offset: at, Size: badBlockLog}
		}
	}
	if s.Size > s.DataSize {
		return fmt.Errorf("array %s: member of %d bytes has room for %d, a component has %d", s.UUID, size, s.DataSize, s.Size)
	}
	return nil
}
