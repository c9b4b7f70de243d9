package md

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// resum changes one member's superblock and updates its checksum.
func resum(t *testing.T, im MemberImage, change func(b []byte)) device {
	t.Helper()
	w := im.Writes[len(im.Writes)-1]
	b := append([]byte(nil), w.Data...)
	change(b)
	n := min(v1Fixed+2*int(binary.LittleEndian.Uint32(b[220:])), len(b))
	binary.LittleEndian.PutUint32(b[216:], checksum1(b[:n]))
	return device{w.Offset: b}
}

// A superblock that the kernel's super_1_load refuses despite a good checksum is not a member, but can be wiped.
func TestScanRefusesWhatTheKernelDoes(t *testing.T) {
	le := binary.LittleEndian
	for _, v := range []Version{V10, V11, V12} {
		spec := testSpec(v, 1, 2, 1, false)
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			change func([]byte)
			kind   Damage
			words  string
			any    bool // 1.0 too
		}{
			"unknown feature":     {func(b []byte) { le.PutUint32(b[8:], 1<<13) }, Unsupported, "0x2000", true},
			"padding at 12":       {func(b []byte) { b[15] = 1 }, Unsupported, "does not know", true},
			"padding at the end":  {func(b []byte) { b[228] = 1 }, Unsupported, "does not know", true},
			"data over the super": {func(b []byte) { le.PutUint64(b[128:], 0) }, BadField, "inside the superblock", false},
			"data in its sector":  {func(b []byte) { le.PutUint64(b[128:], uint64(images[0].Super.SuperOffset/Sector)) }, BadField, "inside the superblock", false},
			"data offset huge":    {func(b []byte) { le.PutUint64(b[128:], maxSectors) }, Truncated, "the device has", true},
			"data offset absurd":  {func(b []byte) { le.PutUint64(b[128:], 1<<63) }, BadField, "data offset", true},
			"data size huge":      {func(b []byte) { le.PutUint64(b[136:], maxSectors) }, Truncated, "the device has", true},
			"component huge":      {func(b []byte) { le.PutUint64(b[80:], maxSectors) }, Truncated, "the device has", true},
		} {
			if v == V10 && !c.any {
				continue
			}
			dev := resum(t, images[0], c.change)
			got, err := Scan(dev, spec.Members[0].Size)
			var d *Damaged
			if len(got) != 0 || !errors.As(err, &d) || d.Kind != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s, %s: %v, %v", v, name, got, err)
			}
			if ws, err := Wipe(dev, spec.Members[0].Size); err != nil || len(ws) != 1 {
				t.Errorf("%s, %s: wipe: %d writes, %v", v, name, len(ws), err)
			}
		}
	}
}

// Linux 6.19 records the array's logical block size; a member joined from that superblock records the same.
func TestBlockSizeIsKept(t *testing.T) {
	spec := testSpec(V12, 1, 2, 1, false)
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Scan(resum(t, images[0], func(b []byte) { binary.LittleEndian.PutUint32(b[224:], 4096) }), spec.Members[0].Size)
	if err != nil || len(got) != 1 || got[0].BlockSize != 4096 {
		t.Fatalf("%+v, %v", got, err)
	}
	_, ws, err := Join(got[0], JoinSpec{Size: spec.Members[1].Size, DeviceUUID: testUUID(7), Time: spec.CTime})
	if err != nil {
		t.Fatal(err)
	}
	if b := ws[len(ws)-1].Data; binary.LittleEndian.Uint32(b[224:]) != 4096 {
		t.Errorf("% x", b[224:228])
	}
}

func TestJoinRefusesWhatItCannotPlace(t *testing.T) {
	spec := testSpec(V12, 1, 2, 1, true)
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	m := bitmapFrom(t, images[0])
	for _, f := range []Feature{FeatureReshape, FeatureClustered, FeaturePPL, FeatureMultiplePPLs} {
		s := images[0].Super
		s.Features |= f
		if _, ws, err := Join(s, JoinSpec{Size: spec.Members[1].Size, DeviceUUID: testUUID(7), Time: spec.CTime, Bitmap: &m}); err == nil {
			t.Errorf("%s: %d writes", f, len(ws))
		}
	}
	for _, major := range []byte{2, 5, 6} {
		b := m.Marshal(false, 0)
		b[4] = major
		if _, err := parseBitmap(V12, b); err == nil || !strings.Contains(err.Error(), "version") {
			t.Errorf("bitmap version %d: %v", major, err)
		}
	}
}
