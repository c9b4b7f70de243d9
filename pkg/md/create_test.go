package md

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDataOffsetsAreMdadms(t *testing.T) {
	for _, c := range []struct{ size, chunk, sectors int64 }{
		{100 << 20, 0, 2048},
		{1 << 30, 0, 4096},   // the well-known 1046528 KiB array of 1 GiB members
		{10 << 30, 0, 18432}, // 9 MiB
		{4_000_785_948_160, 0, 264192},
		{4_000_785_948_160, 512 << 10, 264192},
		{100 << 20, 512 << 10, 4096},
	} {
		if got := dataOffsetFor(c.size, c.chunk) / Sector; got != c.sectors {
			t.Errorf("%d bytes, chunk %d: %d sectors, want %d", c.size, c.chunk, got, c.sectors)
		}
	}
}

func TestResyncOfANewArray(t *testing.T) {
	for _, c := range []struct {
		level, disks, missing int
		assume, clean         bool
	}{
		{0, 2, 0, false, true},
		{1, 2, 0, false, false}, {1, 2, 0, true, true}, {1, 2, 1, false, true}, {1, 3, 1, false, false},
		{4, 3, 1, false, true}, {5, 3, 0, false, false}, {5, 3, 1, false, true},
		{6, 4, 0, false, false}, {6, 4, 1, true, true}, {6, 4, 2, false, true},
		{10, 4, 0, false, false}, {10, 4, 1, false, false}, {10, 2, 1, false, true},
	} {
		spec := testSpec(V12, c.level, c.disks, c.missing, false)
		spec.AssumeClean = c.assume
		images, err := New(spec)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		for _, im := range images {
			if im.Super.Clean() != c.clean {
				t.Errorf("%+v: resync at %d", c, im.Super.ResyncOffset)
			}
		}
	}
}

// The disk that will join later is smaller than the present one.
func TestNewFitsTheMissingMember(t *testing.T) {
	for _, v := range Versions() {
		spec := testSpec(v, 1, 2, 1, true)
		spec.Members[1].Size = 150 << 20
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		old := images[0].Super
		bm := bitmapFrom(t, images[0])
		j := JoinSpec{Size: 150 << 20, DeviceUUID: testUUID(9), Time: spec.CTime, Bitmap: &bm}
		if _, _, err := Join(old, j); err != nil {
			t.Errorf("%s: a disk of exactly that size does not fit: %v", v, err)
		}
		j.Size -= 1 << 20
		if _, _, err := Join(old, j); err == nil {
			t.Errorf("%s: component of %d bytes fits %d", v, old.Size, j.Size)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for words, change := range map[string]func(*Spec){
		"no UUID":                    func(p *Spec) { p.UUID = UUID{} },
		"no creation time":           func(p *Spec) { p.CTime = time.Time{} },
		"not one of 0.90":            func(p *Spec) { p.Version = "1.3" },
		"level 7 cannot be created":  func(p *Spec) { p.Level = 7 },
		"too many members missing":   func(p *Spec) { p.Members[0].Missing, p.Members[1].Missing = true, true },
		"used twice":                 func(p *Spec) { p.Members[1].DeviceUUID = p.Members[0].DeviceUUID },
		"at most 32 bytes":           func(p *Spec) { p.Name = strings.Repeat("x", 33) },
		"power of two":               func(p *Spec) { p.Level, p.Chunk = 0, 12288 },
		"does not fit":               func(p *Spec) { p.Size = 1 << 40 },
		"leaves no room":             func(p *Spec) { p.Members[0].Size = 1 << 20 },
		"member 0 has 100 bytes":     func(p *Spec) { p.Members[0].Size = 100 },
		"raid0 has no bitmap":        func(p *Spec) { p.Level, p.Bitmap = 0, true },
		"is inside the superblock":   func(p *Spec) { p.DataOffset = 4096 },
		"no room for a bitmap":       func(p *Spec) { p.Bitmap, p.DataOffset = true, 8192 },
		"dirty and degraded":         func(p *Spec) { *p = testSpec(V12, 6, 4, 1, false) },
		"1 members for 2 raid disks": func(p *Spec) { p.Members = p.Members[:1] },
	} {
		spec := testSpec(V12, 1, 2, 0, false)
		change(&spec)
		if _, err := New(spec); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// Whatever the sizes, nothing overlaps: superblock, bitmap, bad block log, data.
func TestNewLaysOutWithoutOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(Versions()).Draw(t, "version")
		level := rapid.SampledFrom([]int{1, 5, 6, 10}).Draw(t, "level")
		spec := testSpec(v, level, 4, 0, rapid.Bool().Draw(t, "bitmap"))
		for i := range spec.Members {
			spec.Members[i].Size = rapid.Int64Range(64<<20, 3<<40).Draw(t, "size")
		}
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		for i, im := range images {
			s := im.Super
			type span struct {
				name     string
				from, to int64
			}
			spans := []span{{"data", s.DataOffset, s.DataOffset + s.Size}}
			for j, w := range im.Writes {
				spans = append(spans, span{fmt.Sprint("write ", j), w.Offset, w.Offset + int64(len(w.Data))})
			}
			if s.BadBlocks.Size > 0 {
				at := s.SuperOffset + s.BadBlocks.Offset
				spans = append(spans, span{"bad blocks", at, at + s.BadBlocks.Size})
			}
			for a, x := range spans {
				if x.from < 0 || x.to > spec.Members[i].Size || x.to <= x.from {
					t.Fatalf("%s: %s outside the device", v, x.name)
				}
				for _, y := range spans[a+1:] {
					if x.from < y.to && y.from < x.to {
						t.Fatalf("%s: %v overlaps %v", v, x, y)
					}
				}
			}
			if s.Size != images[0].Super.Size || s.DataOffset != images[0].Super.DataOffset || s.Size%1024 != 0 {
				t.Fatalf("components differ")
			}
			dev := device{}.apply(im.Writes)
			got, err := Scan(dev, spec.Members[i].Size)
			if err != nil || len(got) != 1 {
				t.Fatalf("scan: %v, %v", got, err)
			}
			if !reflect.DeepEqual(s, got[0]) {
				t.Fatal(cmp.Diff(s, got[0]))
			}
			if spec.Bitmap {
				if m, err := ReadBitmap(dev, got[0]); err != nil || m.Bytes() > 132<<10 {
					t.Fatalf("bitmap: %+v, %v", m, err)
				}
			}
		}
		again, _ := New(spec)
		if !reflect.DeepEqual(images, again) {
			t.Fatal("not deterministic")
		}
	})
}

func TestJoin(t *testing.T) {
	for _, v := range Versions() {
		t.Run(string(v), func(t *testing.T) {
			spec := testSpec(v, 1, 2, 1, true)
			images, err := New(spec)
			if err != nil {
				t.Fatal(err)
			}
			old := images[0].Super
			bm := bitmapFrom(t, images[0])
			j := JoinSpec{Size: spec.Members[1].Size, DeviceUUID: testUUID(55), Time: spec.CTime.AddDate(0, 0, 1), Bitmap: &bm, Major: 8, Minor: 1}
			s, ws, err := Join(old, j)
			if err != nil {
				t.Fatal(err)
			}
			if s.Role() != RoleSpare || s.DevNumber != 2 || s.Size != old.Size || s.DataOffset != old.DataOffset {
				t.Errorf("%+v", s)
			}
			got, err := Scan(device{}.apply(ws), j.Size)
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			if d := cmp.Diff(s, got[0]); d != "" {
				t.Error(d)
			}
			// What the kernel sees before the addition: a degraded array and a spare.
			d := Set{Members: []Member{{"new", s}, {"old", old}}}.Startable(Policy{})
			if !d.Start || d.Degraded != 1 || d.NewlyDegraded || len(d.Use) != 2 || d.Use[0].Device != "old" {
				t.Errorf("%+v", d)
			}
			joinOracle(t, spec, s, ws, j.Size)

			for words, change := range map[string]func(*JoinSpec){
				"the array needs":          func(j *JoinSpec) { j.Size = 100 << 20 },
				"its header was not given": func(j *JoinSpec) { j.Bitmap = nil },
				"no time given":            func(j *JoinSpec) { j.Time = time.Time{} },
				"is in use or above":       func(j *JoinSpec) { j.DevNumber = -1 },
			} {
				bad := j
				change(&bad)
				if _, _, err := Join(old, bad); err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("%s: %v", words, err)
				}
			}
		})
	}
}

func bitmapFrom(t *testing.T, im MemberImage) Bitmap {
	t.Helper()
	m, err := ReadBitmap(device{}.apply(im.Writes), im.Super)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func joinOracle(t *testing.T, spec Spec, s Superblock, ws []Write, size int64) {
	path := putImage(t, t.TempDir(), size, MemberImage{Index: 1, Super: s, Writes: ws})
	got := mdadm(t, "--examine", path)
	if !strings.HasSuffix(got["Checksum"], "- correct") || strings.Contains(got[""], "TOO SMALL") {
		t.Error(got[""])
	}
	if s.Version == V090 {
		if !strings.Contains(got[""], "this     2       8        1        2      spare") || got["Spare Devices"] != "1" {
			t.Error(got[""])
		}
		return
	}
	if got["Device Role"] != "spare" || got["Events"] != "0" || got["Array UUID"] != spec.UUID.String() ||
		got["Internal Bitmap"] == "" || !strings.HasPrefix(got["Array State"], "A. ") {
		t.Error(got[""])
	}
}

// Two members that join one after the other get numbers of their own, though the superblock that is read does not tell of the
// first one yet.
func TestJoinTwo(t *testing.T) {
	spec := testSpec(V12, 6, 4, 2, true)
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	bm := bitmapFrom(t, images[0])
	seen := map[int]bool{}
	var taken []int
	for i := range 2 {
		j := JoinSpec{Size: spec.Members[3].Size, DeviceUUID: testUUID(byte(60 + i)), Time: spec.CTime, Bitmap: &bm, Taken: taken}
		s, _, err := Join(images[0].Super, j)
		if err != nil {
			t.Fatal(err)
		}
		if seen[s.DevNumber] || s.DevNumber < spec.RaidDisks {
			t.Errorf("member %d has number %d", i, s.DevNumber)
		}
		seen[s.DevNumber], taken = true, append(taken, s.DevNumber)
	}
}

func TestSyncSpeed(t *testing.T) {
	for _, c := range []struct {
		least, most int64
		want        string
	}{
		{0, 0, "system system"}, {50 << 20, 200 << 20, "204800 51200"}, {1, 1, "1 1"}, {1 << 50, 1 << 50, "1073741824 1073741824"},
	} {
		ws := SyncSpeed("md127", c.least, c.most)
		if got := ws[0].Value + " " + ws[1].Value; got != c.want || ws[0].Path != "block/md127/md/sync_speed_max" || ws[1].Path != "block/md127/md/sync_speed_min" {
			t.Errorf("%d, %d: %+v", c.least, c.most, ws)
		}
	}
	for text, want := range map[string]Speed{"1000 (system)": {1000 << 10, false}, "5000 (local)": {5000 << 10, true}, "": {}, "x (local)": {0, true}} {
		if got := speed(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
