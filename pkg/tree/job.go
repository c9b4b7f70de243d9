package tree

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fileJob is a regular file under way. A large one is work for the queue: its
// ranges are copied by whoever is free, and the last one finishes it.
type fileJob struct {
	c        *copier
	d        *dir
	name     string
	meta     meta
	src, dst int
	out      int // dst again for direct I/O, or -1
	path     func() string
	from     int64 // bytes that were there already
	prepared bool
	early    []byte // a small file's data that was read ahead; ends with the task
	sharing  sharing
	kept     []span // ranges that are shared with other files, in order

	next    int64 // start of the next range; under the queue's lock
	running atomic.Int64
	damaged atomic.Bool // something of it could not be read
	mapless atomic.Bool // the map of its extents, for one

	mu    sync.Mutex
	sum   Sum   // of [0, upTo)
	upTo  int64 // all before is on the target, though not synced
	later map[int64]part
	data  int64 // bytes of data, in whole blocks
	once  sync.Once
}

type part struct {
	end int64
	sum Sum
}

// start makes j work of its own. The directory waits for it.
func (j *fileJob) start() error {
	if err := j.openDirect(); err != nil {
		return j.abort(&Error{Side: Source, Op: "read", Path: j.path(), Err: err})
	}
	if err := j.prepare(); err != nil {
		return j.abort(err)
	}
	seg := segments{fd: j.src, end: j.meta.size}
	if err := seg.seek(j.from); err != nil {
		return j.abort(&Error{Side: Source, Op: "seek data", Path: j.path(), Err: err})
	}
	// The leading hole is done.
	skip := max(j.from, seg.a/rangeLen*rangeLen)
	if seg.a >= j.meta.size {
		skip = j.meta.size
	}
	j.next, j.upTo = skip, skip
	j.running.Store(1)
	j.d.pending.Add(1)
	j.c.jobMu.Lock()
	j.c.jobs[j] = struct{}{}
	j.c.jobMu.Unlock()
	j.c.q.push(j)
	return nil
}

// take hands out a range; at the end a last task, which gives up the job's own count.
func (j *fileJob) take(int) task {
	if j.next < 0 {
		return nil
	}
	off := j.next
	if off >= j.meta.size {
		j.next = -1
		return j.release
	}
	end := min((off/rangeLen+1)*rangeLen, j.meta.size)
	if j.c.gear.heads.Load() {
		end = j.meta.size // one reader, one direction
	}
	j.next = end
	j.running.Add(1)
	return func(w *worker) error {
		j.c.prog.at(j.d, j.name)
		if err := j.copyRange(w, off, end); err != nil {
			return err
		}
		return j.release(w)
	}
}

func (j *fileJob) release(w *worker) error {
	if j.running.Add(-1) > 0 {
		return nil
	}
	if err := j.c.fds.hold(j.d); err != nil {
		return err
	}
	own := w.recs
	w.recs = nil
	err := j.finish(w)
	j.c.jobMu.Lock()
	delete(j.c.jobs, j)
	j.c.jobMu.Unlock()
	if e := j.c.man.write(j.d.key(), j.d.path(""), w.recs); err == nil {
		err = e
	}
	w.recs = own
	j.c.fds.drop(j.d)
	if err != nil {
		return err
	}
	return j.c.leave(w, j.d)
}

// add books a finished range; sums of ranges that come early wait.
func (j *fileJob) add(off, end int64, sum Sum, data int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.data += data
	if j.later == nil {
		j.later = map[int64]part{}
	}
	j.later[off] = part{end, sum}
	for {
		p, ok := j.later[j.upTo]
		if !ok {
			return
		}
		delete(j.later, j.upTo)
		j.sum, j.upTo = j.sum.add(p.sum), p.end
	}
}

// partial is what a checkpoint may say of j. Of a file with several names it says
// nothing: after a second cut a name could be that of another try, which has the
// size and not the data, and cancel would have to reach the record under any name.
func (j *fileJob) partial() (record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.upTo <= j.from || j.upTo >= j.meta.size || j.damaged.Load() || j.meta.nlink > 1 {
		return record{}, false
	}
	return record{kind: kindPartial, name: j.name, ino: j.meta.ino, size: j.upTo, sum: j.sum, nlink: 1}, true
}

// finish sets the size, preallocation and metadata, closes, and publishes.
func (j *fileJob) finish(w *worker) error {
	if err := j.seal(); err != nil {
		return j.abort(err)
	}
	m := &j.meta
	if j.damaged.Load() {
		j.c.shared(j.sharing.mine, -1)
	} else {
		j.c.shared(j.sharing.mine, j.dst)
	}
	if m.attrs&unix.STATX_ATTR_VERITY != 0 && !j.damaged.Load() {
		if err := j.protect(w); err != nil {
			return j.abort(err)
		}
	}
	if err := j.c.apply(object{fd: j.dst}, m, j.d.existed, m.nlink > 1, j.path); err != nil {
		return j.abort(err)
	}
	if err := j.closeFDs(); err != nil {
		return err
	}
	j.c.count(func(r *Result) { r.Files++; r.Bytes += j.data; r.Shared += lengths(j.kept) })
	r := record{kind: kindFile, name: j.name, ino: m.ino, size: m.size, sum: j.sum, nlink: m.nlink}
	if j.damaged.Load() {
		r.kind, j.sharing.extents = kindDamaged, nil
	}
	if err := j.c.finished(w, j.d, r, m); err != nil {
		return err
	}
	return j.recordShares(w)
}

// prepare gives the file its size before data comes in pieces: xfs allocates
// ahead of the end of a growing file, and would keep that as allocated. btrfs
// writes the last block when a range across the end is allocated, so there
// preallocation comes even before.
func (j *fileJob) prepare() error {
	if j.prepared {
		return nil
	}
	if j.c.dst.magic == unix.BTRFS_SUPER_MAGIC {
		if err := j.preallocate(); err != nil {
			return err
		}
	}
	j.prepared = true
	if j.meta.size == 0 {
		return nil
	}
	if err := unix.Ftruncate(j.dst, j.meta.size); err != nil {
		return &Error{Side: Target, Op: "set size", Path: j.path(), Err: err}
	}
	return nil
}

// seal preallocates what prepare did not: ext4 writes zeros when data comes to
// the edge of an unwritten range, so there, and on xfs, data comes first.
func (j *fileJob) seal() error {
	if j.c.dst.magic == unix.BTRFS_SUPER_MAGIC && j.prepared {
		return nil
	}
	return j.preallocate()
}

func (j *fileJob) preallocate() error {
	m := &j.meta
	// More blocks than data: unwritten extents, or only the map of a fragmented file.
	if m.blocks*512 <= j.data && j.c.src.magic != unix.BTRFS_SUPER_MAGIC || m.blocks == 0 {
		return nil
	}
	for x := (extents{fd: j.src}); ; {
		e, ok, err := x.next()
		if err != nil && !noAttr(err) {
			return j.unmapped(err)
		}
		if !ok {
			return nil
		}
		if e.flags&fiemapExtentUnwritten == 0 {
			continue
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Fallocate(j.dst, unix.FALLOC_FL_KEEP_SIZE, e.off, e.len)
		}
		if err != nil && lossy(err) {
			return j.c.loss(j.path(), "preallocation", err)
		}
		if err != nil {
			return &Error{Side: Target, Op: "preallocate", Path: j.path(), Offset: e.off, Length: e.len, Err: err}
		}
	}
}

func (j *fileJob) closeFDs() (err error) {
	j.once.Do(func() {
		_ = unix.Close(j.src)
		if j.out >= 0 {
			if e := unix.Close(j.out); e != nil {
				err = &Error{Side: Target, Op: "close", Path: j.path(), Err: e}
			}
		}
		if e := unix.Close(j.dst); e != nil {
			err = &Error{Side: Target, Op: "close", Path: j.path(), Err: e}
		}
	})
	return err
}

// abort closes j after an error that ends the copy.
func (j *fileJob) abort(err error) error {
	_ = j.closeFDs()
	return err
}

// abandonJobs closes the jobs that an error left behind; no worker runs any more.
func (c *copier) abandonJobs() {
	c.jobMu.Lock()
	defer c.jobMu.Unlock()
	for j := range c.jobs {
		_ = j.closeFDs()
	}
}
