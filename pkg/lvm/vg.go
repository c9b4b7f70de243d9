package lvm

import "slices"

// VG is a volume group according to one metadata text.
type VG struct {
	Name       string
	ID         ID
	Seqno      int64
	Status     []string // "RESIZEABLE", "READ", "WRITE", "EXPORTED", "CLUSTERED", ...
	SystemID   string   // the host that owns it; "" for any
	LockType   string   // "sanlock", "dlm"; "" or "none" for a local group
	ExtentSize int64    // bytes
	PVs        []PV
	LVs        []LV

	text uint32 // checksum of the text, which distinguishes two texts with one seqno; 0 if it came without one
}

// PV is a physical volume according to the text of its group.
type PV struct {
	ID        ID
	Device    string // its device name when the text was written
	Status    []string
	Size      int64 // of the device in bytes when the text was written; 0 if the text does not say
	Start     int64 // of the first extent, in bytes
	Extents   int64
	Allocated int64 // extents in use by volumes

	missing bool // it was missing when the text was written
}

// LV is a logical volume, or a part of one that LVM stores as a volume.
type LV struct {
	Name     string
	ID       ID
	Status   []string // "READ", "WRITE", "VISIBLE", "NOTSYNCED", "REBUILD", ...
	Extents  int64
	Segments []Segment // in order, without gaps
}

// Visible reports whether it is a volume by itself, and not a part of one.
func (l LV) Visible() bool { return slices.Contains(l.Status, "VISIBLE") }

// Segment is a run of extents of a volume. Sizes are bytes.
type Segment struct {
	Start, Extents int64    // in extents
	Type           string   // "striped" (linear is one stripe), "mirror", "raid1", "raid5_ls", "thin", "cache", ...
	Flags          []string // of the type: "RESHAPE", "METADATA_FORMAT", ...

	Areas      []Part // stripes, mirror legs or RAID images
	Meta       []string
	StripeSize int64 // 0 for one stripe
	RegionSize int64
	Copies     int64  // of raid10; 0 if the text does not say
	Log        string // of a mirror; "" for a log in memory
	Moved      bool   // a mirror that is a pvmove in progress

	Origin  string // of a snapshot, cache, writecache, integrity layer or thin snapshot
	Store   string // the volume besides the origin: copy-on-write store, cache, pool
	Merging bool   // the snapshot is being merged into its origin
}

// Part is where a stripe, leg or image begins: at an extent of a PV or of another volume.
type Part struct {
	PV     ID
	LV     string // "" if it is on a PV
	Extent int64
}

// Find returns the volume with that name, or nil.
func (v *VG) Find(name string) *LV {
	for i := range v.LVs {
		if v.LVs[i].Name == name {
			return &v.LVs[i]
		}
	}
	return nil
}

// MapperUUID returns the device-mapper UUID of the volume while it is active; LVM adds a suffix to that of a part.
func (v *VG) MapperUUID(l *LV) string { return "LVM-" + v.ID.Compact() + l.ID.Compact() }
