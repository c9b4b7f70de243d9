package md

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mdadm runs mdadm --examine or --examine-bitmap on plain files, and reads the
// "key : value" lines.
func mdadm(t *testing.T, args ...string) map[string]string {
	t.Helper()
	bin, err := exec.LookPath("mdadm")
	if err != nil {
		t.Skip("SKIPPED: mdadm, the oracle of this test, is not installed")
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mdadm %v: %v\n%s", args, err, out)
	}
	facts := map[string]string{"": string(out)}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " : "); ok {
			facts[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return facts
}

// putImage creates a sparse file of size bytes with the image's writes.
func putImage(t *testing.T, dir string, size int64, im MemberImage) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("member%d", im.Index))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, w := range im.Writes {
		if _, err := f.WriteAt(w.Data, w.Offset); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func testUUID(b byte) UUID {
	var u UUID
	for i := range u {
		u[i] = b + byte(i)*7
	}
	return u
}

func testSpec(v Version, level, disks, missing int, bitmap bool) Spec {
	s := Spec{
		Version: v, UUID: testUUID(1), Name: "host:root", Level: level, RaidDisks: disks,
		Bitmap: bitmap, CTime: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
	}
	if v == V090 {
		s.Name = ""
	}
	for i := range disks {
		s.Members = append(s.Members, MemberSpec{Size: 200<<20 + int64(i)*12345*Sector, DeviceUUID: testUUID(byte(100 + i)),
			Major: 254, Minor: uint32(16*i + 3)})
	}
	for i := range missing {
		s.Members[disks-1-i].Missing = true
	}
	return s
}

func TestMdadmReadsWhatNewWrites(t *testing.T) {
	levels := []struct{ level, disks, missing int }{
		{1, 2, 0}, {1, 2, 1}, {1, 3, 1}, {5, 3, 0}, {5, 3, 1}, {6, 4, 0}, {6, 4, 2}, {10, 4, 0}, {10, 4, 1}, {4, 3, 1}, {0, 2, 0},
	}
	for _, v := range Versions() {
		for _, l := range levels {
			for _, bitmap := range []bool{true, false} {
				if bitmap && l.level == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/raid%d/%dof%d/bitmap=%v", v, l.level, l.disks-l.missing, l.disks, bitmap), func(t *testing.T) {
					examine(t, testSpec(v, l.level, l.disks, l.missing, bitmap))
				})
			}
		}
	}
}

func examine(t *testing.T, spec Spec) {
	images, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, im := range images {
		path := putImage(t, dir, spec.Members[im.Index].Size, im)
		got := mdadm(t, "--examine", path)
		s := im.Super
		want := map[string]string{
			"Raid Level": levelName(spec.Level), "Raid Devices": fmt.Sprint(spec.RaidDisks),
			"Creation Time": spec.CTime.Format(time.ANSIC), "Events": "1",
		}
		state := "active"
		if s.Clean() {
			state = "clean"
		}
		want["State"] = state
		if !strings.HasSuffix(got["Checksum"], "- correct") {
			t.Errorf("checksum: %q", got["Checksum"])
		}
		if spec.Chunk = s.ChunkSize; spec.Chunk > 0 {
			want["Chunk Size"] = fmt.Sprintf("%dK", spec.Chunk/1024)
		}
		switch spec.Level {
		case 5, 6:
			want["Layout"] = "left-symmetric"
		case 10:
			want["Layout"] = "near=2"
		}
		if spec.Version == V090 {
			want["UUID"] = spec.UUID.String()
			want["Version"] = "0.90.00"
			if spec.Bitmap {
				want["Internal Bitmap"] = "present"
			}
			want["Active Devices"] = fmt.Sprint(len(images))
			want["Failed Devices"] = fmt.Sprint(spec.RaidDisks - len(images))
			row := fmt.Sprintf("this %5d   %5d    %5d    %5d      active sync", im.Index, 254, 16*im.Index+3, im.Index)
			if !strings.Contains(got[""], row) {
				t.Errorf("no line %q in\n%s", row, got[""])
			}
		} else {
			want["Array UUID"] = spec.UUID.String()
			want["Version"] = string(spec.Version)
			want["Name"] = spec.Name
			want["Device UUID"] = spec.Members[im.Index].DeviceUUID.String()
			want["Device Role"] = fmt.Sprintf("Active device %d", im.Index)
			want["Array State"] = s.ArrayState() + " ('A' == active, '.' == missing, 'R' == replacing)"
			want["Super Offset"] = fmt.Sprintf("%d sectors", s.SuperOffset/Sector)
			want["Bad Block Log"] = fmt.Sprintf("512 entries available at offset %d sectors", s.BadBlocks.Offset/Sector)
			if spec.Bitmap {
				want["Internal Bitmap"] = fmt.Sprintf("%d sectors from superblock", s.BitmapOffset/Sector)
			}
			if s.DataOffset > 0 {
				want["Data Offset"] = fmt.Sprintf("%d sectors", s.DataOffset/Sector)
			}
			if strings.Contains(got[""], "TRUNCATED") || strings.Contains(got[""], "TOO SMALL") || strings.Contains(got[""], "inconsistent") {
				t.Errorf("mdadm finds the member too small or inconsistent:\n%s", got[""])
			}
		}
		for k, w := range want {
			if got[k] != w {
				t.Errorf("%s: mdadm says %q, want %q", k, got[k], w)
			}
		}
		if t.Failed() {
			t.Fatal(got[""])
		}
		if spec.Bitmap {
			bm := mdadm(t, "--examine-bitmap", loop(t, path))
			sum := fmt.Sprintf("%d bits (chunks), ", bitmapOf(t, path, s).Bits())
			dirty := "0 dirty"
			if !s.Clean() {
				dirty = fmt.Sprintf("%d dirty (100.0%%)", bitmapOf(t, path, s).Bits())
			}
			if bm["UUID"] != spec.UUID.String() || bm["Events"] != "1" || bm["Events Cleared"] != "1" ||
				!strings.HasPrefix(bm["Bitmap"], sum+dirty) || bm["State"] != "OK" {
				t.Errorf("bitmap: want %q\n%s", sum+dirty, bm[""])
			}
		}
	}
}

// loop attaches a file to a loop device: in a plain file mdadm looks for an external bitmap.
func loop(t *testing.T, path string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root: no loop device for mdadm --examine-bitmap")
	}
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", path).Output()
	if err != nil {
		t.Skipf("SKIPPED: losetup: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v %s", dev, err, out)
		}
	})
	return dev
}

func bitmapOf(t *testing.T, path string, s Superblock) Bitmap {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := ReadBitmap(f, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
