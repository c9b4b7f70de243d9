package tree

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fileJob is the copy of one regular file. A large file is queued as work: any free worker copies its next range, and the last
// one finishes it.
type fileJob struct {
	c        *copier
	d        *dir
	name     string
	meta     meta
	src, dst int
	out      int // dst again for direct I/O, or -1
	path     func() string
	from     int64 // bytes that an earlier run had copied
	prepared bool
	early    []byte // the data of a small file that was read ahead; valid during the task
	sharing  sharing
	kept     []span // ranges that are shared with other files, in order

	next    int64 // start of the next range; guarded by the queue's lock
	running atomic.Int64
	damaged atomic.Bool // something in it could not be read
	mapless atomic.Bool // its extent map could not be read, which has been listed

	mu    sync.Mutex
	sum   Sum   // of [0, upTo)
	upTo  int64 // everything before is on the target, but perhaps not synced
	later map[int64]part
	data  int64 // bytes of data, in whole blocks
	once  sync.Once
}

type part struct {
	end int64
	sum Sum
}

// start queues j as work of its own. The directory stays pending until it is done.
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
	// A leading hole needs no copying.
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

// take returns a task for the next range. After the last range it returns a task that drops the job's own count in running.
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
	if j.c.diskMode.heads.Load() {
		end = j.meta.size // one sequential reader
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

// add records a finished range. The sum of a range that finishes out of order is kept until the ranges before it are done.
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

// partial returns the record of the finished part of j for a checkpoint. There is none for a file with several names: after a
// second interruption, one of the names could belong to another attempt, which has the size but not the data, and revoke would
// have to find the record under any name.
func (j *fileJob) partial() (record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.upTo <= j.from || j.upTo >= j.meta.size || j.damaged.Load() || j.meta.nlink > 1 {
		return record{}, false
	}
	return record{kind: kindPartial, name: j.name, ino: j.meta.ino, size: j.upTo, sum: j.sum, nlink: 1}, true
}

// finish sets the preallocation and metadata, closes the file, and records it as finished.
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

// prepare sets the size of the file before its data is written in pieces: xfs allocates beyond the end of a growing file, and
// would keep those blocks. On btrfs preallocation comes even before that, because btrfs writes the last block when a range
// across the end is allocated.
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

// seal preallocates what prepare did not. ext4 writes zeros when data is written next to an unwritten range, so there, and on
// xfs, data is written first.
func (j *fileJob) seal() error {
	if j.c.dst.magic == unix.BTRFS_SUPER_MAGIC && j.prepared {
		return nil
	}
	return j.preallocate()
}

func (j *fileJob) preallocate() error {
	m := &j.meta
	// More blocks than data mean unwritten extents, or only the extent tree of a fragmented file.
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

// abort closes the files of j, and returns err, which ends the copy.
func (j *fileJob) abort(err error) error {
	_ = j.closeFDs()
	return err
}

// abandonJobs closes the jobs that an error left unfinished. No worker may be running.
func (c *copier) abandonJobs() {
	c.jobMu.Lock()
	defer c.jobMu.Unlock()
	for j := range c.jobs {
		_ = j.closeFDs()
	}
}
