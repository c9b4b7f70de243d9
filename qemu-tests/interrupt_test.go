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
	// Later and later, until two came while the loop device was there: how long the steps before it take is the machine's affair.
	for after := 700 * time.Millisecond; seen < 2 && after < 2*time.Minute; after = after * 3 / 2 {
		short, cancel := context.WithTimeout(ctx, after)
		path, failure := mine.Disk(short, spec)
		cancel()
		if failure == nil {
			t.Logf("disk %s was made within %s", path, after)
			break
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
		t.Error("no interruption came while the loop device was there")
	}
}
