package tree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDiskMode checks that a copy on a simulated disk ends in the faster mode, whatever the options say about the disk, and that
// the trials take little time.
func TestDiskMode(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		said         bool  // heads
		heads, flash int64 // the rates of the disk in the two modes, in MiB per second
		want         bool
		says         string
		trials       int // in ten minutes, at most
	}{
		"flash":                       {false, 300, 900, false, "", 0},
		"heads":                       {true, 60, 20, true, "", 0},
		"heads, taken for flash":      {false, 60, 15, true, "disks: they behave like heads: 4.0 times as fast with one reader in disk order", 1},
		"flash, taken for heads":      {true, 400, 1000, false, "disks: they behave like flash: 2.5 times as fast with many readers", 1},
		"a slow stick":                {false, 30, 30, false, "", 4},
		"a slow link":                 {false, 20, 60, false, "", 4},
		"heads that read on and on":   {true, 240, 120, true, "", 4},
		"a disk that answers nothing": {false, 0, 0, false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			g := newDiskMode(Options{Rotational: c.said}, now)
			var bytes int64
			trials, other, was, says := 0, 0, c.said, ""
			for range 600 * 4 {
				now = now.Add(250 * time.Millisecond)
				rate := c.flash
				if g.heads.Load() {
					rate = c.heads
				}
				bytes += rate * mb / 4
				if s := g.tick(now, bytes, 0); s != "" {
					says += s
				}
				if h := g.heads.Load(); h != was {
					was = h
					if h != c.said {
						trials++
					}
				}
				if g.heads.Load() != c.want {
					other++
				}
			}
			if g.heads.Load() != c.want || says != c.says || trials > c.trials {
				t.Errorf("heads %v, says %q, %d trials; want %v, %q, %d", g.heads.Load(), says, trials, c.want, c.says, c.trials)
			}
			if other > 600*4/20 {
				t.Errorf("%d of %d quarters of a second in the slower way", other, 600*4)
			}
		})
	}
	g, now := newDiskMode(Options{DiskKnown: true}, time.Unix(1000, 0)), time.Unix(1000, 0)
	for range 100 {
		now = now.Add(time.Second)
		if s := g.tick(now, 1, 0); s != "" || g.heads.Load() {
			t.Error("what is known of the disk is distrusted")
		}
	}
}

// TestQueueLimit checks that the number of active workers never exceeds the limit, from the moment it is set.
func TestQueueLimit(t *testing.T) {
	q := newQueue(8)
	q.setLimit(1)
	var now, most, done atomic.Int64
	step := func(n int, after func()) *steps {
		return &steps{n: n, run: func() {
			if x := now.Add(1); x > most.Load() {
				most.Store(x)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			if done.Add(1) == int64(n) && after != nil {
				after()
			}
		}}
	}
	q.push(step(20, func() {
		if n := most.Swap(0); n != 1 {
			t.Errorf("%d worked at once, the limit was 1", n)
		}
		q.push(step(200, nil))
		q.setLimit(4)
	}))
	if err := q.run(func() *worker { return newWorker() }); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n < 2 || n > 4 || done.Load() != 220 {
		t.Errorf("%d worked at once, the limit was 4; %d tasks done", n, done.Load())
	}
}

// steps is work of n tasks.
type steps struct {
	mu  sync.Mutex
	n   int
	run func()
}

func (s *steps) take(int) task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n--; s.n < 0 {
		return nil
	}
	return func(*worker) error { s.run(); return nil }
}

// TestCopySwitchesDiskMode checks that a copy and its verification are right even if the mode changes again and again.
func TestCopySwitchesDiskMode(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for i := range 400 {
		size := 10 * i
		if i%80 == 0 {
			size = 3*rangeLen + i
		}
		if err := os.WriteFile(filepath.Join(src, fmt.Sprint(i)), bytes.Repeat([]byte{byte(1 + i%250)}, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var g *diskMode
	shifts := atomic.Int64{}
	o := Options{Rotational: true, ProgressEvery: 100 * time.Microsecond, onDiskMode: func(x *diskMode) { g = x }, pace: func() {
		g.heads.Store(shifts.Add(1)%2 == 0)
		time.Sleep(time.Millisecond)
	}}
	res, err := Copy(t.Context(), src, dst, o)
	if err != nil || res.Files != 400 || shifts.Load() < 5 {
		t.Fatal(res, err, shifts.Load())
	}
	if r, err := Verify(t.Context(), src, dst, Options{Rotational: res.Heads}); err != nil || !r.Equal() {
		t.Fatal(r, err)
	}
}
