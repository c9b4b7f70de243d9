package gpt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// loop attaches a new file of size bytes with that sector size.
func loop(t *testing.T, size int64, sectorSize int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("ROOT MISSING: cannot attach a loop device")
	}
	path := filepath.Join(t.TempDir(), "disk")
	writeImage(t, path, size, nil)
	out, err := exec.Command("losetup", "--show", "-f", "-b", strconv.Itoa(sectorSize), path).CombinedOutput()
	if err != nil {
		t.Skipf("LOOP MISSING: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", dev, err, out)
		}
	})
	return dev
}

// Both tools read our table on a disk with sectors of 4096 bytes, and Read reads theirs.
func TestOracleSectors4096(t *testing.T) {
	need(t, "sgdisk")
	need(t, "sfdisk")
	const size = 512 * MiB
	dev := loop(t, size, 4096)
	writeImageTo(t, dev, encode(t, sample(t, size, 4096), size, nil).writes)
	if out := run(t, "sgdisk", "-v", dev); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	if out := run(t, "sfdisk", "--verify", dev); !strings.Contains(out, "No errors detected") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	read := func() Table {
		f, err := os.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := Read(f, size, 4096)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	compareSfdisk(t, dev, read())
	run(t, "sgdisk", "-Z", dev)
	run(t, "sgdisk", "-n", "1:0:+4M", "-n", "5:0:0", "-t", "5:fd00", dev)
	got := read()
	compareSfdisk(t, dev, got)
	if p := part(got, 5); p.Type != typeOf(t, "raid") || got.Damage != nil {
		t.Errorf("%+v, damage %q", p, got.Damage)
	}
}

func writeImageTo(t *testing.T, dev string, writes []Write) {
	t.Helper()
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		if _, err := f.WriteAt(w.Data, w.Offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
