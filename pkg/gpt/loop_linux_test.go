package gpt

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
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

// Both tools take our table on a disk with sectors of 4096 bytes, and we take theirs.
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
	if p, _ := got.Partition(5); p.Type != typeOf(t, "raid") || got.Damage != nil {
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

// The kernel accepts our payloads in the order of Diff, and ends with what was wanted.
func TestOracleBLKPG(t *testing.T) {
	const size = 512 * MiB
	dev := loop(t, size, 512)
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // after the cleanup below, which needs it
	apply := func(c Change) error {
		p := c.Payload()
		arg := struct {
			op, flags, length int32
			data              unsafe.Pointer
		}{int32(c.Op), 0, int32(len(p)), unsafe.Pointer(&p[0])}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), BLKPG, uintptr(unsafe.Pointer(&arg)))
		runtime.KeepAlive(p)
		if errno != 0 {
			return errno
		}
		return nil
	}
	kernel := func() []Extent {
		var out []Extent
		parts, err := filepath.Glob("/sys/class/block/" + filepath.Base(dev) + "/*/partition")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			value := func(name string) int64 {
				b, err := os.ReadFile(filepath.Join(filepath.Dir(p), name))
				if err != nil {
					t.Fatal(err)
				}
				n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			out = append(out, Extent{int(value("partition")), value("start") * 512, value("size") * 512})
		}
		slices.SortFunc(out, func(a, b Extent) int { return a.Number - b.Number })
		return out
	}
	t.Cleanup(func() {
		for _, c := range Diff(kernel(), nil) {
			if err := apply(c); err != nil {
				t.Errorf("%s %d: %v", c.Op, c.Number, err)
			}
		}
	})
	for i, want := range [][]Partition{
		sample(t, size, 512).Partitions,
		{{Number: 1, Start: MiB, Size: 10 * MiB}, {Number: 2, Start: 20 * MiB, Size: MiB}, {Number: 3, Start: 100 * MiB, Size: MiB}},
		{{Number: 1, Start: MiB, Size: 5 * MiB}, {Number: 2, Start: 20 * MiB, Size: 80 * MiB}, {Number: 4, Start: 7 * MiB, Size: MiB}},
		nil,
	} {
		for _, c := range Diff(kernel(), want) {
			if err := apply(c); err != nil {
				if i == 0 {
					t.Skipf("BLKPG MISSING: %s %d: %v", c.Op, c.Number, err)
				}
				t.Fatalf("%s %d: %v", c.Op, c.Number, err)
			}
		}
		var wants []Extent
		for _, p := range want {
			wants = append(wants, Extent{p.Number, p.Start, p.Size})
		}
		slices.SortFunc(wants, func(a, b Extent) int { return a.Number - b.Number })
		if got := kernel(); !slices.Equal(got, wants) {
			t.Fatalf("step %d: kernel has %v, wants %v", i, got, wants)
		}
	}
}
