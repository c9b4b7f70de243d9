package lvm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// segment reads a segment of the volume lv.
func (r *reader) segment(lv string, s *section) Segment {
	f := &fields{s: s}
	name, flags, _ := strings.Cut(f.text("type"), "+")
	seg := Segment{Start: f.count("start_extent"), Extents: f.count("extent_count"), Type: name}
	if flags != "" {
		seg.Flags = strings.Split(flags, "+")
	}
	if f.err == nil && seg.Extents == 0 {
		f.fail(s.line, "%s: a segment without extents", lv)
	}
	switch {
	case seg.linear():
		n := f.count("stripe_count")
		if n != 1 {
			seg.StripeSize = f.count("stripe_size") * sector
		}
		r.areas(f, &seg, "stripes", n)
		if f.err == nil && (seg.Extents%n != 0 || n > 1 && seg.StripeSize == 0) {
			f.fail(s.line, "%s: %d extents cannot be in %d stripes of %d bytes", lv, seg.Extents, n, seg.StripeSize)
		}
	case seg.Type == "mirror":
		seg.Log, seg.RegionSize, seg.Moved = r.volume(f, "mirror_log"), f.optionalCount("region_size")*sector, f.has("extents_moved")
		r.areas(f, &seg, "mirrors", f.count("mirror_count"))
	case strings.HasPrefix(seg.Type, "raid"):
		seg.StripeSize, seg.RegionSize = f.optionalCount("stripe_size")*sector, f.optionalCount("region_size")*sector
		seg.Copies = f.optionalCount("data_copies")
		r.images(f, &seg)
	case seg.Type == "snapshot":
		seg.Origin, seg.Store = r.volume(f, "origin"), r.volume(f, "cow_store")
		if f.has("merging_store") {
			seg.Store, seg.Merging = r.volume(f, "merging_store"), true
		}
		if seg.Origin == "" || seg.Store == "" {
			f.fail(s.line, "%s: a snapshot without origin or store", lv)
		}
	default:
		for _, name := range []string{"cache_pool", "writecache", "thin_pool", "vdo_pool", "meta_dev", "pool", "data"} {
			seg.Store = cmp.Or(seg.Store, r.volume(f, name))
		}
		seg.Origin = r.volume(f, "origin")
	}
	r.take(f)
	return seg
}

// linear reports whether the segment is a plain concatenation or stripes.
func (s Segment) linear() bool { return s.Type == "striped" || s.Type == "linear" }

// volume reads the optional name of another volume of the group.
func (r *reader) volume(f *fields, name string) string {
	s := f.optional(name)
	if s != "" && !r.lvs[s] {
		f.fail(f.s.values[name].line, "%s of %s: no volume %.140q in the group", name, f.s.name, s)
	}
	return s
}

// areas reads a list of pairs: the section name of a PV or the name of a volume, and the extent at which the area
// begins.
func (r *reader) areas(f *fields, seg *Segment, name string, n int64) {
	v := f.s.values[name]
	if f.err == nil && (n == 0 || int64(len(v.items)) != 2*n) {
		f.fail(f.s.line, "%s: %d areas are announced, but %s has %d values", f.s.name, n, name, len(v.items))
	}
	if f.err != nil {
		return
	}
	for i := 0; i < len(v.items); i += 2 {
		at, extent := v.items[i], v.items[i+1]
		if at.kind != text || extent.kind != whole || extent.whole < 0 || extent.whole > 1<<32-1 {
			f.fail(v.line, "%s: %s is not a list of names and extents", f.s.name, name)
			return
		}
		part := Part{Extent: extent.whole}
		if id, ok := r.pvs[at.text]; ok {
			part.PV = id
		} else if r.lvs[at.text] {
			part.LV = at.text
		} else {
			f.fail(v.line, "%s: no volume %.140q in the group", name, at.text)
			return
		}
		seg.Areas = append(seg.Areas, part)
	}
}

// images reads the volumes of a RAID: for each image its metadata volume, if it has one, and the image itself.
func (r *reader) images(f *fields, seg *Segment) {
	n := f.optionalCount("device_count") + f.optionalCount("stripe_count")
	name := "raids"
	if seg.Type == "raid0" {
		name = "raid0_lvs"
	}
	for _, s := range f.words(name, false) {
		if !r.lvs[s] {
			f.fail(f.s.values[name].line, "%s: no volume %.140q in the group", name, s)
		}
		if strings.Contains(s, "_rmeta_") {
			seg.Meta = append(seg.Meta, s)
		} else {
			seg.Areas = append(seg.Areas, Part{LV: s})
		}
	}
	if f.err == nil && (n == 0 || int64(len(seg.Areas)) != n || len(seg.Meta) != 0 && len(seg.Meta) != len(seg.Areas)) {
		f.fail(f.s.line, "%s: %d images are announced, but there are %d, and %d metadata volumes", f.s.name, n, len(seg.Areas), len(seg.Meta))
	}
}

// allocate counts the extents in use on each PV, and refuses those that are outside the PV or used twice.
func (v *VG) allocate(line int) error {
	type run struct {
		from, to int64
		lv       string
	}
	on := map[ID][]run{}
	for _, l := range v.LVs {
		for _, seg := range l.Segments {
			n := seg.Extents
			if seg.linear() {
				n /= int64(len(seg.Areas))
			}
			for _, a := range seg.Areas {
				if a.LV == "" {
					on[a.PV] = append(on[a.PV], run{a.Extent, a.Extent + n, l.Name})
				}
			}
		}
	}
	for i := range v.PVs {
		p := &v.PVs[i]
		runs := on[p.ID]
		slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.from, b.from) })
		var end int64
		for i, u := range runs {
			if u.from < end {
				return &SyntaxError{line, fmt.Sprintf("%s and %s both use extent %d of PV %s", runs[i-1].lv, u.lv, u.from, p.ID)}
			}
			end = u.to
			p.Allocated += u.to - u.from
		}
		if end > p.Extents {
			return &SyntaxError{line, fmt.Sprintf("%s uses extent %d of PV %s, which has %d", runs[len(runs)-1].lv, end-1, p.ID, p.Extents)}
		}
	}
	return nil
}
