package lvm

import (
	"fmt"
	"sort"
)

// pieces maps a linear or striped segment to its PVs.
func (w view) pieces(l *LV, seg Segment) ([]Piece, *Refusal) {
	n := int64(len(seg.Areas))
	p := Piece{Offset: seg.Start * w.ExtentSize, Length: seg.Extents * w.ExtentSize, StripeSize: seg.StripeSize}
	for _, a := range seg.Areas {
		if a.LV != "" {
			if n == 1 {
				return w.through(l, p, a)
			}
			return nil, w.refuse(l.Name, "stripes over other volumes ("+a.LV+")", w.activate(l)).Refused
		}
		leg, bad := w.leg(l, a, p.Length/n)
		if bad != nil {
			return nil, bad
		}
		p.Legs = append(p.Legs, leg)
	}
	return []Piece{p}, nil
}

// leg finds length bytes from an extent of a PV, and checks that the device is present and holds them.
func (w view) leg(l *LV, a Part, length int64) (Leg, *Refusal) {
	p := w.pvs[a.PV]
	leg := Leg{a.PV, p.Start + a.Extent*w.ExtentSize}
	size, there := w.sizes[a.PV]
	switch {
	case !there:
		return leg, w.refuse(l.Name, "it is partly on the missing "+p.String(),
			fmt.Sprintf("connect the device; then: vgextend --restoremissing %s DEVICE, if vgs %s still shows it as missing", w.Name, w.Name)).Refused
	case leg.Offset > size-length:
		return leg, w.refuse(l.Name, fmt.Sprintf("it needs bytes up to %d of %s, whose device ends at %d", leg.Offset+length, p, size),
			"pvs -o +dev_size,pe_start,pv_size").Refused
	}
	return leg, nil
}

func (p PV) String() string {
	if p.Device == "" {
		return "PV " + p.ID.String()
	}
	return fmt.Sprintf("PV %s (formerly %s)", p.ID, p.Device)
}

// through maps a piece that lies on another volume, as while a mirror or a pvmove is set up, to the PVs of that volume.
func (w view) through(l *LV, p Piece, a Part) ([]Piece, *Refusal) {
	below := w.lvs[a.LV]
	r := w.read(below)
	switch {
	case r.Refused != nil:
		return nil, w.refuse(l.Name, "it lies on "+r.Refused.Subject+": "+r.Refused.Detail, r.Refused.Fix).Refused
	case r.Array != nil:
		return nil, w.refuse(l.Name, "it lies on "+below.Name+", which is a "+r.Array.Type, w.activate(l)).Refused
	case a.Extent > below.Extents || p.Length/w.ExtentSize > below.Extents-a.Extent:
		return nil, w.refuse(l.Name, "it is longer than "+below.Name+", on which it lies", "vgck "+w.Name).Refused
	}
	from := a.Extent * w.ExtentSize
	var out []Piece
	first := sort.Search(len(r.Table), func(i int) bool { return r.Table[i].Offset+r.Table[i].Length > from })
	for _, q := range r.Table[first:] {
		start, end := max(q.Offset, from), min(q.Offset+q.Length, from+p.Length)
		if start >= end {
			break
		}
		switch {
		case len(q.Legs) == 1:
			q.Legs = []Leg{{q.Legs[0].PV, q.Legs[0].Offset + start - q.Offset}}
		case start != q.Offset || end != q.Offset+q.Length:
			return nil, w.refuse(l.Name, "it begins or ends inside the stripes of "+below.Name, w.activate(l)).Refused
		}
		q.Offset, q.Length = p.Offset+start-from, end-start
		out = append(out, q)
	}
	return out, nil
}

// activate returns the fix for a volume that only LVM can assemble.
func (w view) activate(l *LV) string { return "lvchange -ay " + w.Name + "/" + l.Name }
