package lvm

import (
	"fmt"
	"slices"
	"strings"
)

// Array is a RAID or mirror of volumes. LVM can start it (with the command Start), or dm-raid with these values: each
// image is a table, and the first sectors of the metadata volumes say which images are in sync. Sizes are bytes.
type Array struct {
	Type       string // LVM's: "raid1", "raid4", "raid5_ls", "raid6_zr", "raid10", "raid0", "mirror", ...
	Length     int64
	StripeSize int64
	RegionSize int64
	Copies     int64 // of raid10
	Images     []Image
	Missing    int    // number of images that are missing
	Start      string // the command that activates it in its present state
}

// Image is a member of an array. Exactly one of Data and Why is set.
type Image struct {
	Name    string
	Meta    []Piece // empty without a metadata volume
	Data    []Piece
	Why     *Refusal // why the image cannot be read: it is missing, or has a layer of its own (integrity)
	Rebuild bool     // LVM was rebuilding it: its contents are incomplete
}

// array reports whether a segment is a RAID or mirror that can be started, and is not being reshaped or moved.
func (s Segment) array() bool {
	return (s.Type == "mirror" || raidLevel(s.Type) >= 0) && !s.Moved && !slices.ContainsFunc(s.Flags, func(f string) bool {
		return strings.HasPrefix(f, "RESHAPE") || f == "REMOVE_AFTER_RESHAPE"
	})
}

// raidLevel returns the number in the name of a type, or -1 for a type that this program does not know.
func raidLevel(typ string) int {
	switch name, _, _ := strings.Cut(typ, "_"); name {
	case "raid0":
		return 0
	case "raid1":
		return 1
	case "raid4":
		return 4
	case "raid5":
		return 5
	case "raid6":
		return 6
	case "raid10":
		return 10
	}
	return -1
}

func (w view) array(l *LV, seg Segment) Reading {
	a := &Array{Type: seg.Type, Length: seg.Extents * w.ExtentSize, StripeSize: seg.StripeSize, RegionSize: seg.RegionSize,
		Copies: seg.Copies, Start: w.activate(l)}
	gone := make([]bool, len(seg.Areas))
	for i, part := range seg.Areas {
		im := w.image(l, seg, part)
		if i < len(seg.Meta) {
			r := w.read(w.lvs[seg.Meta[i]])
			if im.Meta = r.Table; r.Refused != nil && im.Why == nil {
				im.Data, im.Why = nil, r.Refused
			}
		}
		if im.Why != nil && !w.layered(part.LV) {
			gone[i] = true
			a.Missing++
		}
		a.Images = append(a.Images, im)
	}
	if seg.Log != "" && a.Missing == 0 {
		if r := w.read(w.lvs[seg.Log]); r.Refused != nil {
			return w.refuse(l.Name, "the log of the mirror cannot be read: "+r.Refused.Detail, "lvconvert --repair "+w.Name+"/"+l.Name)
		}
	}
	if a.Missing == 0 {
		return Reading{Array: a}
	}
	if !enough(seg, gone) {
		return w.refuse(l.Name, fmt.Sprintf("%d of the %d images of its %s are missing: too few are left", a.Missing, len(gone), seg.Type),
			fmt.Sprintf("connect the missing devices; lvs -a -o +devices %s shows them", w.Name))
	}
	a.Start = "lvchange -ay --activationmode degraded " + w.Name + "/" + l.Name
	return Reading{Array: a}
}

func (w view) image(l *LV, seg Segment, part Part) Image {
	if part.LV == "" {
		im := Image{Name: part.PV.String()}
		leg, bad := w.leg(l, part, seg.Extents*w.ExtentSize)
		if im.Why = bad; bad == nil {
			im.Data = []Piece{{Length: seg.Extents * w.ExtentSize, Legs: []Leg{leg}}}
		}
		return im
	}
	below := w.lvs[part.LV]
	im := Image{Name: part.LV, Rebuild: slices.Contains(below.Status, "REBUILD")}
	r := w.read(below)
	if im.Data, im.Why = r.Table, r.Refused; r.Array != nil {
		im.Why = w.refuse(below.Name, "it is itself a "+r.Array.Type, w.activate(l)).Refused
	}
	return im
}

// layered reports whether a part is refused because of a layer over its extents, which may themselves all be present.
func (w view) layered(name string) bool {
	l := w.lvs[name]
	return l != nil && slices.ContainsFunc(l.Segments, func(s Segment) bool { return !s.linear() && s.Type != "error" })
}

// enough reports whether an array can run without the images that are gone, as LVM's raid_is_available does. A mirror
// needs all of them.
func enough(seg Segment, gone []bool) bool {
	n := 0
	for _, g := range gone {
		if g {
			n++
		}
	}
	switch raidLevel(seg.Type) {
	case 1:
		return n < len(gone)
	case 4, 5:
		return n <= 1
	case 6:
		return n <= 2
	case 10:
		return enough10(gone)
	}
	return n == 0
}

// enough10 checks each pair of neighbours that hold the same data; with an odd number of images the pairs wrap around.
func enough10(gone []bool) bool {
	const copies = 2
	lost := 0
	for i := range len(gone) * copies {
		if i%copies == 0 {
			lost = 0
		}
		if gone[i%len(gone)] {
			lost++
		}
		if lost == copies {
			return false
		}
	}
	return true
}
