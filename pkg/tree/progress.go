package tree

import (
	"sync"
	"sync/atomic"
	"time"

	"migrate-init/pkg/crew"

	"golang.org/x/sys/unix"
)

// progress counts, and reports when the ticker asks.
type progress struct {
	files, dirs, bytes atomic.Int64

	mu      sync.Mutex
	d       *dir
	name    string
	notify  func(Event)
	total   int64
	inodes  int64
	started time.Time
	samples []sample
}

type sample struct {
	at           time.Time
	bytes, names int64
}

const rateWindow = 10 * time.Second

func (p *progress) at(d *dir, name string) {
	p.mu.Lock()
	p.d, p.name = d, name
	p.mu.Unlock()
}

func (p *progress) report(done bool) {
	if p.notify == nil {
		return
	}
	p.mu.Lock()
	e := Event{Files: p.files.Load(), Dirs: p.dirs.Load(), Bytes: p.bytes.Load(), TotalFiles: p.inodes, TotalBytes: p.total, Done: done}
	if p.d != nil {
		e.Path = p.d.path(p.name)
	}
	e.Rate, e.ETA = p.rate(time.Now(), e)
	p.mu.Unlock()
	p.notify(e)
}

// rate is over the window; the ETA takes the slower of bytes and inodes. While nothing moves there is none.
func (p *progress) rate(now time.Time, e Event) (float64, time.Duration) {
	n := e.Files + e.Dirs
	p.samples = append(p.samples, sample{now, e.Bytes, n})
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= rateWindow {
		p.samples = p.samples[1:]
	}
	old := p.samples[0]
	rate := 0.0
	if dt := now.Sub(old.at).Seconds(); dt > 0 {
		rate = float64(e.Bytes-old.bytes) / dt
	}
	if e.Done || e.Bytes == old.bytes && n == old.names {
		return rate, 0
	}
	left := 0.0
	if rate > 0 && p.total > e.Bytes {
		left = float64(p.total-e.Bytes) / rate
	}
	if run := now.Sub(p.started).Seconds(); n > 0 && p.inodes > n {
		left = max(left, run/float64(n)*float64(p.inodes-n))
	}
	return rate, time.Duration(min(left, 1e9) * float64(time.Second))
}

func (p *progress) begin(now time.Time) { p.started, p.samples = now, []sample{{at: now}} }

// setTotals takes the used blocks and inodes of a whole filesystem as the budget.
func (p *progress) setTotals(o Options, r *root) {
	p.notify = o.Progress
	p.begin(time.Now())
	if !isTop(r) {
		return
	}
	p.total = int64(r.fs.Blocks-r.fs.Bfree) * max(r.fs.Frsize, 1)
	if r.fs.Files > r.fs.Ffree {
		p.inodes = int64(r.fs.Files - r.fs.Ffree)
	}
}

// isTop reports that r is the root of its filesystem, so that statfs is about it.
func isTop(r *root) bool {
	switch r.magic {
	case unix.EXT4_SUPER_MAGIC:
		return r.st.ino == 2
	case unix.BTRFS_SUPER_MAGIC:
		return r.st.ino == 256
	}
	return r.st.attrs&unix.STATX_ATTR_MOUNT_ROOT != 0 && !r.cloned || r.magic == unix.XFS_SUPER_MAGIC && r.st.ino <= 256
}

// start reports every d until the returned function is called.
func (p *progress) start(d time.Duration) func() {
	if d <= 0 {
		d = 250 * time.Millisecond
	}
	if p.notify == nil {
		return func() {}
	}
	return crew.Every(d, func() { p.report(false) })
}

// startCheckpoints saves until the returned function is called, which gives the
// error that ended it. The wait grows with the time that the copy took so far, so that a
// power cut costs a small part of it whether the copy takes seconds or hours.
func (c *copier) startCheckpoints() func() error {
	quit := make(chan struct{})
	wg := crew.New()
	var failed error
	begin := time.Now()
	wait := func(last time.Duration) time.Duration {
		if c.o.CheckpointEvery > 0 {
			return c.o.CheckpointEvery
		}
		return min(5*time.Second, max(500*time.Millisecond, time.Since(begin)/20, last))
	}
	// Without anybody to tell, the sync spares the end a long one.
	if c.o.Checkpoint != nil || !c.o.Rotational {
		wg.Go(func() {
			t := time.NewTimer(wait(0))
			defer t.Stop()
			for {
				select {
				case <-quit:
					return
				case <-t.C:
				}
				at := time.Now()
				if failed = c.checkpoint(); failed != nil {
					c.q.fail(failed)
					return
				}
				t.Reset(wait(time.Since(at)))
			}
		})
	}
	return func() error {
		close(quit)
		wg.Wait()
		return failed
	}
}

// checkpoint makes durable what is finished and says so. After a sync that failed there is none any more: the kernel
// tells of a lost write once, and a second sync that says nothing proves nothing.
func (c *copier) checkpoint() error {
	c.saving.Lock() // the last one told must be the last one taken
	defer c.saving.Unlock()
	if c.lost != nil {
		return c.lost
	}
	if c.o.Checkpoint == nil {
		return c.sync()
	}
	c.jobMu.Lock()
	jobs := make([]*fileJob, 0, len(c.jobs))
	for j := range c.jobs {
		jobs = append(jobs, j)
	}
	c.jobMu.Unlock()
	for _, j := range jobs {
		if r, ok := j.partial(); ok {
			if err := c.man.write(j.d.key(), j.d.path(""), []record{r}); err != nil {
				return err
			}
		}
	}
	cp := Checkpoint{ManifestBytes: c.man.offset()}
	if err := c.sync(); err != nil {
		return err
	}
	return c.o.Checkpoint(cp)
}

func (c *copier) sync() error {
	syncfs := unix.Syncfs
	if c.o.sync != nil {
		syncfs = c.o.sync
	}
	if err := syncfs(c.dst.fd); err != nil {
		c.lost = &Error{Side: Target, Op: "syncfs", Path: ".", Err: err}
	}
	return c.lost
}
