package gpt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// image is a sparse disk in memory: the ranges that Encode wrote, zeros elsewhere.
type image struct {
	size   int64
	writes []Write
}

func (m image) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at > m.size || int64(len(b)) > m.size-at {
		return 0, errors.New("outside the image")
	}
	for _, w := range m.writes {
		from, to := max(at, w.Offset), min(at+int64(len(b)), w.Offset+int64(len(w.Data)))
		if from < to {
			copy(b[from-at:to-at], w.Data[from-w.Offset:to-w.Offset])
		}
	}
	return len(b), nil
}

func guidOf(n int) string { return fmt.Sprintf("00000000-1111-4222-8333-%012x", n) }

func typeOf(t testing.TB, name string) string {
	t.Helper()
	s, err := TypeOf(SchemeGPT, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sample is the layout of a Debian server: bios_grub, ESP, raid up to the swap, and that up to the last MiB.
func sample(t testing.TB, diskSize int64, sectorSize int) Table {
	swap := (diskSize-MiB)/MiB*MiB - 16*MiB
	return Table{Scheme: SchemeGPT, ID: guidOf(99), SectorSize: sectorSize, Partitions: []Partition{
		{Number: 1, Type: typeOf(t, "bios_grub"), Name: "bios", ID: guidOf(1), Start: MiB, Size: MiB},
		{Number: 2, Type: typeOf(t, "esp"), Name: "EFI – é", ID: guidOf(2), Start: 2 * MiB, Size: 64 * MiB, Attributes: 1},
		{Number: 7, Type: typeOf(t, "raid"), Name: "root 𝄞", ID: guidOf(3), Start: 66 * MiB, Size: swap - 66*MiB, Attributes: 1 << 2},
		{Number: 3, Type: typeOf(t, "swap"), ID: guidOf(4), Start: swap, Size: 16 * MiB},
	}}
}

// part is the partition with that number; the zero Partition when there is none.
func part(t Table, number int) Partition {
	for _, p := range t.Partitions {
		if p.Number == number {
			return p
		}
	}
	return Partition{}
}

func encode(t testing.TB, tab Table, size int64, boot []byte) image {
	t.Helper()
	w, err := Encode(tab, size, boot)
	if err != nil {
		t.Fatal(err)
	}
	return image{size, w}
}

func TestReadOfEncodeIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := rapid.SampledFrom([]int{512, 1024, 2048, 4096}).Draw(t, "sector")
		size := rapid.Int64Range(64*MiB, 1<<45).Draw(t, "size") / int64(ss) * int64(ss)
		tab := Table{Scheme: SchemeGPT, ID: guidOf(0xffff), SectorSize: ss}
		if n := rapid.SampledFrom([]int{0, 256}).Draw(t, "slots"); n != 0 {
			tab.Entries = n
		}
		tab.FirstUsable, tab.LastUsable = usable(tab.slots(), ss, size)
		at := tab.FirstUsable
		for n := range rapid.IntRange(0, 20).Draw(t, "n") {
			start := at + rapid.Int64Range(0, 100).Draw(t, "gap")*int64(ss)
			length := rapid.Int64Range(1, max(1, (tab.LastUsable+1-start)/int64(ss)/4)).Draw(t, "length") * int64(ss)
			if start+length > tab.LastUsable+1 {
				break
			}
			name := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != 0xfffd }), 0, 18, -1).Draw(t, "name")
			tab.Partitions = append(tab.Partitions, Partition{Number: n*5 + 1, Type: guidOf(n%3 + 500), ID: guidOf(n + 1), Name: name,
				Start: start, Size: length, Attributes: rapid.Uint64().Draw(t, "attributes")})
			at = start + length
		}
		w, err := Encode(tab, size, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(image{size, w}, size, ss)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tab, got); d != "" {
			t.Fatal(d)
		}
	})
}

// After each prefix of the writes the disk must show the old table or the new one.
func TestEncodeSurvivesACutAnywhere(t *testing.T) {
	const size = 512 * MiB
	old := sample(t, size, 512)
	next := old
	next.ID = guidOf(1000)
	next.Partitions = next.Partitions[:2]
	was, will := encode(t, old, size, nil), encode(t, next, size, nil)
	for n := range len(will.writes) + 1 {
		done := will.writes[:n]
		cuts := [][]Write{done}
		if n < len(will.writes) {
			// The next write is torn after its first sector, which holds all the entries in use, or in its middle.
			for _, k := range []int{512, len(will.writes[n].Data) / 1024 * 512} {
				torn := Write{will.writes[n].Offset, will.writes[n].Data[:k]}
				cuts = append(cuts, append(append([]Write(nil), done...), torn))
			}
		}
		for _, c := range cuts {
			got, err := Read(image{size, append(append([]Write(nil), was.writes...), c...)}, size, 512)
			if err != nil {
				t.Fatalf("after %d writes: %v", n, err)
			}
			if got.ID != old.ID && got.ID != next.ID {
				t.Errorf("after %d writes: disk id %s", n, got.ID)
			}
		}
		fresh := image{size, done}
		if _, err := Read(fresh, size, 512); n < len(will.writes) && !errors.Is(err, ErrNone) {
			t.Errorf("empty disk after %d writes: %v, wants no table until the last", n, err)
		}
	}
}

func TestBackupIsUsedAndSaid(t *testing.T) {
	const size = 512 * MiB
	tab := sample(t, size, 512)
	good := encode(t, tab, size, nil)
	want, err := Read(good, size, 512)
	if err != nil || want.Damage != nil {
		t.Fatalf("whole table: %v, damage %q", err, want.Damage)
	}
	for _, c := range []struct {
		name  string
		at    int64
		says  string
		twice int64
	}{
		{"primary header", 512 + 57, "primary: header at byte 512: checksum", 0},
		{"primary entries", 1024 + 200, "primary: entry array at sector 2: checksum", 0},
		{"backup header", size - 512 + 3, "backup: header at byte 536870400: no EFI PART", 0},
		{"backup entries", size - 33*512 + 9, "backup: entry array at sector 1048543: checksum", 0},
		{"both", 512 + 57, "", size - 512 + 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := image{size, append([]Write(nil), good.writes...)}
			bad.writes = append(bad.writes, Write{c.at, []byte{0xa5}})
			if c.twice != 0 {
				bad.writes = append(bad.writes, Write{c.twice, []byte{0xa5}})
			}
			got, err := Read(bad, size, 512)
			if c.twice != 0 {
				if err == nil || errors.Is(err, ErrNone) {
					t.Fatalf("err = %v, wants an error that does not say 'none'", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Damage) != 1 || !strings.Contains(got.Damage[0], c.says) {
				t.Errorf("damage = %q, wants %q", got.Damage, c.says)
			}
			if primary := strings.HasPrefix(c.says, "primary"); got.Backup != primary {
				t.Errorf("backup = %v", got.Backup)
			}
			got.Damage, got.Backup = nil, false
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("disk grew", func(t *testing.T) {
		got, err := Read(image{2 * size, good.writes}, 2*size, 512)
		if err != nil || len(got.Damage) != 1 || !strings.Contains(got.Damage[0], "not in the disk's last sector") {
			t.Fatalf("err = %v, damage = %q", err, got.Damage)
		}
	})
	t.Run("other sector size", func(t *testing.T) {
		_, err := Read(good, size, 4096)
		if err == nil || !strings.Contains(err.Error(), "written for sectors of 512") {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestEncodeKeepsBootCode(t *testing.T) {
	old := bytes.Repeat([]byte{0x90}, 512)
	m := encode(t, sample(t, 512*MiB, 4096), 512*MiB, old)
	boot := m.writes[len(m.writes)-1]
	if boot.Offset != 0 || !bytes.Equal(boot.Data[:440], old[:440]) || !hasProtective(boot.Data) || isHybrid(boot.Data) {
		t.Errorf("sector 0 at %d: % x", boot.Offset, boot.Data[440:512])
	}
}

func TestEncodeRefuses(t *testing.T) {
	const size = 512 * MiB
	for name, c := range map[string]struct {
		change func(*Table)
		says   string
	}{
		"overlap":        {func(t *Table) { t.Partitions[1].Start -= MiB }, "overlaps"},
		"outside":        {func(t *Table) { t.Partitions[3].Start = size - MiB }, "outside the usable"},
		"huge":           {func(t *Table) { t.Partitions[3].Size = math.MaxInt64 / 512 * 512 }, "outside the usable"},
		"number twice":   {func(t *Table) { t.Partitions[1].Number = 1 }, "number used twice"},
		"id twice":       {func(t *Table) { t.Partitions[1].ID = guidOf(1) }, "partition 1 has the same id"},
		"number":         {func(t *Table) { t.Partitions[1].Number = 129 }, "not in 1-128"},
		"unaligned":      {func(t *Table) { t.Partitions[1].Start += 100 }, "not whole sectors"},
		"long name":      {func(t *Table) { t.Partitions[1].Name = strings.Repeat("𝄞", 19) }, "38 UTF-16 units"},
		"name not UTF-8": {func(t *Table) { t.Partitions[1].Name = "\xff" }, "not UTF-8"},
		"dos":            {func(t *Table) { t.Scheme = SchemeDOS }, "only gpt"},
		"no id":          {func(t *Table) { t.ID = "" }, "guid"},
		"zero id":        {func(t *Table) { t.Partitions[0].ID = guid{}.String() }, "is zero"},
		"sector size":    {func(t *Table) { t.SectorSize = 513 }, "sector size 513"},
		"last usable":    {func(t *Table) { t.LastUsable = size - 1 }, "last usable byte"},
	} {
		t.Run(name, func(t *testing.T) {
			tab := sample(t, size, 512)
			c.change(&tab)
			if _, err := Encode(tab, size, nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, wants %q", err, c.says)
			}
		})
	}
}

// sgdisk checks what Encode wrote, and Read reads what sgdisk wrote.
func TestOracleSgdisk(t *testing.T) {
	need(t, "sgdisk")
	const size = 512 * MiB
	path := filepath.Join(t.TempDir(), "disk")
	tab := sample(t, size, 512)
	writeImage(t, path, size, encode(t, tab, size, nil).writes)
	out := run(t, "sgdisk", "-v", path)
	if !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	run(t, "sgdisk", "-d", "3", "-n", "9:0:+8M", "-t", "9:8200", "-c", "9:née", "-A", "9:set:60", "-n", "12:0:+1M", "-t", "12:fd00", path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Read(f, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	nine := part(got, 9)
	if nine.Name != "née" || nine.Type != typeOf(t, "swap") || nine.Size != 8*MiB || nine.Attributes != 1<<60 || got.Damage != nil {
		t.Errorf("partition 9 of sgdisk: %+v, damage %q", nine, got.Damage)
	}
	compareSfdisk(t, path, got)
}

// compareSfdisk compares the table with `sfdisk --json`, partition by partition.
func compareSfdisk(t *testing.T, path string, tab Table) {
	t.Helper()
	need(t, "sfdisk")
	var dump struct {
		PartitionTable struct {
			Label, ID         string
			FirstLBA, LastLBA int64
			SectorSize        int64
			Partitions        []struct {
				Node, Type, UUID, Name string
				Start, Size            int64
			}
		}
	}
	if err := json.Unmarshal([]byte(run(t, "sfdisk", "--json", path)), &dump); err != nil {
		t.Fatal(err)
	}
	d := dump.PartitionTable
	if strings.TrimPrefix(strings.ToLower(d.ID), "0x") != tab.ID || d.Label != tab.Scheme || len(d.Partitions) != len(tab.Partitions) {
		t.Fatalf("sfdisk: %+v\nours: %+v", d, tab)
	}
	if tab.Scheme == SchemeGPT && (d.FirstLBA*d.SectorSize != tab.FirstUsable || (d.LastLBA+1)*d.SectorSize-1 != tab.LastUsable) {
		t.Errorf("usable: sfdisk %d-%d sectors, ours %d-%d bytes", d.FirstLBA, d.LastLBA, tab.FirstUsable, tab.LastUsable)
	}
	ours := append([]Partition(nil), tab.Partitions...)
	sort.Slice(ours, func(i, j int) bool { return ours[i].Number < ours[j].Number })
	for i, p := range ours {
		q := d.Partitions[i]
		typ := strings.ToLower(q.Type)
		if tab.Scheme == SchemeDOS {
			n, _ := strconv.ParseUint(typ, 16, 8)
			typ = dosType(byte(n))
		} else if strings.ToLower(q.UUID) != p.ID || q.Name != p.Name {
			t.Errorf("partition %d: sfdisk %+v, ours %+v", p.Number, q, p)
		}
		if typ != p.Type || q.Start*d.SectorSize != p.Start || q.Size*d.SectorSize != p.Size || !strings.HasSuffix(q.Node, strconv.Itoa(p.Number)) {
			t.Errorf("partition %d: sfdisk %+v, ours %+v", p.Number, q, p)
		}
	}
}

// A real chain of logical partitions, as sfdisk creates it.
func TestOracleDOS(t *testing.T) {
	need(t, "sfdisk")
	const size = 512 * MiB
	path := filepath.Join(t.TempDir(), "disk")
	writeImage(t, path, size, nil)
	c := exec.Command("sfdisk", path)
	c.Stdin = strings.NewReader("label: dos\nlabel-id: 0xdeadbeef\nstart=2048,size=40960,type=83,bootable\nstart=45056,size=900000,type=f\nstart=47104,size=20480,type=83\nstart=69632,size=40960,type=82\nstart=112640,size=8192,type=fd\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("ORACLE: sfdisk: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Read(f, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	compareSfdisk(t, path, got)
	if p := part(got, 6); got.ID != "deadbeef" || !p.Logical || p.ID != "deadbeef-06" {
		t.Errorf("partition 6: %+v", p)
	}
	if p := part(got, 1); p.Attributes != 0x80 || p.ID != "deadbeef-01" {
		t.Errorf("partition 1: %+v", p)
	}
}

func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("ORACLE MISSING: %v", err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func writeImage(t *testing.T, path string, size int64, writes []Write) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		if _, err := f.WriteAt(w.Data, w.Offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
