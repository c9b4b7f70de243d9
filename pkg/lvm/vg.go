package lvm

import "slices"

// VG is a volume group as one metadata text has it.
type VG struct {
	Name       string
	ID         ID
	Seqno      int64
	Status     []string // "RESIZEABLE", "READ", "WRITE", "EXPORTED", "CLUSTERED", ...
	SystemID   string   // the host that owns it; "" for any
	LockType   string   // "sanlock", "dlm"; "" or "none" for a local group
	ExtentSize int64
	PVs        []PV
	LVs        []LV

	text uint32 // checksum of the text, to tell two with one seqno apart; 0 where it came without one
}

// PV is a physical volume as the text of its group has it.
type PV struct {
	ID        ID
	Device    string // where it was when the text was written
	Status    []string
	Size      int64 // of the device when the text was written; 0 when the text does not say
	Start     int64 // of the first extent
	Extents   int64
	Allocated int64 // extents that a volume uses

	missing bool // it was, when the text was written
}

// LV is a logical volume, or a part of one that LVM keeps as a volume of its own.
type LV struct {
	Name     string
	ID       ID
	Status   []string // "READ", "WRITE", "VISIBLE", "NOTSYNCED", "REBUILD", ...
	Extents  int64
	Segments []Segment // in order, without gaps
}

// Visible reports whether it is a volume of its own, and not a part of one.
func (l LV) Visible() bool { return slices.Contains(l.Status, "VISIBLE") }

// Segment is a run of extents of a volume.
type Segment struct {
	Start, Extents int64
	Type           string   // "striped" (linear is one stripe), "mirror", "raid1", "raid5_ls", "thin", "cache", ...
	Flags          []string // of the type: "RESHAPE", "METADATA_FORMAT", ...

	Areas      []Part // stripes, mirror legs or RAID images
	Meta       []string
	StripeSize int64 // 0 for one stripe
	RegionSize int64
	Copies     int64  // of raid10; 0 when the text does not say
	Log        string // of a mirror; "" for one in memory
	Moved      bool   // a mirror that is a pvmove under way

	Origin  string // of a snapshot, cache, writecache, integrity layer or thin snapshot
	Store   string // what lies beside the origin: copy-on-write store, cache, pool
	Merging bool   // the snapshot is being merged into its origin
}

// Part is where a stripe, leg or image begins: at an extent of a PV, or else of another volume.
type Part struct {
	PV     ID
	LV     string // "" where it is on a PV
	Extent int64
}

// Find gives the volume of that name, nil where there is none.
func (v *VG) Find(name string) *LV {
	for i := range v.LVs {
		if v.LVs[i].Name == name {
			return &v.LVs[i]
		}
	}
	return nil
}

// MapperUUID is the uuid that device-mapper has of the volume when it is active; LVM adds a suffix to that of a part.
func (v *VG) MapperUUID(l *LV) string { return "LVM-" + v.ID.Compact() + l.ID.Compact() }
