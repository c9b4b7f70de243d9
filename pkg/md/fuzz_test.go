package md

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParse(f *testing.F) {
	f.Add(raw1(8))
	f.Add(raw0())
	f.Add([]byte{0xfc, 0x4e, 0x2b, 0xa9})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range Versions() {
			// Almost no random input has a good checksum: fix it, so that the
			// parser reaches the fields.
			c := bytes.Clone(b)
			if v == V090 && len(c) >= superBytes {
				putLE(c[38*4:], checksum0(c))
			} else if v != V090 && len(c) >= v1Fixed {
				n := min(v1Fixed+2*(int(c[220])|int(c[221])<<8), len(c))
				putLE(c[216:], checksum1(c[:n]))
			}
			s, err := parse(v, c)
			if err != nil {
				continue
			}
			_, _, _ = s.ArrayState(), s.Role().String(), s.Features.String()
			again, err := s.Marshal()
			if err != nil {
				t.Fatalf("%s: parsed, but does not marshal: %v", v, err)
			}
			s2, err := parse(v, again)
			if err != nil {
				t.Fatalf("%s: marshaled bytes do not parse: %v", v, err)
			}
			if d := cmp.Diff(s, s2); d != "" {
				t.Fatalf("%s: %s", v, d)
			}
			decide(t, s)
		}
	})
}

func putLE(b []byte, v uint32) {
	for i := range 4 {
		b[i] = byte(v >> (8 * i))
	}
}

// decide runs everything that takes a superblock from a disk.
func decide(t *testing.T, s Superblock) {
	for _, set := range Group([]Member{{"a", s}, {"b", s}}) {
		for _, p := range []Policy{{}, {NewlyDegraded: true, DirtyDegraded: true, Diverged: true, Reshaping: true}} {
			if d := set.Startable(p); d.Reason == "" || d.Start && len(d.Use) == 0 {
				t.Fatalf("decision without reason or members: %+v", d)
			}
		}
	}
	_, ws, err := Join(s, JoinSpec{Size: 1 << 30, DeviceUUID: testUUID(3), Time: testSpec(V12, 1, 2, 0, false).CTime,
		Bitmap: &Bitmap{UUID: s.UUID, Version: s.Version, SyncSize: s.Size, ChunkSize: 64 << 20}})
	if err != nil {
		return
	}
	for _, w := range ws {
		if w.Offset < 0 || w.Offset+int64(len(w.Data)) > 1<<30 {
			t.Fatalf("join writes %d bytes at %d", len(w.Data), w.Offset)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add(append(make([]byte, 4096), raw1(8)...), int64(1<<20))
	f.Add(raw1(0), int64(1<<20))
	f.Add(raw0(), int64(4096))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		// The device ends with the input too, so that the positions at the end
		// are also reached.
		if size < 0 || size > 1<<40 {
			return
		}
		dev := device{0: b}
		for _, v := range []Version{V10, V090} {
			if off, ok := superPosition(v, size); ok {
				dev[off] = b
			}
		}
		_, _ = Scan(dev, size)
		ws, _ := Wipe(dev, size)
		for _, w := range ws {
			if w.Offset < 0 || w.Offset+int64(len(w.Data)) > size || len(w.Data) > superBytes {
				t.Fatalf("wipe of %d bytes at %d on a device of %d", len(w.Data), w.Offset, size)
			}
		}
	})
}

func FuzzParseBitmap(f *testing.F) {
	m := Bitmap{UUID: testUUID(1), Version: V12, SyncSize: 1 << 30, ChunkSize: 64 << 20, DaemonSleep: 5}
	f.Add(m.Marshal(true, 0)[:bitmapHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []Version{V090, V12} {
			m, err := parseBitmap(v, b)
			if err == nil && (m.Bits() < 0 || m.Bytes() < bitmapHeader) {
				t.Fatalf("%+v: %d bits, %d bytes", m, m.Bits(), m.Bytes())
			}
		}
	})
}

func FuzzConf(f *testing.F) {
	for _, s := range []string{debianConf, "", "ARR uuid='1:2' # x\n\t metadata=1.2", "  DEV /dev/sd*\n#c\n /dev/vdb", "HOMEHOST <ignore> a",
		"ARRAY /dev/md0 devices=/dev/a,/dev/b\n ARRAY"} {
		f.Add([]byte(s))
	}
	arrays := []ConfArray{{Device: "/dev/md0", UUID: testUUID(1), Metadata: "1.2", Members: []string{"/dev/vdb2"}},
		{UUID: testUUID(9)}}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := ParseConf(b)
		if back := bytes.Join(c.lines, nil); !bytes.Equal(back, b) {
			t.Fatalf("%q came back as %q", b, back)
		}
		once := SetArrays(b, arrays, "box")
		if twice := SetArrays(once, arrays, "box"); !bytes.Equal(once, twice) {
			t.Fatalf("not idempotent on %q:\n%q\n%q", b, once, twice)
		}
		c = ParseConf(once)
		for _, a := range arrays {
			n := 0
			for _, l := range c.Arrays() {
				if l.UUID == a.UUID {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("%s has %d lines in %q", a.UUID, n, once)
			}
		}
		if !c.Covers("/dev/vdb2") || c.homeHost() != "box" {
			t.Fatalf("devices %q, homehost %q in %q", c.Devices(), c.homeHost(), once)
		}
	})
}
