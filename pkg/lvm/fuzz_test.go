package lvm

import (
	"bytes"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"migrate-init/pkg/probe"
)

// FuzzScan changes a label, header and text. It updates the checksums, or almost nothing would get past them.
func FuzzScan(f *testing.F) {
	small := []byte("v {\nid = \"" + strings.Repeat("a", 32) + "\"\nseqno = 1\nstatus = []\nextent_size = 8\nphysical_volumes {\n}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n")
	b := craft(pvID, small, 8<<10, 8<<10-100)
	f.Add(b, true)
	f.Add(b[:4096], false)
	f.Add(craft(pvID, nil, 8<<10, 0), true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= 4096+sector {
			b = bytes.Clone(b)
			seal(b)
			if l, slots, err := parseMDA(b[4096:4096+sector], 4096, int64(len(b))); err == nil && slots[0].size > 0 && slots[0].size < 1<<16 {
				// The sum of the text that is there.
				n, off := slots[0].size, slots[0].offset
				if off >= sector && off < l && n <= l-sector {
					wrap := max(0, off+n-l)
					part := bytes.Clone(b[4096+off : 4096+off+n-wrap])
					part = append(part, b[4096+sector:4096+sector+wrap]...)
					s := checksum(part)
					b[4096+56], b[4096+57], b[4096+58], b[4096+59] = byte(s), byte(s>>8), byte(s>>16), byte(s>>24)
					seal(b)
				}
			}
		}
		d, err := Scan("d", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		groups, strays := Assemble([]Device{d})
		if len(groups)+len(strays) == 0 {
			t.Fatal("the device is nowhere")
		}
		for _, g := range groups {
			use(t, g.VG)
		}
		// pkg/probe sees the same label, with its own code.
		res, err := probe.Probe(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range res.Find(probe.LVM) {
			if s.Checksum == probe.Valid && s.Offset == d.Label.Offset && s.UUID == d.Label.PV.String() {
				return
			}
		}
		t.Fatalf("pkg/probe does not see the label: %+v", res)
	})
}

// use reads every volume of a group, and checks what a caller relies on.
func use(t *testing.T, v *VG) {
	t.Helper()
	sizes := map[ID]int64{}
	for _, p := range v.PVs {
		sizes[p.ID] = p.Start + p.Extents*v.ExtentSize
	}
	for i := range min(len(v.LVs), 50) {
		l := &v.LVs[i]
		r := v.Read(l.Name, sizes)
		n := 0
		for _, set := range []bool{r.Table != nil, r.Array != nil, r.Refused != nil} {
			if set {
				n++
			}
		}
		if n != 1 || r.Refused != nil && (r.Refused.Subject == "" || r.Refused.Detail == "") {
			t.Fatalf("%s: %+v", l.Name, r)
		}
		var at int64
		for _, p := range r.Table {
			if p.Offset != at || p.Length <= 0 || len(p.Legs) == 0 || p.Length%int64(len(p.Legs)) != 0 || (p.StripeSize == 0) != (len(p.Legs) == 1) {
				t.Fatalf("%s: piece %+v, expected at %d", l.Name, p, at)
			}
			at += p.Length
			for _, leg := range p.Legs {
				if size, ok := sizes[leg.PV]; !ok || leg.Offset < 0 || leg.Offset+p.Length/int64(len(p.Legs)) > size {
					t.Fatalf("%s: leg %+v outside of its PV of %d bytes", l.Name, leg, size)
				}
			}
		}
		if r.Table != nil && at != l.Extents*v.ExtentSize {
			t.Fatalf("%s: table of %d bytes, volume of %d", l.Name, at, l.Extents*v.ExtentSize)
		}
		for _, im := range arrayImages(r) {
			if (im.Data == nil) == (im.Why == nil) {
				t.Fatalf("%s: image %+v", l.Name, im)
			}
		}
		v.Read(l.Name, nil)
	}
}

func arrayImages(r Reading) []Image {
	if r.Array == nil {
		return nil
	}
	return r.Array.Images
}

func FuzzText(f *testing.F) {
	b := every(f)
	f.Add(b)
	for _, part := range bytes.SplitAfter(b, []byte("\n}\n}\n"))[:40] {
		f.Add(append([]byte("contents = \"Text Format Volume Group\"\nversion = 1\nv {\nid = \"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\"\nseqno = 1\n"+
			"status = [\"READ\"]\nextent_size = 8\nphysical_volumes {\npv0 {\nid = \"baaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\"\nstatus = []\npe_start = 2048\npe_count = 100\n}\n}\nlogical_volumes {\n"), append(part, "}\n}\n"...)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVG(b)
		if err != nil {
			if _, ok := err.(*SyntaxError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		use(t, &v)
	})
}

func FuzzDevices(f *testing.F) {
	f.Add([]byte(devicesFile), "md_uuid", "x", "/dev/md1", 3)
	f.Add([]byte("# HASH=1\nIDTYPE=a IDNAME=b PVID="+pvID), "", "", "", 0)
	f.Fuzz(func(t *testing.T, b []byte, typ, name, dev string, part int) {
		was := ParseDevices(b)
		id, err := ParseID(pvID)
		if err != nil {
			t.Fatal(err)
		}
		e := DeviceEntry{IDType: typ, IDName: name, DevName: dev, PVID: pvID, Part: part}
		out, err := SetDevice(b, id, e)
		if err != nil {
			return
		}
		now := ParseDevices(out)
		for i := range was.Entries {
			if was.Entries[i].PVID == pvID {
				was.Entries[i] = e
			}
		}
		if d := gocmp.Diff(was.Entries, now.Entries); d != "" || was.Hash != now.Hash && now.Hash != HashMatches && was.Hash != HashDiffers {
			t.Fatalf("hash %d, then %d; %s", was.Hash, now.Hash, d)
		}
		if again, err := SetDevice(out, id, e); err == nil && !bytes.Equal(out, again) {
			t.Fatalf("a second edit changes the file: %q, %q", out, again)
		}
	})
}
