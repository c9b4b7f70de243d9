package probe

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"migrate-init/pkg/fixtures"
)

// firmwareRAID are util-linux's images of the eleven kinds that firmware or its driver reads from a disk.
func firmwareRAID() []string {
	return []string{"adaptec", "ddf", "hpt37x", "hpt45x", "isw", "jmicron", "lsi", "nvidia", "promise", "silicon", "via"}
}

// TestJudgeBlkidPartition gives blkid each image of firmware RAID as a whole disk, and as a partition of one: libblkid
// and the firmware look for all of these but DDF only on whole disks.
func TestJudgeBlkidPartition(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ROOT MISSING: cannot attach a loop device")
	}
	for _, kind := range firmwareRAID() {
		t.Run(kind, func(t *testing.T) {
			im := fixtures.Open(t, fixtures.Glob(t, "blkid", "images-fs_"+kind+"-raid.img.xz", 1)[0], 0)
			whole := loopOf(t, im, 0)
			judgeDevice(t, whole, im.Size, Probe, true)
			disk := loopOf(t, im, mib)
			tool(t, disk, "addpart", "@", "1", strconv.Itoa(mib/512), strconv.FormatInt(im.Size/512, 10))
			t.Cleanup(func() { tool(t, disk, "delpart", "@", "1") })
			judgeDevice(t, disk+"p1", im.Size, Partition, kind == "ddf")
		})
	}
}

// loopOf attaches a new file that has an image at some byte of it.
func loopOf(t *testing.T, im *fixtures.Image, at int64) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.NewOffsetWriter(f, at), io.NewSectionReader(im, 0, im.Size)); err != nil {
		t.Fatal(err)
	}
	if at > 0 {
		if err := f.Truncate(at + im.Size + mib); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", f.Name()).CombinedOutput()
	if err != nil {
		t.Skipf("LOOP DEVICE MISSING: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { tool(t, dev, "losetup", "--detach", "@") })
	return dev
}

// judgeDevice compares what look finds on a device with what blkid finds; raid says that there must be firmware RAID.
func judgeDevice(t *testing.T, dev string, size int64, look func(io.ReaderAt, int64) (Result, error), raid bool) {
	t.Helper()
	f, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	res, err := look(f, size)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for _, s := range res.Find(RAID) {
		seen = s.Type
	}
	// blkid exits with 2 where it finds nothing.
	out, err := exec.Command("blkid", "-p", "-o", "value", "-s", "TYPE", dev).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		t.Fatalf("blkid: %v", err)
	}
	if judge := strings.TrimSpace(string(out)); seen != judge || (seen != "") != raid {
		t.Errorf("%s: %q, blkid %q; firmware RAID expected: %v", dev, seen, judge, raid)
	}
}
