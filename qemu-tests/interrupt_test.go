package qemutests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// TestLabDiskInterrupted cancels the making of a disk at several moments: no loop device, no mount and no half image stays.
func TestLabDiskInterrupted(t *testing.T) {
	l, ctx, dir := open(t)
	spec := lab.FastDebian()
	tar, err := l.Root(ctx, spec.Root)
	if err != nil {
		t.Fatal(err)
	}
	mine := *l
	mine.Cache = dir
	if err := os.Link(tar, filepath.Join(dir, filepath.Base(tar))); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Agent(ctx); err != nil {
		t.Fatal(err)
	}
	loopName := regexp.MustCompile(`loop device: /dev/(loop\d+)`)
	seen := 0
	for _, after := range []time.Duration{700 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
		short, cancel := context.WithTimeout(ctx, after)
		path, failure := mine.Disk(short, spec)
		cancel()
		if failure == nil {
			t.Fatalf("disk %s was made within %s: nothing was interrupted", path, after)
		}
		loops, err := exec.Command("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").Output()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(loops), dir) {
			t.Errorf("after %s: loop devices stay: %s", after, loops)
		}
		// Its partitions would outlive it. The device may have a new owner by now: then they are not ours.
		if m := loopName.FindStringSubmatch(failure.Error()); m != nil {
			parts, _ := filepath.Glob("/sys/block/" + m[1] + "/" + m[1] + "p*")
			if _, err := os.Stat("/sys/block/" + m[1] + "/loop/backing_file"); err != nil && parts != nil {
				t.Errorf("after %s: partitions stay: %q", after, parts)
			}
			seen++
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.raw*")); len(left) > 1 || len(left) == 1 && !strings.HasSuffix(left[0], ".lock") {
			t.Errorf("after %s: files stay: %q", after, left)
		}
	}
	if seen == 0 {
		t.Error("no interruption came after the loop device was there; the moments are too early")
	}
}
