package lvm

import (
	"fmt"
	"slices"
)

// Reading says how a logical volume can be read. Exactly one of Table, Array and Refused is set.
type Reading struct {
	Table   []Piece  // byte ranges of PVs: a device-mapper table of linear and striped targets
	Array   *Array   // a RAID or mirror, which LVM or dm-raid has to start
	Refused *Refusal // why neither is possible
}

// Piece is a range of a volume, linear with one leg, otherwise striped over several.
type Piece struct {
	Offset, Length int64 // bytes, in the volume
	StripeSize     int64 // bytes; 0 with one leg
	Legs           []Leg
}

// Leg is where a piece, or one of its stripes, begins. Each of n legs has Length/n bytes.
type Leg struct {
	PV     ID
	Offset int64 // bytes from the start of the PV's device
}

// Refusal says why something cannot be used, and what to do. Fix is a command if one helps, otherwise a sentence.
type Refusal struct {
	Subject, Detail, Fix string
}

func (r *Refusal) Error() string {
	s := r.Subject + ": " + r.Detail
	if r.Fix != "" {
		s += " (" + r.Fix + ")"
	}
	return s
}

// view is a group on a machine: the PVs that are present, with the sizes of their devices.
type view struct {
	*VG
	sizes map[ID]int64
	pvs   map[ID]*PV
	lvs   map[string]*LV
	used  map[string]string  // name of a part -> the volume that it is part of
	known map[string]Reading // volumes that were already read, by name
}

// Read says how a volume can be read if the PVs in sizes are present, each with the size of its device in bytes. A PV
// that LVM considers missing must not be among them ([Group.Present] leaves it out).
func (v *VG) Read(name string, sizes map[ID]int64) Reading {
	w := view{v, sizes, map[ID]*PV{}, map[string]*LV{}, map[string]string{}, map[string]Reading{}}
	for i := range v.PVs {
		w.pvs[v.PVs[i].ID] = &v.PVs[i]
	}
	for i := range v.LVs {
		l := &v.LVs[i]
		w.lvs[l.Name] = l
		for _, seg := range l.Segments {
			for _, part := range seg.parts() {
				w.used[part] = l.Name
			}
		}
	}
	l := w.lvs[name]
	if l == nil {
		return w.refuse(name, "the volume group has no such volume", "lvs -a "+v.Name)
	}
	if seg := w.snapshotOf(name, true); seg != nil {
		return w.refuse(name, "it is a snapshot: it holds only what has changed, and is complete only together with "+seg.Origin,
			fmt.Sprintf("use %s/%s, or merge the snapshot into it: lvconvert --merge %s/%s", v.Name, seg.Origin, v.Name, name))
	}
	if seg := w.snapshotOf(name, false); seg != nil {
		return w.refuse(name, "the snapshot "+seg.Store+" is being merged into it: until that ends, it is complete only while it is active",
			"wait until it is gone from: lvs -a "+v.Name)
	}
	switch user := w.used[name]; {
	case l.Visible():
	case user != "":
		return w.refuse(name, "it is a part of "+user+", not a volume by itself", fmt.Sprintf("use %s/%s", v.Name, user))
	default:
		return w.refuse(name, "it is a hidden volume for LVM's own use", "lvs -a "+v.Name)
	}
	return w.read(l)
}

// parts names the volumes that a segment is made of. A snapshot is not made of its origin, nor a thin volume of its
// pool.
func (s Segment) parts() []string {
	out := append([]string(nil), s.Meta...)
	for _, a := range s.Areas {
		out = append(out, a.LV)
	}
	switch s.Type {
	case "snapshot", "thin", "vdo":
	default:
		out = append(out, s.Origin, s.Store)
	}
	return append(out, s.Log)
}

// snapshotOf returns the snapshot segment whose store a volume is, or with store false the one that is being merged
// into the volume.
func (w view) snapshotOf(name string, store bool) *Segment {
	for _, l := range w.lvs {
		for i := range l.Segments {
			if s := &l.Segments[i]; s.Type == "snapshot" && (store && s.Store == name || !store && s.Merging && s.Origin == name) {
				return s
			}
		}
	}
	return nil
}

func (w view) refuse(lv, detail, fix string) Reading {
	return Reading{Refused: &Refusal{w.Name + "/" + lv, detail, fix}}
}

// maxPieces limits the pieces of a table; a volume that is extended by one extent every day has fewer.
const maxPieces = 1 << 16

// read reads a volume or a part of one, once.
func (w view) read(l *LV) Reading {
	r, ok := w.known[l.Name]
	if !ok {
		w.known[l.Name] = w.refuse(l.Name, "it is a part of itself", "vgck "+w.Name)
		r = w.fresh(l)
		w.known[l.Name] = r
	}
	return r
}

func (w view) fresh(l *LV) Reading {
	if len(l.Segments) == 0 {
		return w.refuse(l.Name, "it has no extents", "")
	}
	for _, s := range l.Status {
		if !slices.Contains(lvFlags(), s) {
			return w.refuse(l.Name, fmt.Sprintf("its status has a flag that this program does not know (%.60q)", s), "")
		}
	}
	var out Reading
	for _, seg := range l.Segments {
		switch {
		case seg.linear():
			pieces, bad := w.pieces(l, seg)
			if bad != nil {
				return Reading{Refused: bad}
			}
			if out.Table = append(out.Table, pieces...); len(out.Table) > maxPieces {
				return w.refuse(l.Name, fmt.Sprintf("it is in more than %d pieces", maxPieces), w.activate(l))
			}
		case len(l.Segments) == 1 && seg.array():
			return w.array(l, seg)
		default:
			return w.refuseType(l, seg)
		}
	}
	return out
}
