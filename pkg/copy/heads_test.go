package copy

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// latency is a simulated disk.
type latency struct {
	read  func() time.Duration // how long the next read takes
	lanes chan bool            // its capacity is the number of reads served at once
	wake  time.Duration        // additional time of the first read
	bad   int                  // every bad-th read fails; 0: none

	mu sync.Mutex
	n  int
}

func disk(lanes int, read func() time.Duration) *latency {
	return &latency{read: read, lanes: make(chan bool, lanes)}
}

func between(least, most time.Duration) func() time.Duration {
	return func() time.Duration { return least + rand.N(most-least) }
}

func (d *latency) Size() int64  { return 1 << 40 }
func (d *latency) Close() error { return nil }

func (d *latency) Touch(off int64) error {
	d.mu.Lock()
	d.n++
	n := d.n
	d.mu.Unlock()
	if off < 0 || off >= d.Size() {
		return errors.New("outside")
	}
	d.lanes <- true
	defer func() { <-d.lanes }()
	time.Sleep(d.read())
	if n == 1 {
		time.Sleep(d.wake)
	}
	if d.bad > 0 && n%d.bad == 0 {
		return errors.New("input/output error")
	}
	return nil
}

// TestHeads checks that MeasureDisk recognizes moving heads by the times of serial and parallel reads at random places, and
// that it takes well under a second.
func TestHeads(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for name, c := range map[string]struct {
		disk func() *latency // made where its time passes
		want bool
		why  string
	}{
		"NVMe":                        {func() *latency { return disk(64, between(60*us, 120*us)) }, false, "24 direct reads"},
		"SATA flash":                  {func() *latency { return disk(32, between(100*us, 400*us)) }, false, "24 direct reads"},
		"flash behind a network":      {func() *latency { return disk(32, between(700*us, 1800*us)) }, false, "24 direct reads"},
		"flash far behind a network":  {func() *latency { return disk(64, between(4*ms, 8*ms)) }, false, "8 at once are"},
		"a virtual disk, throttled":   {func() *latency { return disk(4, between(2*ms, 3*ms)) }, false, "8 at once are"},
		"7200 rpm":                    {func() *latency { return disk(1, between(4*ms, 20*ms)) }, true, "8 at once are"},
		"15000 rpm":                   {func() *latency { return disk(1, between(3*ms, 7*ms)) }, true, "8 at once are"},
		"heads that sort their reads": {func() *latency { return disk(1, shorter(between(4*ms, 20*ms))) }, true, "8 at once are"},
		"twelve disks with heads":     {func() *latency { return disk(12, between(4*ms, 20*ms)) }, false, "8 at once are"},
		"heads, half of it unwritten": {func() *latency { return disk(1, mixed(between(20*us, 40*us), between(8*ms, 16*ms), 0.8)) }, true, "8 at once are"},
		"asleep": {func() *latency {
			return &latency{read: between(4*ms, 20*ms), lanes: make(chan bool, 1), wake: 9 * time.Second}
		}, true, "8 at once are"},
		"flash with a bad place": {func() *latency { return &latency{read: between(60*us, 120*us), lanes: make(chan bool, 32), bad: 20} }, false, "24 direct reads"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, begin := c.disk(), time.Now()
				r, err := MeasureDisk(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin) - d.wake; took > time.Second {
					t.Errorf("it took %v", took)
				}
				if heads, why := r.Heads(); heads != c.want || !strings.Contains(why, c.why) {
					t.Errorf("heads %v: %s; %+v", heads, why, r)
				}
			})
		})
	}
}

// mixed returns b for the given share of the reads, and a for the others.
func mixed(a, b func() time.Duration, share float64) func() time.Duration {
	return func() time.Duration {
		if rand.Float64() > share {
			return a()
		}
		return b()
	}
}

// shorter simulates a disk that reorders the reads as soon as there are several at once.
func shorter(read func() time.Duration) func() time.Duration {
	n := 0
	return func() time.Duration {
		if n++; n > serialReads+1 {
			return read() * 2 / 3
		}
		return read()
	}
}

// TestClassify checks that the kernel's flag decides if a disk cannot be measured, that the operator's choice overrides both,
// and that each decision is explained.
func TestClassify(t *testing.T) {
	opens := 0
	open := func(path string) (Direct, error) {
		opens++
		switch path {
		case "/dev/flash":
			return disk(32, between(60*time.Microsecond, 90*time.Microsecond)), nil
		case "/dev/heads":
			return disk(1, between(4*time.Millisecond, 9*time.Millisecond)), nil
		case "/dev/dead":
			return &latency{read: between(1, 2), lanes: make(chan bool, 1), bad: 2}, nil
		}
		return nil, errors.New("permission denied")
	}
	flash, heads := Disk{"/dev/flash", true}, Disk{"/dev/heads", false}
	for name, c := range map[string]struct {
		kind  string
		disks []Disk
		want  bool
		why   []string
		opens int
	}{
		"both flash, whatever the flag": {DiskAuto, []Disk{flash, flash}, false, []string{"disk /dev/flash: flash: 24 direct"}, 1},
		"one has heads":                 {DiskAuto, []Disk{flash, heads}, true, []string{"disk /dev/flash: flash: 24", "disk /dev/heads: heads: 24"}, 2},
		"told heads":                    {DiskHeads, []Disk{flash}, true, []string{"disks: heads, as --disk-kind says"}, 0},
		"told flash":                    {DiskFlash, []Disk{heads}, false, []string{"disks: flash, as --disk-kind says"}, 0},
		"not to be opened, flag set":    {DiskAuto, []Disk{{"/dev/x", true}}, true, []string{"disk /dev/x: heads: by the kernel's flag, because it could not be measured (permission denied)"}, 1},
		"not to be opened":              {"", []Disk{{"/dev/x", false}}, false, []string{"disk /dev/x: flash: by the kernel's flag"}, 1},
		"errors":                        {DiskAuto, []Disk{{"/dev/dead", true}}, true, []string{"disk /dev/dead: heads: by the kernel's flag"}, 1},
		"no device":                     {DiskAuto, []Disk{{}}, false, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opens = 0
				got, why := Classify(t.Context(), c.kind, open, c.disks...)
				if got != c.want || opens != c.opens || !slices.EqualFunc(why, c.why, strings.HasPrefix) {
					t.Errorf("heads %v, %d opened, %q; want %v, %d, %q", got, opens, why, c.want, c.opens, c.why)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MeasureDisk(ctx, disk(1, between(1, 2))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled measurement: %v", err)
	}
}

// TestLoopDeviceIsMeasured checks that a loop device in memory counts as flash, although the kernel's flag says rotational.
func TestLoopDeviceIsMeasured(t *testing.T) {
	b := newBench(t)
	dev := b.loop("flash", 64)
	flag, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(dev), "queue/rotational"))
	if err != nil {
		t.Fatal(err)
	}
	var g Engines
	d := Disk{Path: dev, Rotational: strings.TrimSpace(string(flag)) == "1"}
	heads, why := g.Heads(t.Context(), DiskAuto, d)
	if heads || len(why) != 1 || !strings.HasPrefix(why[0], "disk "+dev+": flash: 24 direct reads at random places, three of four within ") {
		t.Errorf("flag %q: heads %v, %q", flag, heads, why)
	}
	if heads, why := g.Heads(t.Context(), DiskAuto, d); heads || why != nil {
		t.Errorf("asked again: heads %v, %q", heads, why)
	}
	if heads, why := g.Heads(t.Context(), DiskHeads, d); !heads || len(why) != 1 {
		t.Errorf("told: heads %v, %q", heads, why)
	}
}
