package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

func readAll(t *testing.T, dev string, off, n int64) []byte {
	t.Helper()
	d, err := OpenDevice(dev)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	b := make([]byte, n)
	_, err = d.ReadAt(b, off)
	must(t, err)
	return b
}

func testChunks(t *testing.T, dev, file string) {
	t.Helper()
	must(t, do(t, WriteDevice{dev, "test", []Chunk{{Offset: mib, Data: bytes.Repeat([]byte("x"), 3*mib)}}}))
	must(t, do(t, WriteDevice{dev, "test", []Chunk{{Offset: mib + 1, Zero: mib + 5}, {Offset: 7, Data: []byte("seven")}, {Offset: 4 * mib}}}))
	want := make([]byte, 8*mib)
	copy(want[mib:], bytes.Repeat([]byte("x"), 3*mib))
	clear(want[mib+1 : 2*mib+6])
	copy(want[7:], "seven")
	got, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the disk has other bytes")
	}
	wantError(t, do(t, WriteDevice{dev, "table", []Chunk{{Data: []byte("lost")}, {Offset: 8*mib - 1, Zero: 2}}}), dev, "chunk 1", "lie outside")
	if got := readAll(t, dev, 0, 4); !bytes.Equal(got, want[:4]) {
		t.Error("the first chunk was written although the second was refused")
	}
}

func TestWriteDeviceToALoopDevice(t *testing.T) {
	dev, file := loopDevice(t, 8*mib)
	testChunks(t, dev, file)
	must(t, do(t, Ioctl{Dev: dev, Name: "BLKFLSBUF", Req: unix.BLKFLSBUF}))
	d, err := OpenDevice(dev)
	must(t, err)
	if d.Size() != 8*mib {
		t.Errorf("size %d", d.Size())
	}
	must(t, d.Close())
}

func TestWriteDeviceToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(file, make([]byte, 8*mib), 0o600))
	testChunks(t, file, file)
	if st := stat(t, file); st.Size != 8*mib {
		t.Errorf("size became %d", st.Size)
	}
}

func TestWriteDeviceRefuses(t *testing.T) {
	one := []Chunk{{Data: []byte("x")}}
	wantError(t, do(t, WriteDevice{"/dev/null", "", one}), "/dev/null", "neither block device")
	wantError(t, do(t, WriteDevice{t.TempDir(), "", one}), "neither block device")
	if err := do(t, WriteDevice{"/dev/nonexistent", "", one}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(file, make([]byte, 10), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := writeDevice(ctx, WriteDevice{file, "", []Chunk{{Zero: 10}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := OpenDevice("/dev/null"); err == nil {
		t.Error("/dev/null was opened as a device")
	}
	if _, err := OpenDevice("/dev/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// mounted makes a filesystem on dev and mounts it.
func mounted(t *testing.T, dev string) string {
	t.Helper()
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("SKIPPED: needs mke2fs")
	}
	must(t, do(t, Exec{Argv: []string{"mke2fs", "-q", "-F", "-t", "ext4", dev}, Alters: []string{dev}}))
	dir := t.TempDir()
	must(t, do(t, Mount{dev, dir, "ext4", 0, "", false}))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestWriteDeviceRefusesAMountedOne(t *testing.T) {
	dev, _ := loopDevice(t, 8*mib)
	dir := mounted(t, dev)
	wantError(t, do(t, WriteDevice{dev, "", []Chunk{{Zero: mib}}}), dev, "in use", "mounted on "+dir)
	must(t, do(t, Unmount{dir}))
	must(t, do(t, WriteDevice{dev, "", []Chunk{{Zero: mib}}}))
}

func TestWriteDeviceBesideAMountedPartition(t *testing.T) {
	dev, file := loopDevice(t, 32*mib)
	must(t, do(t, Partitions{dev, []Extent{{1, mib, 16 * mib}, {2, 20 * mib, mib}}}))
	dir := mounted(t, dev+"p1")
	must(t, do(t, WriteDevice{dev, "boot code", []Chunk{{Data: []byte("boot")}, {Offset: 17 * mib, Zero: mib}}}))
	got, err := os.ReadFile(file)
	must(t, err)
	if string(got[:4]) != "boot" {
		t.Error("not written")
	}
	wantError(t, do(t, WriteDevice{dev, "", []Chunk{{Offset: mib - 1, Data: []byte("xx")}}}), "partition 1", "mounted on "+dir)
	wantError(t, do(t, WriteDevice{dev, "", []Chunk{{Offset: 20 * mib, Zero: 1}}}), "partition 2 would be overwritten", dir)
	// a partition that is not in use may be written, as the journal is beside the members of the new array
	must(t, do(t, WriteDevice{dev + "p2", "", []Chunk{{Zero: 4096}}}))
	wantError(t, do(t, WriteDevice{dev + "p1", "", []Chunk{{Zero: 4096}}}), "mounted on "+dir)
	must(t, do(t, Unmount{dir}))
	must(t, do(t, WriteDevice{dev, "", []Chunk{{Offset: mib, Zero: mib}}}))
}

func TestWriteDeviceHeldByAProcess(t *testing.T) {
	t.Parallel() // waits
	dev, _ := loopDevice(t, mib)
	f, err := os.OpenFile(dev, os.O_RDONLY|unix.O_EXCL, 0)
	must(t, err)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 4*busyGrace)
	defer cancel()
	_, err = new(Real).Do(ctx, WriteDevice{dev, "", []Chunk{{Zero: 1}}})
	wantError(t, err, dev, "in use", "machine.test")
}

func TestSetReadOnly(t *testing.T) {
	dev, _ := loopDevice(t, mib)
	must(t, do(t, SetReadOnly{dev, true}))
	if err := do(t, WriteDevice{dev, "", []Chunk{{Data: []byte("x")}}}); err == nil {
		t.Error("a read-only device was written")
	}
	must(t, do(t, SetReadOnly{dev, true}))
	must(t, do(t, SetReadOnly{dev, false}))
	must(t, do(t, WriteDevice{dev, "", []Chunk{{Data: []byte("x")}}}))
	wantError(t, do(t, SetReadOnly{"/dev/null", true}), "/dev/null")
	wantError(t, do(t, SetReadOnly{"/dev/nonexistent", true}), "no such file")
}

// TestOpenDeviceReadsTheDisk checks that reads are not answered from a stale page cache. A running array keeps its members open
// and writes to them past the cache; here a write to the file behind the loop device does that.
func TestOpenDeviceReadsTheDisk(t *testing.T) {
	dev, file := loopDevice(t, mib)
	holder, err := os.Open(dev)
	must(t, err)
	defer holder.Close()
	disk, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	defer disk.Close()
	for _, want := range []byte("abc") {
		for _, at := range []int64{0, 4096 + 512, mib - 1} {
			_, err := disk.WriteAt([]byte{want}, at)
			must(t, err)
			if got := readAll(t, dev, at, 1); got[0] != want {
				t.Errorf("byte %d is %q, want %q", at, got, want)
			}
		}
	}
}

// TestSetReadOnlyOfAPartitionAndItsDisk clears the flags in the order in which finish does: partitions first.
func TestSetReadOnlyOfAPartitionAndItsDisk(t *testing.T) {
	dev, _ := loopDevice(t, 4*mib)
	must(t, do(t, Partitions{dev, []Extent{{1, mib, mib}}}))
	zero := []Chunk{{Zero: 512}}
	for _, d := range []string{dev + "p1", dev} {
		must(t, do(t, SetReadOnly{d, true}))
	}
	must(t, do(t, SetReadOnly{dev + "p1", false}))
	if err := do(t, WriteDevice{Dev: dev + "p1", Chunks: zero}); err == nil {
		t.Error("a partition of a read-only disk was written")
	}
	must(t, do(t, SetReadOnly{dev, false}))
	must(t, do(t, WriteDevice{Dev: dev + "p1", Chunks: zero}))
	// the disk's flag is cleared, the partition's own flag stays
	must(t, do(t, SetReadOnly{dev + "p1", true}))
	if err := do(t, WriteDevice{Dev: dev + "p1", Chunks: zero}); err == nil {
		t.Error("a read-only partition was written")
	}
}

func TestIoctl(t *testing.T) {
	dev, _ := loopDevice(t, 3*mib)
	size := make([]byte, 8)
	must(t, do(t, Ioctl{Dev: dev, Name: "BLKGETSIZE64", Req: unix.BLKGETSIZE64, Arg: size}))
	if !bytes.Equal(size, []byte{0, 0, 0x30, 0, 0, 0, 0, 0}) {
		t.Errorf("size % x", size)
	}
	must(t, do(t, Ioctl{Dev: dev, Name: "BLKFLSBUF", Req: unix.BLKFLSBUF, Alters: []string{dev}}))
	err := do(t, Ioctl{Dev: dev, Name: "STOP_ARRAY", Req: 0x932})
	wantError(t, err, dev, "STOP_ARRAY")
	wantError(t, do(t, Ioctl{Dev: "/dev/nonexistent", Name: "X"}), "no such file")
}

func TestWriteSys(t *testing.T) {
	comm := "/proc/self/comm"
	was := content(t, comm)
	must(t, do(t, WriteSys{Path: comm, Value: "renamed"}))
	must(t, os.WriteFile(comm, []byte(was), 0o644))
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, []byte("keep"), 0o644))
	wantError(t, do(t, WriteSys{Path: file, Value: "x"}), file, "not on sysfs")
	wantError(t, do(t, WriteSys{Path: file + "2", Value: "x"}), "no such file")
	if content(t, file) != "keep" {
		t.Error("a file of the disk was written")
	}
	needRoot(t)
	err := do(t, WriteSys{Path: "/proc/self/oom_score_adj", Value: "nonsense\n"})
	wantError(t, err, "/proc/self/oom_score_adj", `"nonsense"`, "invalid argument")
}

func TestLoadModuleFailures(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.ko")
	must(t, os.WriteFile(bad, bytes.Repeat([]byte("no module"), 100), 0o644))
	wantError(t, do(t, LoadModule{Path: bad}), bad)
	wantError(t, do(t, LoadModule{Path: "named.ko.xz", Image: []byte("no module either, and short")}), "named.ko.xz")
	wantError(t, do(t, LoadModule{Path: filepath.Join(dir, "none.ko")}), "no such file")
}

func TestFreeBytesAndUptime(t *testing.T) {
	var st unix.Statfs_t
	dir := t.TempDir()
	must(t, unix.Statfs(dir, &st))
	free, unused, err := FreeBytes(dir)
	if total := int64(st.Blocks) * st.Frsize; err != nil || free <= 0 || unused < free || unused > total {
		t.Errorf("%d free, %d unused of %d, %v", free, unused, total, err)
	}
	if _, _, err := FreeBytes("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	a, b := Uptime(), Uptime()
	if a <= 0 || b < a {
		t.Errorf("uptime %g, then %g", a, b)
	}
}

// TestWriteDeviceAwaitsItsNode checks that a node that udev removes for a moment, while it re-reads a partition table, is waited
// for. A node that never appears is still an error.
func TestWriteDeviceAwaitsItsNode(t *testing.T) {
	dev, _ := loopDevice(t, 1<<20)
	var st unix.Stat_t
	must(t, unix.Stat(dev, &st))
	node := fmt.Sprintf("/dev/migrate-init-test-%d", os.Getpid())
	t.Cleanup(func() { _ = os.Remove(node) })
	made := make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		made <- unix.Mknod(node, unix.S_IFBLK|0o600, int(st.Rdev))
	}()
	must(t, do(t, WriteDevice{Dev: node, Why: "late", Chunks: []Chunk{{Offset: 4096, Data: []byte("here")}}}))
	must(t, <-made)
	b := make([]byte, 4)
	f, err := os.Open(dev)
	must(t, err)
	defer f.Close()
	if _, err := f.ReadAt(b, 4096); err != nil || string(b) != "here" {
		t.Errorf("read %q, %v", b, err)
	}
	wantError(t, do(t, WriteDevice{Dev: filepath.Join(t.TempDir(), "never"), Chunks: []Chunk{{Data: []byte("x")}}}), "no such file")
}
