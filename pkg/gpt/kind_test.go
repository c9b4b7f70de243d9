package gpt

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

func TestGUID(t *testing.T) {
	g, err := ParseGUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b"; string(g[:]) != want {
		t.Errorf("bytes % x, wants % x", g[:], want)
	}
	if g.String() != "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" {
		t.Errorf("String() = %s", g)
	}
	for _, bad := range []string{"", "c12a7328f81f11d2ba4b00a0c93ec93b", "{c12a7328-f81f-11d2-ba4b-00a0c93ec93b}", "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93g", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b0", "c12a732-8f81f-11d2-ba4b-00a0c93ec93b"} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.GUID != "" {
			if g, err := ParseGUID(k.GUID); err != nil || g.String() != k.GUID {
				t.Errorf("%s: %v", k.Name, err)
			}
			if got, ok := KindOf(strings.ToUpper(k.GUID)); !ok || got.Name != k.Name {
				t.Errorf("%s: found as %s", k.Name, got.Name)
			}
			if typ, err := TypeOf(SchemeGPT, k.Name); err != nil || typ != k.GUID {
				t.Errorf("%s: %s, %v", k.Name, typ, err)
			}
		}
		if k.DOS != 0 {
			if got, ok := KindOf(dosType(k.DOS)); !ok || got.Name != k.Name || seen[dosType(k.DOS)] {
				t.Errorf("%s: 0x%02x found as %s", k.Name, k.DOS, got.Name)
			}
			seen[dosType(k.DOS)] = true
		}
	}
	if _, err := TypeOf(SchemeDOS, "bios_grub"); err == nil {
		t.Error("bios_grub in a dos table: no error")
	}
	if _, ok := KindOf("0x00"); ok {
		t.Error("an unused dos entry has a kind")
	}
}

// sfdisk knows the same types under the same GUIDs.
func TestOracleTypes(t *testing.T) {
	need(t, "sfdisk")
	out := strings.ToLower(run(t, "sfdisk", "--label", "gpt", "--list-types"))
	words := map[string]string{"linux": "linux filesystem", "raid": "linux raid", "swap": "linux swap", "lvm": "linux lvm", "esp": "efi system", "bios_grub": "bios boot",
		"xbootldr": "linux extended boot", "root-x86-64": "linux root (x86-64)", "root-x86": "linux root (x86)", "root-arm64": "linux root (arm-64)", "home": "linux home",
		"srv": "linux server data", "var": "linux variable data", "zfs": "solaris /usr", "zfs-reserved": "solaris reserved 1", "msdata": "microsoft basic data",
		"msr": "microsoft reserved", "reserved": "linux reserved", "luks": "linux luks"}
	for _, k := range Kinds() {
		if k.GUID == "" {
			continue
		}
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.Contains(line, k.GUID) && strings.Contains(line, words[k.Name])
		}
		if !found && k.Name != "luks" { // luks: unknown to sfdisk 2.38
			t.Errorf("%s %s: not among sfdisk's types", k.Name, k.GUID)
		}
	}
}

func TestFit(t *testing.T) {
	const G = 1 << 30
	req := []Request{{Name: "bios", Size: MiB}, {Name: "root"}, {Name: "swap", Size: G + 1}}
	got, err := Fit(Room{Disks: []int64{20 * G, 20*G - 12345}}, req)
	if err != nil {
		t.Fatal(err)
	}
	want := []Partition{
		{Number: 1, Name: "bios", Start: MiB, Size: MiB},
		{Number: 2, Name: "root", Start: 2 * MiB, Size: 20*G - 2*MiB - (G + MiB) - 2*MiB},
		{Number: 3, Name: "swap", Start: 20*G - 2*MiB - (G + MiB), Size: G + MiB},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, c := range map[string]struct {
		room Room
		req  []Request
		says string
	}{
		"no disk":       {Room{}, req, "no disk size"},
		"too small":     {Room{Disks: []int64{20 * G, G}}, req, fmt.Sprintf("%d bytes missing", 5*MiB)},
		"two rests":     {Room{Disks: []int64{G}}, []Request{{Name: "a"}, {Name: "b"}}, `"a" and "b" both ask for the rest`},
		"negative":      {Room{Disks: []int64{G}}, []Request{{Name: "a", Size: -1}}, "size -1"},
		"number twice":  {Room{Disks: []int64{G}}, []Request{{Number: 2, Size: MiB}, {Number: 2}}, "used twice"},
		"absurd sizes":  {Room{Disks: []int64{G}}, slices.Repeat([]Request{{Size: 1 << 59}}, 20), "more than any disk"},
		"gap eats disk": {Room{Disks: []int64{G}, EndGap: G}, []Request{{}}, "bytes missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Fit(c.room, c.req); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, wants %q", err, c.says)
			}
		})
	}
	if m := Margin(20 * G); m != 100*MiB {
		t.Errorf("Margin(20 GiB) = %d", m)
	}
	if m := Margin(G); m != 11*MiB {
		t.Errorf("Margin(1 GiB) = %d", m)
	}
}

// Whatever Fit lays out can be encoded on each of its disks, at either sector size.
func TestFitIsEncodable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(32*MiB, 1<<42), 1, 3).Draw(t, "disks")
		req := []Request{{ID: guidOf(1), Type: guidOf(100)}}
		for i, s := range rapid.SliceOfN(rapid.Int64Range(1, 8*MiB), 0, 3).Draw(t, "sizes") {
			req = append(req, Request{ID: guidOf(i + 2), Type: guidOf(100), Size: s})
		}
		parts, err := Fit(Room{Disks: sizes}, req)
		if err != nil {
			t.Skip("does not fit")
		}
		for _, size := range sizes {
			for _, ss := range []int{512, 4096} {
				tab := Table{Scheme: SchemeGPT, ID: guidOf(0), SectorSize: ss, Partitions: parts}
				tab.ID = guidOf(77)
				if _, err := Encode(tab, size/int64(ss)*int64(ss), nil); err != nil {
					t.Fatalf("sector %d: %v", ss, err)
				}
			}
		}
	})
}

func TestClone(t *testing.T) {
	const size = 512 * MiB
	src, err := Read(encode(t, sample(t, size, 512), size, nil), size, 512)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{guidOf(201), guidOf(202), guidOf(203), guidOf(204), strings.ToUpper(guidOf(0xabc))}
	for _, ss := range []int{512, 4096} {
		got, err := Clone(src, ids, size+MiB, ss)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range got.Partitions {
			q := src.Partitions[i]
			if p.ID != strings.ToLower(ids[i+1]) || p.Start != q.Start || p.Size != q.Size || p.Name != q.Name || p.Type != q.Type || p.Attributes != q.Attributes {
				t.Errorf("%+v of %+v", p, q)
			}
		}
		back, err := Read(encode(t, got, size+MiB, nil), size+MiB, ss)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, back); d != "" {
			t.Error(d)
		}
	}
	need := NeedSize(src, 512)
	if last, _ := src.Partition(3); need != last.End()+33*512 {
		t.Errorf("NeedSize = %d", need)
	}
	exact, err := Clone(src, ids, need, 512)
	if err != nil {
		t.Fatal(err)
	}
	encode(t, exact, need, nil)
	for name, c := range map[string]struct {
		ids  []string
		size int64
		says string
	}{
		"too small":   {ids, need - 512, "512 bytes more"},
		"ids missing": {ids[:3], size, "3 new ids, wants 5"},
		"old id":      {append([]string{src.Partitions[0].ID}, ids[1:]...), size, "is not new"},
		"id twice":    {append([]string{ids[1]}, ids[1:]...), size, "is not new"},
		"no guid":     {append([]string{"x"}, ids[1:]...), size, "guid"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Clone(src, c.ids, c.size, 512); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, wants %q", err, c.says)
			}
		})
	}
	dos, err := Read(image{size, []Write{{0, record(entry{0x80, 0x83, 2048, 4096})}}}, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Clone(dos, []string{"0badcafe"}, size, 512); err != nil || c.Partitions[0].ID != "0badcafe-01" || c.Partitions[0].Start != MiB {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDiff(t *testing.T) {
	kernel := []Extent{{1, MiB, MiB}, {2, 2 * MiB, 10 * MiB}, {3, 20 * MiB, 4 * MiB}, {4, 30 * MiB, MiB}, {5, 40 * MiB, MiB}}
	want := []Partition{
		{Number: 1, Start: MiB, Size: MiB},           // stays
		{Number: 2, Start: 2 * MiB, Size: 12 * MiB},  // grows
		{Number: 3, Start: 20 * MiB, Size: 2 * MiB},  // shrinks
		{Number: 4, Start: 31 * MiB, Size: MiB},      // moved
		{Number: 6, Start: 50 * MiB, Size: 50 * MiB}, // new
	}
	got := Diff(kernel, want)
	wants := []Change{{Delete, 4, 30 * MiB, MiB}, {Delete, 5, 40 * MiB, MiB}, {Resize, 3, 20 * MiB, 2 * MiB}, {Resize, 2, 2 * MiB, 12 * MiB},
		{Add, 4, 31 * MiB, MiB}, {Add, 6, 50 * MiB, 50 * MiB}}
	if d := cmp.Diff(wants, got); d != "" {
		t.Error(d)
	}
	if got := Diff([]Extent{{2, 4 * MiB, 1024}, {5, 5 * MiB, MiB}}, []Partition{{Number: 2, Type: "0x05", Start: 4 * MiB, Size: 9 * MiB}, {Number: 5, Logical: true, Start: 5 * MiB, Size: MiB}}); got != nil {
		t.Errorf("an extended partition as the kernel shows it: %v", got)
	}
	b := Change{Add, 6, 0x1122334455, 0x66778899aa}.Payload()
	if len(b) != 152 || b[16] != 6 && b[19] != 6 {
		t.Errorf("payload of %d bytes: % x", len(b), b[:20])
	}
}
