package md

import (
	"strings"
	"testing"
)

func TestBitmapChunkGrowsWithTheArray(t *testing.T) {
	for _, c := range []struct {
		sync, room, chunk int64
	}{{1 << 30, 4 << 10, 64 << 20}, {60 << 40, 128 << 10, 64 << 20}, {200 << 40, 128 << 10, 256 << 20}} {
		m, err := planBitmap(V12, testUUID(1), c.sync, c.room, 1)
		if err != nil || m.ChunkSize != c.chunk || (m.Bits()+7)/8+bitmapHeader > c.room {
			t.Errorf("%+v: %+v, %v", c, m, err)
		}
	}
	for _, room := range []int64{0, bitmapHeader, bitmapHeader + 1} {
		if _, err := planBitmap(V12, testUUID(1), 1<<50, room, 1); err == nil {
			t.Errorf("room of %d bytes: no error", room)
		}
	}
}

func TestReadBitmapRefuses(t *testing.T) {
	images, err := New(testSpec(V12, 1, 2, 1, true))
	if err != nil {
		t.Fatal(err)
	}
	s := images[0].Super
	at := s.SuperOffset + s.BitmapOffset
	for words, change := range map[string]func(device, *Superblock){
		"no internal bitmap": func(_ device, s *Superblock) { s.Features = 0 },
		"belongs to":         func(d device, _ *Superblock) { d[at][8] ^= 1 },
		"magic":              func(d device, _ *Superblock) { d[at][0] ^= 1 },
		"version 9":          func(d device, _ *Superblock) { d[at][4] = 9 },
		"power of two":       func(d device, _ *Superblock) { d[at][52] = 1 },
		"sync size":          func(d device, _ *Superblock) { d[at][47] = 0xff },
		"at byte -":          func(_ device, s *Superblock) { s.BitmapOffset = -1 << 20 },
	} {
		d, s := device{}.apply(images[0].Writes), s
		change(d, &s)
		if _, err := ReadBitmap(d, s); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// A bitmap header from a disk must not aim Join's writes at anything else.
func TestJoinRefusesABitmapThatDoesNotFit(t *testing.T) {
	for _, v := range Versions() {
		spec := testSpec(v, 1, 2, 1, true)
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		good := bitmapFrom(t, images[0])
		for name, change := range map[string]func(*Superblock, *Bitmap){
			"too long": func(_ *Superblock, m *Bitmap) { m.SyncSize, m.ChunkSize = 1<<40, 4096 },
			"huge":     func(_ *Superblock, m *Bitmap) { m.SyncSize, m.ChunkSize = 1<<60, 512 },
			"over the superblock": func(s *Superblock, _ *Bitmap) {
				s.BitmapOffset = map[Version]int64{V10: -4096, V11: 0, V12: -4096, V090: 62 << 10}[v]
			},
			"in the data": func(s *Superblock, _ *Bitmap) {
				s.BitmapOffset = map[Version]int64{V10: -64 << 20, V11: 64 << 20, V12: 64 << 20, V090: 1 << 20}[v]
			},
		} {
			s, m := images[0].Super, good
			change(&s, &m)
			if _, ws, err := Join(s, JoinSpec{Size: spec.Members[1].Size, DeviceUUID: testUUID(7), Time: spec.CTime, Bitmap: &m}); err == nil {
				t.Errorf("%s, %s: %d writes, the first at %d", v, name, len(ws), ws[0].Offset)
			}
		}
	}
}

func TestNewWithSpare(t *testing.T) {
	for _, v := range Versions() {
		spec := testSpec(v, 1, 3, 0, false)
		spec.RaidDisks = 2
		images, err := New(spec)
		if err != nil || len(images) != 3 {
			t.Fatal(len(images), err)
		}
		s := images[2].Super
		if s.Role() != RoleSpare || s.InSync() || s.ArrayState() != "AA" {
			t.Errorf("%s: %s, %s", v, s.Role(), s.ArrayState())
		}
		got := mdadm(t, "--examine", putImage(t, t.TempDir(), spec.Members[2].Size, images[2]))
		if v != V090 && got["Device Role"] != "spare" || v == V090 && got["Spare Devices"] != "1" {
			t.Error(got[""])
		}
	}
}
