package stage

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

const (
	testPlan  = "00000000-1111-4222-8333-444444444444"
	otherPlan = "99999999-1111-4222-8333-444444444444"
)

// volume is a journal's volume in memory.
type volume []byte

func (v volume) ReadAt(b []byte, off int64) (int, error) { return bytes.NewReader(v).ReadAt(b, off) }

func newVolume(slots int) volume {
	v := make(volume, slots*slotSize)
	copy(v, JournalHead(testPlan))
	return v
}

func (v volume) add(t interface{ Fatal(...any) }, rs Records, rec Record) Records {
	eff, rec, err := rs.appendTo("/dev/x", testPlan, int64(len(v)), rec)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range eff.(machine.WriteDevice).Chunks {
		copy(v[c.Offset:], c.Data)
	}
	return append(rs, rec)
}

func anyRecord(t *rapid.T) Record {
	text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("a\x01\"é")), 0, 5000, -1))
	return Record{Time: rapid.String().Draw(t, "time"), Boot: rapid.String().Draw(t, "boot"), Up: rapid.Float64Range(0, 1e9).Draw(t, "up"),
		Stage: rapid.SampledFrom([]string{"copy", "verify", "copy:x"}).Draw(t, "stage"), Event: rapid.SampledFrom([]string{Begin, Done, Failed, Note}).Draw(t, "event"),
		Text: text.Draw(t, "text"), Facts: rapid.MapOfN(rapid.String(), text, 0, 3).Draw(t, "facts")}
}

// TestJournalRoundTrip: what was appended is read again; what did not fit is shorter, and keeps stage and event.
func TestJournalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := newVolume(12)
		var wrote Records
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			wrote = v.add(t, wrote, anyRecord(t))
		}
		got, err := ReadJournal(v, testPlan, int64(len(v)))
		if err != nil || len(got) != len(wrote) {
			t.Fatalf("%d of %d records, %v", len(got), len(wrote), err)
		}
		for i, g := range got {
			w := wrote[i]
			if g.Seq != i+1 || g.Stage != w.Stage || g.Event != w.Event || len(g.Text) > len(strings.ToValidUTF8(w.Text, "???"))+len(" (cut)") {
				t.Fatalf("record %d: %+v, wrote %+v", i, g, w)
			}
		}
		for name := range map[string]bool{"copy": true, "verify": true, "copy:x": true} {
			if got.Done(name) != wrote.Done(name) || got.Begun(name) != wrote.Begun(name) || got.last(name) != wrote.last(name) {
				t.Fatalf("%s: read otherwise than written", name)
			}
		}
	})
}

func TestJournalSmallRecordsAreWhole(t *testing.T) {
	v := newVolume(6)
	want := Record{Time: "t", Boot: "b", Up: 1.5, Stage: "copy:x", Event: Done, Text: "ü", Facts: map[string]string{"files": "1"}}
	v.add(t, nil, want)
	got, err := ReadJournal(v, testPlan, int64(len(v)))
	want.Seq = 1
	if d := cmp.Diff(Records{want}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

// TestJournalTorn: a slot of which any half is missing ends the journal; the next record takes its place.
func TestJournalTorn(t *testing.T) {
	for _, keep := range []int{0, 1, 4, 8, 12, 100, 511, 512} {
		v := newVolume(8)
		rs := v.add(t, nil, Record{Stage: "check", Event: Done})
		before := bytes.Clone(v)
		v.add(t, rs, Record{Stage: "copy", Event: Done, Text: strings.Repeat("x", 1000)})
		copy(v[2*slotSize+keep:], before[2*slotSize+keep:])
		got, err := ReadJournal(v, testPlan, int64(len(v)))
		if err != nil || len(got) != 1 || got.Done("copy") {
			t.Errorf("%d bytes of a record: %d records, %v", keep, len(got), err)
		}
		got = v.add(t, got, Record{Stage: "prepare", Event: Begin})
		again, err := ReadJournal(v, testPlan, int64(len(v)))
		if err != nil || len(again) != 2 || again.last("prepare") != Begin || len(got) != 2 {
			t.Errorf("%d bytes of a record, then another: %+v, %v", keep, again, err)
		}
	}
}

func TestJournalForeign(t *testing.T) {
	v := newVolume(6)
	v.add(t, nil, Record{Stage: "commit", Event: Done})
	if _, err := ReadJournal(v, otherPlan, int64(len(v))); !errors.Is(err, ErrNoJournal) || !strings.Contains(err.Error(), testPlan) {
		t.Errorf("journal of another plan: %v", err)
	}
	// The volume is taken over by another plan whose head alone was written: the old records do not come back.
	copy(v, JournalHead(otherPlan))
	rs, err := ReadJournal(v, otherPlan, int64(len(v)))
	if err != nil || len(rs) != 0 {
		t.Errorf("records of another plan: %v, %v", rs, err)
	}
	// A record in another slot than its own is no record.
	v = newVolume(6)
	rs = v.add(t, nil, Record{Stage: "commit", Event: Done})
	v.add(t, rs, Record{Stage: "handover", Event: Done})
	copy(v[slotSize:], v[2*slotSize:3*slotSize])
	clear(v[2*slotSize : 3*slotSize])
	if rs, err := ReadJournal(v, testPlan, int64(len(v))); len(rs) != 0 || err != nil {
		t.Errorf("a moved record: %v, %v", rs, err)
	}
	for _, bad := range []volume{make(volume, slotSize), volume("short"), append(volume(headMark+"no id\n"), make(volume, slotSize)...)} {
		if _, err := ReadJournal(bad, testPlan, int64(len(bad))); err == nil {
			t.Errorf("%.30q was read", bad)
		}
	}
}

func TestJournalFull(t *testing.T) {
	v := newVolume(6)
	var rs Records
	for {
		eff, rec, err := rs.appendTo("/dev/x", testPlan, int64(len(v)), Record{Stage: "copy", Event: Note})
		if errors.Is(err, ErrJournalFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range eff.(machine.WriteDevice).Chunks {
			if c.Offset+int64(len(c.Data)) > slotsAtEnd(testPlan, int64(len(v))).At[0] {
				t.Fatalf("record %d lies where checkpoints do", rec.Seq)
			}
			copy(v[c.Offset:], c.Data)
		}
		rs = append(rs, rec)
	}
	if got, err := ReadJournal(v, testPlan, int64(len(v))); len(got) != len(rs) || len(rs) != 3 || err != nil {
		t.Errorf("%d of %d records, %v", len(got), len(rs), err)
	}
}

// TestJournalLongText: a reason that does not fit is cut, and says so.
func TestJournalLongText(t *testing.T) {
	for _, text := range []string{strings.Repeat("reason ", 2000), strings.Repeat("\x01", 4000), strings.Repeat("é", 4000)} {
		b, err := Record{Stage: "verify", Event: Failed, Text: text}.Slot(1, testPlan)
		if err != nil || len(b) != slotSize {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		rec, ok := decode(b, 1, testPlan)
		if !ok || !strings.HasSuffix(rec.Text, "(cut)") || rec.Event != Failed {
			t.Errorf("%.20q came back as %.40q", text, rec.Text)
		}
	}
}

func FuzzReadJournal(f *testing.F) {
	v := newVolume(5)
	v.add(f, nil, Record{Stage: "check", Event: Done, Facts: map[string]string{"stamp:x": "1"}})
	f.Add([]byte(v), int64(len(v)))
	f.Add([]byte(v[:slotSize]), int64(1<<40))
	f.Add([]byte(headMark), int64(-1))
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		rs, err := ReadJournal(volume(data), testPlan, size)
		if len(rs) > len(data)/slotSize {
			t.Fatalf("%d records in %d bytes", len(rs), len(data))
		}
		if err == nil {
			_ = rs.Report(&plan.Plan{})
			_ = rs.Times(&plan.Plan{})
		}
		if c, _ := slotsAtEnd(testPlan, size).Read(volume(data)); c != nil && len(c.Data) > maxPayload {
			t.Fatal("a checkpoint longer than its slot")
		}
	})
}

// TestJournalLongFacts: a long list is cut, and the facts beside it stay.
func TestJournalLongFacts(t *testing.T) {
	b, err := Record{Stage: "copy:x", Event: Done, Text: "/", Facts: map[string]string{"files": "7", "skipped": strings.Repeat("/a/file\n", 3000)}}.Slot(1, testPlan)
	if err != nil {
		t.Fatal(err)
	}
	rec, ok := decode(b, 1, testPlan)
	if !ok || rec.Text != "/" || rec.Facts["files"] != "7" || !strings.HasPrefix(rec.Facts["skipped"], "/a/file\n") || !strings.HasSuffix(rec.Facts["skipped"], "(cut)") {
		t.Errorf("%+v", rec)
	}
	if _, err := (Record{Stage: strings.Repeat("x", 5000)}).Slot(1, testPlan); err == nil {
		t.Error("a record that cannot fit was rendered")
	}
}

// TestJournalHole: a record behind one that is not whole means that the medium lost something, a commit perhaps.
func TestJournalHole(t *testing.T) {
	v := newVolume(12)
	var rs Records
	for _, s := range []string{"check", "prepare", "commit", "handover"} {
		rs = v.add(t, rs, Record{Stage: s, Event: Done})
	}
	for seq := 1; seq < len(rs); seq++ {
		hurt := bytes.Clone(v)
		hurt[seq*slotSize+12] ^= 1
		got, err := ReadJournal(volume(hurt), testPlan, int64(len(v)))
		if err == nil || len(got) != seq-1 || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("record %d hurt: %d records, %v", seq, len(got), err)
		}
	}
	// The last one may be a torn write as well, and the records of another plan are no news.
	hurt := bytes.Clone(v)
	hurt[len(rs)*slotSize+12] ^= 1
	if got, err := ReadJournal(volume(hurt), testPlan, int64(len(v))); err != nil || len(got) != len(rs)-1 {
		t.Errorf("%d records, %v", len(got), err)
	}
	copy(v, JournalHead(otherPlan))
	clear(v[slotSize : 2*slotSize])
	if got, err := ReadJournal(v, otherPlan, int64(len(v))); err != nil || len(got) != 0 {
		t.Errorf("%d records, %v", len(got), err)
	}
}
