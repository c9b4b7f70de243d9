package tree

import (
	"sync"
	"sync/atomic"
	"time"

	"migrate-init/pkg/crew"
	"migrate-init/pkg/pace"

	"golang.org/x/sys/unix"
)

// progress counts what is done, and reports it at intervals. Bytes are allocated bytes, as in statfs.
type progress struct {
	files, dirs, bytes         atomic.Int64
	skippedNames, skippedBytes atomic.Int64 // the part of them that an earlier run had copied

	mu          sync.Mutex
	d           *dir
	name        string
	notify      func(Event)
	pace        *pace.Pace
	names, data int64 // passed to pace.Skip so far
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

// begin sets the totals to the used blocks and inodes if r is a whole filesystem. data is false if no data will be read.
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

// isTop reports whether r is the root of its filesystem, so that statfs describes it.
func isTop(r *root) bool {
	switch r.magic {
	case unix.EXT4_SUPER_MAGIC:
		return r.st.ino == 2
	case unix.BTRFS_SUPER_MAGIC:
		return r.st.ino == 256
	}
	return r.st.attrs&unix.STATX_ATTR_MOUNT_ROOT != 0 && !r.cloned || r.magic == unix.XFS_SUPER_MAGIC && r.st.ino <= 256
}

// start reports at intervals of d until the returned function is called. It also calls also, which may be nil, each time.
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

// startCheckpoints makes checkpoints until the returned function is called, which returns the error that ended them, if any. The
// interval grows with the time that the copy has taken so far, so that a power cut costs only a small part of that time, whether
// the copy takes seconds or hours.
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
	// Without a Checkpoint function, syncing now and then still avoids a long sync at the end.
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

// checkpoint syncs what is finished and calls Options.Checkpoint. After a sync has failed there are no more checkpoints: the
// kernel reports a lost write only once, so a later sync that succeeds proves nothing.
func (c *copier) checkpoint() error {
	c.saving.Lock() // checkpoints must be reported in the order in which they are taken
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
