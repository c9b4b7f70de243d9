package lvm

import (
	"cmp"
	"slices"
	"strings"
)

// reader converts the sections of a text to a VG, and keeps the first error.
type reader struct {
	vg  VG
	pvs map[string]ID // by the name of their section, to which segments refer
	lvs map[string]bool
	ids map[ID]bool
	err error
}

// ParseVG reads a metadata text, as on a PV or in /etc/lvm/backup. The error is a *SyntaxError. Like LVM, ParseVG
// refuses invalid names and references, gaps, extents that are outside their PV or used twice, and unknown status
// flags. It ignores unknown fields, and keeps segments of unknown types: [VG.Read] refuses a volume that has one.
func ParseVG(b []byte) (VG, error) {
	root, err := parseText(b)
	if err != nil {
		return VG{}, err
	}
	top := fields{s: root}
	root.name = "the text"
	if s := top.text("contents"); top.err == nil && s != "Text Format Volume Group" {
		top.fail(root.values["contents"].line, "contents are %.60q, not a volume group", s)
	}
	if n := top.count("version"); top.err == nil && n != 1 {
		top.fail(root.values["version"].line, "version %d is not known", n)
	}
	if len(root.sections) != 1 {
		top.fail(1, "%d sections, not one volume group", len(root.sections))
	}
	if top.err != nil {
		return VG{}, top.err
	}
	r := reader{pvs: map[string]ID{}, lvs: map[string]bool{}, ids: map[ID]bool{}}
	r.group(root.sections[0])
	if r.err != nil {
		return VG{}, r.err
	}
	return r.vg, nil
}

// take keeps the first error of a section, and reports whether there is none so far.
func (r *reader) take(f *fields) bool {
	if r.err == nil {
		r.err = f.err
	}
	return r.err == nil
}

func (r *reader) group(s *section) {
	f := &fields{s: s}
	if !validName(s.name) {
		f.fail(s.line, "%.140q is not a name for a volume group", s.name)
	}
	r.vg = VG{Name: s.name, ID: f.id(), Seqno: f.count("seqno"), Status: f.status(vgFlags()), SystemID: f.optional("system_id"),
		LockType: f.optional("lock_type"), ExtentSize: f.count("extent_size") * sector}
	if f.err == nil && r.vg.ExtentSize == 0 {
		f.fail(s.values["extent_size"].line, "extent_size of %s is 0", s.name)
	}
	pvs := s.section("physical_volumes")
	if pvs == nil {
		f.fail(s.line, "volume group %s has no physical_volumes", s.name)
	}
	if !r.take(f) {
		return
	}
	for _, sub := range pvs.sections {
		r.physical(sub)
	}
	lvs := s.section("logical_volumes")
	if lvs == nil {
		return
	}
	for _, sub := range lvs.sections {
		r.lvs[sub.name] = true
	}
	for _, sub := range lvs.sections {
		r.logical(sub)
	}
	if r.err == nil {
		r.err = r.vg.allocate(lvs.line)
	}
}

func (r *reader) physical(s *section) {
	f := &fields{s: s}
	p := PV{ID: f.id(), Device: f.optional("device"), Status: f.status(pvFlags()), Size: f.sectors("dev_size", true),
		Start: f.sectors("pe_start", false), Extents: f.count("pe_count")}
	p.missing = slices.Contains(p.Status, "MISSING")
	if n, ok := product(p.Extents, r.vg.ExtentSize); !ok || n > 1<<63-1-p.Start {
		f.fail(s.line, "%s: %d extents of %d bytes are more than a device can hold", s.name, p.Extents, r.vg.ExtentSize)
	}
	r.unique(f, p.ID)
	if r.take(f) {
		r.pvs[s.name] = p.ID
		r.vg.PVs = append(r.vg.PVs, p)
	}
}

// unique refuses an id that another volume of the group has.
func (r *reader) unique(f *fields, id ID) {
	if r.ids[id] {
		f.fail(f.s.line, "%s: another volume has the id %s", f.s.name, id)
	}
	r.ids[id] = true
}

func (r *reader) logical(s *section) {
	f := &fields{s: s}
	l := LV{Name: s.name, ID: f.id(), Status: f.words("status", false)}
	// The list called flags holds those that an older LVM may ignore.
	l.Status = append(l.Status, f.words("flags", true)...)
	if !validName(s.name) || r.pvs[s.name] != (ID{}) {
		f.fail(s.line, "%.140q is not a name for a logical volume", s.name)
	}
	r.unique(f, l.ID)
	count := f.count("segment_count")
	if f.err == nil && count != int64(len(s.sections)) {
		f.fail(s.line, "%s: segment_count is %d, but there are %d segments", s.name, count, len(s.sections))
	}
	for _, sub := range s.sections {
		if seg := r.segment(s.name, sub); r.err == nil {
			l.Segments = append(l.Segments, seg)
		}
	}
	if !r.take(f) {
		return
	}
	slices.SortStableFunc(l.Segments, func(a, b Segment) int { return cmp.Compare(a.Start, b.Start) })
	for _, seg := range l.Segments {
		if seg.Start != l.Extents {
			f.fail(s.line, "%s: a segment begins at extent %d, not at %d: a gap, or an overlap", s.name, seg.Start, l.Extents)
			break
		}
		l.Extents += seg.Extents
	}
	if _, ok := product(l.Extents, r.vg.ExtentSize); !ok {
		f.fail(s.line, "%s: %d extents of %d bytes are more than a volume can hold", s.name, l.Extents, r.vg.ExtentSize)
	}
	if r.take(f) {
		r.vg.LVs = append(r.vg.LVs, l)
	}
}

// status reads the flags of a section, and refuses unknown ones: LVM would not use the group either.
func (f *fields) status(known []string) []string {
	words := f.words("status", false)
	for _, w := range words {
		if !slices.Contains(known, w) {
			f.fail(f.s.values["status"].line, "status of %s: flag %.60q is not known", f.s.name, w)
		}
	}
	return append(words, f.words("flags", true)...)
}

func vgFlags() []string {
	return strings.Fields("EXPORTED RESIZEABLE PVMOVE READ WRITE WRITE_LOCKED NOAUTOACTIVATE CLUSTERED SHARED")
}

func pvFlags() []string { return strings.Fields("ALLOCATABLE EXPORTED MISSING") }

func lvFlags() []string {
	return strings.Fields("READ WRITE WRITE_LOCKED FIXED_MINOR VISIBLE PVMOVE LOCKED NOTSYNCED REBUILD RESHAPE RESHAPE_DATA_OFFSET " +
		"RESHAPE_DELTA_DISKS_PLUS RESHAPE_DELTA_DISKS_MINUS REMOVE_AFTER_RESHAPE WRITEMOSTLY ACTIVATION_SKIP NOAUTOACTIVATE " +
		"ERROR_WHEN_FULL METADATA_FORMAT CROP_METADATA CACHE_VOL CACHE_USES_CACHEVOL")
}
