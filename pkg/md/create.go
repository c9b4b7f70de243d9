package md

import (
	"fmt"
	"strings"
	"time"
)

// firstEvents is the event count of a new array. mdadm writes 0 and lets the
// kernel count from there; 1 marks a superblock that has been written. The bitmap
// has the same count: if it is behind, the kernel forces a full recovery, as it
// does with the 0.90 arrays of mdadm 4.2 (bitmap 0, superblock 1).
const firstEvents = 1

// MemberSpec is one device of an array to be created.
type MemberSpec struct {
	Size         int64 // bytes; also used for a missing member, so that it fits when it is added
	Missing      bool
	DeviceUUID   UUID   // 1.x
	Major, Minor uint32 // 0.90 records them; 0 is allowed
}

// Spec describes the array to create. The zero value of Chunk, Layout and
// DataOffset selects mdadm's default (RAID5 and 6: left-symmetric; RAID10: near=2).
type Spec struct {
	Version        Version
	UUID           UUID
	Name           string // 1.x, "host:name"
	Level          int    // 0, 1, 4, 5, 6 or 10
	RaidDisks      int
	Chunk          int64 // bytes, a power of two
	Layout         uint32
	Members        []MemberSpec // slot by slot; those beyond RaidDisks are spares
	Size           int64        // bytes per component; 0: as much as fits on the smallest member
	DataOffset     int64        // bytes
	Bitmap         bool
	AssumeClean    bool // no resync: the caller knows that the members agree
	CTime          time.Time
	PreferredMinor uint32 // 0.90
}

// MemberImage is what to write on one member to make it part of the array.
type MemberImage struct {
	Index  int // into Spec.Members
	Super  Superblock
	Writes []Write // bitmap first, superblock last
}

// New returns the writes that create the array, for each present member. They do
// not remove older superblocks: apply Wipe's writes first. New returns an error
// that names the array if md would not accept the Spec.
//
// The array is clean, with no resync due, if there is nothing to synchronize:
// AssumeClean, RAID0, RAID1 with one member, RAID4 and 5 with one missing, RAID6
// with two missing, RAID10 with one copy of everything. Otherwise the resync
// starts at 0 and every bit of the bitmap is set. RAID6 with one member missing is
// refused without AssumeClean, because the kernel does not start it dirty and
// degraded. New records the position of the bad block log but does not write the
// log, like mdadm: the kernel reads it only once FeatureBadBlocks is set.
func New(spec Spec) ([]MemberImage, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	sizes := make([]int64, 0, len(spec.Members))
	for _, m := range spec.Members {
		if m.Size > 0 {
			sizes = append(sizes, m.Size)
		}
	}
	f, err := frameFor(spec, sizes)
	if err != nil {
		return nil, err
	}
	resync, err := spec.firstResync()
	if err != nil {
		return nil, err
	}
	base := Superblock{
		Version: spec.Version, UUID: spec.UUID, Name: spec.Name, Level: spec.Level, Layout: spec.Layout,
		ChunkSize: spec.Chunk, RaidDisks: spec.RaidDisks, Events: firstEvents, ResyncOffset: resync,
		CTime: spec.CTime.UTC(), UTime: spec.CTime.UTC(),
	}
	if spec.Version == V090 {
		base.Legacy = spec.legacy()
		base.Roles = base.Legacy.roles()
	} else {
		base.Roles = spec.roles()
		if spec.Level == 0 {
			base.Features |= FeatureRaid0Layout
		}
	}
	var out []MemberImage
	for i, m := range spec.Members {
		if m.Missing {
			continue
		}
		s := base
		s.DevNumber = i
		if spec.Version == V090 {
			s.Legacy.This = s.Legacy.Disks[i]
		} else {
			s.DeviceUUID = m.DeviceUUID
		}
		if err := f.place(&s, m.Size); err != nil {
			return nil, fmt.Errorf("member %d: %w", i, err)
		}
		ws, err := s.writes(f.bitmap, resync != MaxSector)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i, err)
		}
		out = append(out, MemberImage{Index: i, Super: s, Writes: ws})
	}
	return out, nil
}

// writes puts the superblock last: until it is written, the device is not a member.
func (s Superblock) writes(m Bitmap, dirty bool) ([]Write, error) {
	b, err := s.Marshal()
	if err != nil {
		return nil, err
	}
	var out []Write
	if s.Features.Has(FeatureBitmap) && m.ChunkSize > 0 {
		length := m.Bytes()
		if s.Version == V090 {
			length = 60 * kib
		}
		out = append(out, Write{Offset: s.SuperOffset + s.BitmapOffset, Data: m.Marshal(dirty, length)})
	}
	return append(out, Write{Offset: s.SuperOffset, Data: b}), nil
}

// complete fills in defaults and refuses what md would not accept.
func (p *Spec) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("array %s: %s", p.UUID, fmt.Sprintf(format, args...))
	}
	if _, _, err := p.Version.numbers(); err != nil {
		return bad("%v", err)
	}
	limit := maxRoles
	if p.Version == V090 {
		limit = v0Disks
	}
	minDisks, ok := map[int]int{0: 1, 1: 1, 4: 2, 5: 2, 6: 4, 10: 2}[p.Level]
	switch {
	case !ok:
		return bad("level %d cannot be created", p.Level)
	case p.UUID.IsZero():
		return bad("no UUID")
	case p.CTime.IsZero():
		return bad("no creation time")
	case p.RaidDisks < minDisks:
		return bad("%d raid disks, %s needs %d", p.RaidDisks, levelName(p.Level), minDisks)
	case len(p.Members) < p.RaidDisks || len(p.Members) > limit:
		return bad("%d members for %d raid disks, at most %d", len(p.Members), p.RaidDisks, limit)
	case len(p.Name) > 32 || strings.ContainsAny(p.Name, "\x00\n"):
		return bad("name %q: at most 32 bytes on one line", p.Name)
	case p.Bitmap && p.Level == 0:
		return bad("raid0 has no bitmap")
	case p.Chunk < 0 || p.Chunk&(p.Chunk-1) != 0 || p.Chunk > 0 && p.Chunk < 4*kib:
		return bad("chunk of %d bytes: not a power of two of at least 4 KiB", p.Chunk)
	case p.DataOffset < 0 || p.DataOffset%(4*kib) != 0 || p.Size < 0:
		return bad("data offset %d, size %d: not whole 4 KiB", p.DataOffset, p.Size)
	}
	if p.Version != V090 && p.Version != V10 && p.DataOffset > 0 {
		if super, _ := superPosition(p.Version, 1<<30); p.DataOffset < super+superBytes {
			return bad("data offset %d is inside the superblock", p.DataOffset)
		}
	}
	present := make([]bool, p.RaidDisks)
	seen := map[UUID]bool{}
	for i, m := range p.Members {
		if m.Missing {
			continue
		}
		if m.Size < 24*Sector {
			return bad("member %d has %d bytes", i, m.Size)
		}
		if p.Version != V090 && (m.DeviceUUID.IsZero() || seen[m.DeviceUUID]) {
			return bad("member %d: device UUID %s is zero or used twice", i, m.DeviceUUID)
		}
		seen[m.DeviceUUID] = true
		if i < p.RaidDisks {
			present[i] = true
		}
	}
	if p.Level == 1 {
		p.Chunk, p.Layout = 0, 0
	} else if p.Chunk == 0 {
		p.Chunk = defaultChunk
	}
	if p.Layout == 0 {
		p.Layout = map[int]uint32{5: LayoutLeftSymmetric, 6: LayoutLeftSymmetric, 10: LayoutNear2}[p.Level]
		if p.Level == 0 && p.Version != V090 {
			p.Layout = LayoutRaid0Orig
		}
	}
	if ok, err := enough(p.Level, p.Layout, present); err != nil || !ok {
		return bad("too many members missing for %s: %s (%v)", levelName(p.Level), picture(present), err)
	}
	return nil
}

func (p Spec) firstResync() (uint64, error) {
	missing := 0
	present := make([]bool, p.RaidDisks)
	for i := range present {
		present[i] = !p.Members[i].Missing
		if !present[i] {
			missing++
		}
	}
	clean := p.AssumeClean
	switch p.Level {
	case 0:
		clean = true
	case 1:
		clean = clean || missing == p.RaidDisks-1
	case 4, 5:
		clean = clean || missing == 1
	case 6:
		if missing == 1 && !clean {
			return 0, fmt.Errorf("array %s: raid6 with one member missing would be dirty and degraded, which the kernel refuses to start: leave two out, or assume clean", p.UUID)
		}
		clean = clean || missing == 2
	case 10:
		sets, err := mirrorSets(p.Layout, p.RaidDisks)
		if err != nil {
			return 0, err
		}
		single := true
		for _, s := range sets {
			single = single && countIn(s, present) == 1
		}
		clean = clean || single
	}
	if clean {
		return MaxSector, nil
	}
	return 0, nil
}

// roles returns the 1.x role table with mdadm's length: it fills a whole sector.
func (p Spec) roles() []Role {
	n := (roundUp(int64(v1Fixed+2*len(p.Members)), Sector) - v1Fixed) / 2
	out := make([]Role, min(n, maxRoles))
	for i := range out {
		out[i] = RoleSpare
		if i < p.RaidDisks {
			out[i] = Role(i)
			if p.Members[i].Missing {
				out[i] = RoleFaulty
			}
		}
	}
	return out
}

// legacy returns the 0.90 descriptors; it describes a missing member as the kernel
// does.
func (p Spec) legacy() Legacy {
	l := Legacy{PreferredMinor: p.PreferredMinor}
	for i, m := range p.Members {
		d := Disk{Number: uint32(i), RaidDisk: int32(i), Major: m.Major, Minor: m.Minor}
		switch {
		case m.Missing && i < p.RaidDisks:
			d.Major, d.Minor = 0, 0
			d.State = DiskFaulty | DiskRemoved
			l.Failed++
		case m.Missing:
			d = Disk{}
		case i < p.RaidDisks:
			d.State = DiskActive | DiskSync
			l.Active++
			l.Working++
			l.NrDisks++
		default:
			l.Spares++
			l.Working++
			l.NrDisks++
		}
		l.Disks = append(l.Disks, d)
	}
	return l
}

// picture draws slots as /proc/mdstat does: [UU_].
func picture(present []bool) string {
	b := make([]byte, len(present))
	for i, p := range present {
		b[i] = '_'
		if p {
			b[i] = 'U'
		}
	}
	return "[" + string(b) + "]"
}
