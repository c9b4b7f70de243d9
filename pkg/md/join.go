package md

import (
	"fmt"
	"slices"
	"time"
)

// JoinSpec is a device to be hot-added.
type JoinSpec struct {
	Size         int64     // bytes
	DevNumber    int       // the array's next free device number; 0: the first unused one from RaidDisks on
	Taken        []int     // numbers of members that joined a moment ago, of which existing may not tell yet
	DeviceUUID   UUID      // 1.x
	Time         time.Time // of the addition
	Bitmap       *Bitmap   // the array's, from ReadBitmap; needed where the array has one
	Major, Minor uint32    // 0.90
}

// Join returns the superblock that mdadm --add writes to a new device before it
// adds the device to the running array as a spare, and the writes for it. existing
// is a fresh, in-sync member of the array. The 1.x spare has event count 0, so that
// it cannot be mistaken for an old member; the kernel fills in the rest and rebuilds
// the whole device. Apply Wipe's writes first, then Join's, then HotAdd.
func Join(existing Superblock, j JoinSpec) (Superblock, []Write, error) {
	s := existing
	bad := func(format string, args ...any) (Superblock, []Write, error) {
		return Superblock{}, nil, fmt.Errorf("array %s: new member: %s", s.UUID, fmt.Sprintf(format, args...))
	}
	switch {
	case s.Features.Has(FeatureReshape):
		return bad("a reshape is under way")
	case s.Features.Has(FeatureClustered | FeaturePPL | FeatureMultiplePPLs):
		return bad("features %s are not supported on a new member: add it with mdadm --add", s.Features)
	}
	if j.Time.IsZero() {
		return bad("no time given")
	}
	if s.Features.Has(FeatureBitmap) && (j.Bitmap == nil || j.Bitmap.UUID != s.UUID) {
		return bad("the array has a bitmap and its header was not given")
	}
	off, ok := superPosition(s.Version, j.Size)
	if !ok {
		return bad("%d bytes are too few for a superblock", j.Size)
	}
	number, err := freeNumber(s, j.DevNumber, j.Taken)
	if err != nil {
		return bad("%v", err)
	}
	reserve := max(existing.SuperOffset-existing.DataOffset-existing.DataSize, 0)
	s.DevNumber, s.SuperOffset, s.UTime = number, off, j.Time.UTC()
	s.Features &^= FeatureRecoveryOffset | FeatureBadBlocks | FeatureReplacement | FeatureRecoveryBitmap
	s.RecoveryOffset, s.CorrectedReads, s.DevFlags = 0, 0, 0
	switch s.Version {
	case V090:
		s.DataSize = off
	case V10:
		s.DataSize = off - s.DataOffset - reserve
	default:
		s.DataSize = j.Size/Sector*Sector - s.DataOffset
	}
	if s.DataSize < s.Size || s.DataSize <= 0 {
		return bad("%d bytes leave %d for data, the array needs %d on each member", j.Size, max(s.DataSize, 0), s.Size)
	}
	if s.Version == V090 {
		s.Legacy = joinLegacy(s.Legacy, number, j)
		s.Roles = s.Legacy.roles()
	} else {
		if j.DeviceUUID.IsZero() || j.DeviceUUID == existing.DeviceUUID {
			return bad("device UUID %s is zero or the other member's", j.DeviceUUID)
		}
		s.DeviceUUID, s.Events = j.DeviceUUID, 0
		s.Roles = append([]Role(nil), existing.Roles...)
		for len(s.Roles) <= number {
			s.Roles = append(s.Roles, RoleSpare)
		}
		s.Roles[number] = RoleSpare
	}
	var m Bitmap
	if s.Features.Has(FeatureBitmap) {
		m = *j.Bitmap
		if err := s.fitsBitmap(m); err != nil {
			return bad("%v", err)
		}
	}
	ws, err := s.writes(m, true)
	if err != nil {
		return bad("%v", err)
	}
	return s, ws, nil
}

// fitsBitmap makes sure that a bitmap header that was read from a disk cannot
// cause a write outside the space reserved for the bitmap.
func (s Superblock) fitsBitmap(m Bitmap) error {
	n, from := m.Bytes(), s.SuperOffset+s.BitmapOffset
	limit := s.DataOffset
	switch s.Version {
	case V090:
		n, limit = 60*kib, s.SuperOffset+v0Reserved
		if m.Bytes() > n {
			return fmt.Errorf("bitmap of %d bytes, at most %d", m.Bytes(), n)
		}
	case V10:
		limit = s.SuperOffset
		if from < s.DataOffset+s.DataSize {
			return fmt.Errorf("bitmap at byte %d begins inside the data", from)
		}
	default:
		if s.BitmapOffset < Sector {
			return fmt.Errorf("bitmap at relative byte %d", s.BitmapOffset)
		}
	}
	if s.BitmapOffset%4096 != 0 {
		return fmt.Errorf("bitmap at relative byte %d, an old layout not on 4 KiB: make it again (mdadm --grow --bitmap=none, then internal)", s.BitmapOffset)
	}
	if log := s.SuperOffset + s.BadBlocks.Offset; s.BadBlocks.Size > 0 && from < log+s.BadBlocks.Size && log < from+n {
		return fmt.Errorf("bitmap of %d bytes at byte %d overlaps the bad block log at byte %d", n, from, log)
	}
	if n <= 0 || n > limit-from || n > maxBitmap {
		return fmt.Errorf("bitmap of %d bytes at byte %d does not fit before byte %d", n, from, limit)
	}
	return nil
}

func freeNumber(s Superblock, want int, taken []int) (int, error) {
	limit := maxRoles
	if s.Version == V090 {
		limit = v0Disks
	}
	if want == 0 {
		want = s.RaidDisks
		for slices.Contains(taken, want) || want < len(s.Roles) && (s.Roles[want].Active() || s.Roles[want] == RoleJournal || s.Legacy.uses(want)) {
			want++
		}
	}
	if want < 0 || want >= limit || s.roleOf(want).Active() {
		return 0, fmt.Errorf("device number %d is in use or above %d", want, limit-1)
	}
	return want, nil
}

// uses reports whether a 0.90 descriptor names a device.
func (l Legacy) uses(n int) bool {
	return n < len(l.Disks) && l.Disks[n].State&(DiskFaulty|DiskRemoved) == 0 &&
		(l.Disks[n].Major != 0 || l.Disks[n].Minor != 0)
}

func joinLegacy(l Legacy, number int, j JoinSpec) Legacy {
	disks := append([]Disk(nil), l.Disks...)
	for len(disks) <= number {
		disks = append(disks, Disk{})
	}
	disks[number] = Disk{Number: uint32(number), Major: j.Major, Minor: j.Minor, RaidDisk: int32(number)}
	l.Disks, l.This = disks, disks[number]
	l.Spares++
	l.Working++
	l.NrDisks++
	return l
}
