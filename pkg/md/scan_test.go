package md

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// ghosts returns a device with a superblock of every version.
func ghosts(t *testing.T, size int64) device {
	t.Helper()
	dev := device{}
	for i, v := range Versions() {
		spec := testSpec(v, 1, 2, 1, false)
		spec.UUID = testUUID(byte(10 + i))
		spec.Members[0].Size = size
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		dev.apply(images[0].Writes)
	}
	return dev
}

func TestScanFindsEveryGhostAndWipeOnlyThose(t *testing.T) {
	const size = 300<<20 + 5*Sector
	dev := ghosts(t, size)
	got, err := Scan(dev, size)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d superblocks, %v", len(got), err)
	}
	for i, v := range Versions() {
		if got[i].Version != v || got[i].UUID != testUUID(byte(10+i)) {
			t.Errorf("%d: %s %s", i, got[i].Version, got[i].UUID)
		}
	}
	ws, err := Wipe(dev, size)
	if err != nil || len(ws) != 4 {
		t.Fatalf("%d writes, %v", len(ws), err)
	}
	for _, w := range ws {
		if want := map[bool]int{true: 4096, false: 512}[w.Offset == got[3].SuperOffset]; len(w.Data) != want || !bytes.Equal(w.Data, make([]byte, want)) {
			t.Errorf("wipe at %d: %d bytes", w.Offset, len(w.Data))
		}
	}
	if left, err := Scan(dev.apply(ws), size); err != nil || len(left) != 0 {
		t.Errorf("after the wipe: %v, %v", left, err)
	}
}

func TestScanSaysWhatIsWrong(t *testing.T) {
	const size = 300 << 20
	member := func() device {
		images, err := New(testSpec(V12, 1, 2, 1, true))
		if err != nil {
			t.Fatal(err)
		}
		return device{}.apply(images[0].Writes)
	}
	for name, c := range map[string]struct {
		dev   device
		size  int64
		kind  Damage
		words string
		wipes int
	}{
		"flipped":   {func() device { d := member(); d[4096][40] ^= 1; return d }(), size, BadChecksum, "checksum", 1},
		"too small": {member(), 100 << 20, Truncated, "the device has 104857600", 1},
		"elsewhere": {device{0: raw1(8)}, size, Misplaced, "records its own position as byte 4096", 0},
		"big-endian": {device{size - 65536: []byte{0xa9, 0x2b, 0x4e, 0xfc, 0, 0, 0, 0, 0, 0, 0, 90}}, size, Unsupported,
			"big-endian", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Scan(c.dev, c.size)
			var d *Damaged
			if len(got) != 0 || !errors.As(err, &d) || d.Kind != c.kind || !strings.Contains(err.Error(), c.words) || d.Offset < 0 {
				t.Errorf("%v, %v", got, err)
			}
			if ws, err := Wipe(c.dev, c.size); err != nil || len(ws) != c.wipes {
				t.Errorf("wipe: %d writes, %v", len(ws), err)
			}
		})
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("medium error") }

func TestScanReportsReadErrors(t *testing.T) {
	if _, err := Scan(broken{}, 1<<30); err == nil || strings.Count(err.Error(), "medium error") != 4 {
		t.Error(err)
	}
	if _, err := Scan(bytes.NewReader(make([]byte, 8192)), 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	for size := range int64(1 << 18) {
		if size%509 == 0 {
			if got, err := Scan(bytes.NewReader(make([]byte, size)), size); err != nil || len(got) > 0 {
				t.Fatal(size, got, err)
			}
		}
	}
}

// A 1.0 or 0.90 superblock at the end of the last partition, seen through the
// whole disk: the 1.0 superblock is misplaced, the 0.90 one cannot be told apart.
func TestPartitionAtTheEndOfADisk(t *testing.T) {
	const disk, start = 256 << 20, 64 << 20
	for _, v := range []Version{V10, V090} {
		spec := testSpec(v, 1, 2, 1, false)
		spec.Members[0].Size = disk - start
		images, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		whole := device{}
		for _, w := range images[0].Writes {
			whole[start+w.Offset] = w.Data
		}
		got, err := Scan(whole, disk)
		var d *Damaged
		if v == V10 && (len(got) != 0 || !errors.As(err, &d) || d.Kind != Misplaced) {
			t.Errorf("1.0: %v, %v", got, err)
		}
		if v == V090 && (err != nil || len(got) != 1) {
			t.Errorf("0.90: %v, %v", got, err)
		}
	}
}
