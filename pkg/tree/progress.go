package tree

import (
	"sync"
	"sync/atomic"
	"time"

	"migrate-init/pkg/crew"
	"migrate-init/pkg/pace"

	"golang.org/x/sys/unix"
)

// progress counts, and reports when the ticker asks. Bytes are those that files have on the disk, as statfs counts them.
type progress struct {
	files, dirs, bytes         atomic.Int64
	skippedNames, skippedBytes atomic.Int64 // those of them that an earlier run had copied

	mu          sync.Mutex
	d           *dir
	name        string
	notify      func(Event)
	pace        *pace.Pace
	names, data int64 // what pace was told to skip
}

func (p *progress) at(d *dir, name string) {
	p.mu.Lock()
	p.d, p.name = d, name
	p.mu.Unlock()
}

// skip counts what an earlier run had copied.
func (p *progress) skip(files, dirs, bytes int64) {
	p.skippedNames.Add(files + dirs)
	p.skippedBytes.Add(bytes)
	p.files.Add(files)
	p.dirs.Add(dirs)
	p.bytes.Add(bytes)
}

func (p *progress) report(done bool) {
	if p.notify == nil {
		return
	}
	p.mu.Lock()
	names, data := p.skippedNames.Load(), p.skippedBytes.Load()
	p.pace.Skip(data-p.data, names-p.names)
	p.names, p.data = names, data
	files, dirs := p.files.Load(), p.dirs.Load()
	f := p.pace.At(time.Now(), p.bytes.Load(), files+dirs)
	e := Event{Files: files, Dirs: dirs, Bytes: f.Bytes, TotalFiles: f.TotalNames, TotalBytes: f.TotalBytes, Rate: f.Rate, ETA: f.ETA, Done: done}
	if done { // the totals were estimates
		e.TotalFiles, e.TotalBytes, e.ETA = min(e.TotalFiles, files+dirs), min(e.TotalBytes, f.Bytes), 0
	}
	if p.d != nil {
		e.Path = p.d.path(p.name)
	}
	p.mu.Unlock()
	p.notify(e)
}

// begin takes the used blocks and inodes of a whole filesystem as the totals; of data only where some is read.
func (p *progress) begin(o Options, r *root, data bool) {
	p.notify = o.Progress
	var bytes, names int64
	if isTop(r) {
		if data {
			bytes = int64(r.fs.Blocks-r.fs.Bfree) * max(r.fs.Frsize, 1)
		}
		if r.fs.Files > r.fs.Ffree {
			names = int64(r.fs.Files - r.fs.Ffree)
		}
	}
	p.pace = pace.New(time.Now(), bytes, names)
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
// also, which may be nil, is called as often.
func (p *progress) start(d time.Duration, also func()) func() {
	if d <= 0 {
		d = 250 * time.Millisecond
	}
	if p.notify == nil && also == nil {
		return func() {}
	}
	return crew.Every(d, func() {
		if also != nil {
			also()
		}
		p.report(false)
	})
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
