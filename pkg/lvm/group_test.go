package lvm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// group is the text of a small group of the PVs with these letters as ids, each with one volume of 8 extents named
// after it.
func group(name string, vgid byte, seqno int, extra string, pvs ...byte) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s {\nid = %q\nseqno = %d\nstatus = [\"READ\", \"WRITE\"]\n%s\nextent_size = 128\nphysical_volumes {\n", name, letters(vgid), seqno, extra)
	for _, p := range pvs {
		fmt.Fprintf(&b, "pv%c {\nid = %q\nstatus = []\npe_start = 256\npe_count = 10\n}\n", p, letters(p))
	}
	b.WriteString("}\nlogical_volumes {\n")
	for _, p := range pvs {
		fmt.Fprintf(&b, "on%c {\nid = %q\nstatus = [\"VISIBLE\"]\nsegment_count = 1\nsegment1 {\ntype = \"striped\"\nstart_extent = 0\nextent_count = 8\n"+
			"stripe_count = 1\nstripes = [ \"pv%c\", 0 ]\n}\n}\n", p, letters(p-'a'+'A'), p)
	}
	b.WriteString("}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n")
	return []byte(b.String())
}

func letters(c byte) string { return strings.Repeat(string(c), 32) }

// member returns a device with a PV and a text; without a text its area is empty.
func member(t *testing.T, name string, pv byte, text []byte) Device {
	t.Helper()
	off := int64(sector)
	if text == nil {
		off = 0
	}
	b := craft(letters(pv), text, 8<<10, off)
	d, err := Scan(name, bytes.NewReader(b), int64(len(b)))
	if err != nil || d.Err() != nil {
		t.Fatalf("%s: %v, %v", name, err, d.Err())
	}
	d.Size = 1 << 20
	return d
}

func TestAssemble(t *testing.T) {
	abc := group("vg", '1', 3, "", 'a', 'b', 'c')
	for _, c := range []struct {
		name    string
		devices []Device
		want    string
	}{
		{"whole", []Device{member(t, "d1", 'a', abc), member(t, "d2", 'b', abc), member(t, "d3", 'c', abc)}, "vg 3 from d1,d2,d3"},
		{"a PV without text", []Device{member(t, "d1", 'a', nil), member(t, "d2", 'b', abc), member(t, "d3", 'c', nil)}, "vg 3 from d2"},
		{"missing", []Device{member(t, "d2", 'b', abc)}, "vg 3 from d2 missing 2"},
		{"old text", []Device{member(t, "d1", 'a', group("vg", '1', 2, "", 'a')), member(t, "d2", 'b', abc), member(t, "d3", 'c', abc)}, "vg 3 from d2,d3 stale d1"},
		{"old name", []Device{member(t, "d1", 'a', group("was", '1', 2, "", 'a')), member(t, "d2", 'b', abc), member(t, "d3", 'c', abc)}, "vg 3 from d2,d3 stale d1"},
		{"removed", []Device{member(t, "d1", 'd', group("vg", '1', 2, "", 'a', 'd')), member(t, "d2", 'b', abc)},
			"vg 3 from d2 missing 2; stray d1: volume group vg (111111-1111-1111-1111-1111-1111-111111) does not list it"},
		{"in no group", []Device{func() Device { d := member(t, "d1", 'x', nil); d.Label.Used = false; return d }()}, "stray d1: it is in no volume group"},
		{"in a group that is not here", []Device{member(t, "d1", 'x', nil)}, "stray d1: it belongs to a volume group, but no device that is present says to which"},
		{"damaged", []Device{{Name: "d1", Areas: []Metadata{{Err: damaged("metadata text", 7, "torn")}}}}, "stray d1: none of its metadata areas can be read: LVM metadata text at byte 7: torn"},
		{"twice", []Device{member(t, "d1", 'a', abc), member(t, "d2", 'a', abc)}, "vg 3 from d1,d2 missing 2 refused: volume group vg: PV aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa is on d1 and on d2"},
		{"two texts", []Device{member(t, "d1", 'a', abc), member(t, "d2", 'b', group("vg", '1', 3, "", 'a', 'b'))},
			"vg 3 from d1,d2 missing 1 refused: volume group vg: its PVs hold two different texts, both with seqno 3"},
		{"two texts, and a newer one", []Device{member(t, "d1", 'a', abc), member(t, "d2", 'b', group("vg", '1', 3, "", 'a', 'b')), member(t, "d3", 'c', group("vg", '1', 4, "", 'a', 'b', 'c'))},
			"vg 4 from d3 stale d1,d2"},
		{"a PV that belongs to another", []Device{member(t, "d1", 'a', group("vg", '1', 3, "", 'a', 'b')), member(t, "d2", 'b', group("new", '2', 1, "", 'b'))},
			"vg 3 from d1 missing 1 refused: volume group vg: it lists PV bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb on d2, whose own text says that it belongs to new; new 1 from d2"},
		{"a PV of two groups", []Device{member(t, "d1", 'a', group("vg", '1', 3, "", 'a', 'c')), member(t, "d2", 'b', group("new", '2', 1, "", 'b', 'c')), member(t, "d3", 'c', nil)},
			"vg 3 from d1; new 1 from d2 refused: volume group new: volume group vg lists PV cccccc-cccc-cccc-cccc-cccc-cccc-cccccc too"},
		{"exported", []Device{member(t, "d1", 'a', bytes.Replace(group("vg", '1', 3, "", 'a'), []byte(`"READ"`), []byte(`"EXPORTED"`), 1))}, "vg 3 from d1 refused: volume group vg: it is exported"},
		{"shared", []Device{member(t, "d1", 'a', group("vg", '1', 3, `lock_type = "sanlock"`, 'a'))}, "vg 3 from d1 refused: volume group vg: it is shared with other hosts"},
		{"not shared", []Device{member(t, "d1", 'a', group("vg", '1', 3, `lock_type = "none"`, 'a'))}, "vg 3 from d1"},
		{"nothing", nil, ""},
	} {
		groups, strays := Assemble(c.devices)
		var out []string
		for _, g := range groups {
			s := fmt.Sprintf("%s %d from %s", g.VG.Name, g.VG.Seqno, strings.Join(g.From, ","))
			if len(g.Stale) > 0 {
				s += " stale " + strings.Join(g.Stale, ",")
			}
			if len(g.Missing) > 0 {
				s += fmt.Sprintf(" missing %d", len(g.Missing))
			}
			r := g.Read("ona")
			if g.Refused != nil {
				s += " refused: " + g.Refused.Subject + ": " + g.Refused.Detail
				if r.Refused != g.Refused || g.Refused.Fix == "" {
					t.Errorf("%s: a volume of a refused group reads as %+v", c.name, r)
				}
			} else if _, here := g.Devices[id(t, letters('a'))]; (r.Table != nil) != here {
				t.Errorf("%s: volume on a: %+v", c.name, r)
			}
			out = append(out, s)
		}
		for _, s := range strays {
			out = append(out, "stray "+s.Device+": "+s.Why)
		}
		got := strings.Join(out, "; ")
		if c.want == "" && got != "" || !strings.HasPrefix(strings.ReplaceAll(got, " (222222-2222-2222-2222-2222-2222-222222)", ""), c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if !strings.Contains(c.want, "refused") && strings.Contains(got, "refused") || !strings.Contains(c.want, "stray") && strings.Contains(got, "stray") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// A PV that was absent while the group was changed counts as missing although it is present, unless nothing is on it.
func TestReappeared(t *testing.T) {
	text := bytes.Replace(group("vg", '1', 3, "", 'a', 'b'), []byte("pvb {\nid = \""+letters('b')+"\"\nstatus = []"), []byte("pvb {\nid = \""+letters('b')+"\"\nstatus = []\nflags = [\"MISSING\"]"), 1)
	empty := bytes.Replace(text, []byte(`"pvb", 0`), []byte(`"pva", 8`), 1)
	empty = bytes.Replace(empty, []byte("extent_count = 8"), []byte("extent_count = 2"), 2)
	for _, c := range []struct {
		text    []byte
		missing int
	}{{text, 1}, {empty, 0}} {
		groups, _ := Assemble([]Device{member(t, "d1", 'a', c.text), member(t, "d2", 'b', nil)})
		if g := groups[0]; len(g.Missing) != c.missing || len(g.Present()) != 2-c.missing || (g.Read("onb").Refused != nil) != (c.missing > 0) {
			t.Errorf("missing %v, present %v, %+v", g.Missing, g.Present(), g.Read("onb"))
		}
	}
}

func TestID(t *testing.T) {
	a, err := ParseID("nr244J-oZsQ-x24X-hAmP-XsFI-C0ww-uAkuX4")
	if b, err2 := ParseID(a.Compact()); err != nil || err2 != nil || a != b || a.Compact() != pvID || a.String() != "nr244J-oZsQ-x24X-hAmP-XsFI-C0ww-uAkuX4" || a.IsZero() || !(ID{}).IsZero() {
		t.Errorf("%v %v", a, err)
	}
	for _, bad := range []string{"", pvID[1:], pvID + "x", strings.Repeat("_", 32)} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
	for name, ok := range map[string]bool{"a": true, "a-b.c_d+e": true, "": false, "-a": false, ".": false, "..": false, "...": true, "a b": false, "ä": false, strings.Repeat("a", 128): false} {
		if validName(name) != ok {
			t.Errorf("%q: %v", name, !ok)
		}
	}
}
