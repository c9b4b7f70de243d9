package tree

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// visitor is a walk over the directories: a copy, a verification or a scan.
type visitor interface {
	// batch handles the entries es of d, and then calls leave.
	batch(w *worker, d *dir, es []entry) error
	// read pushes a frame with the next chunk of names; d is held.
	read(w *worker, d *dir) error
	// leave counts one piece of work of d as done. If it was the last one, it completes d, and then its ancestors likewise.
	leave(w *worker, d *dir) error
}

// frame is a directory in the queue, with the entries that are left of a chunk of names.
type frame struct {
	v    visitor
	d    *dir
	es   []entry
	more bool
	own  bool // the frame still counts in d.pending
	held int  // number of names in es when it was pushed
}

// take returns a task for one directory, or for a run of other entries that is small enough to keep all workers busy.
func (f *frame) take(workers int) task {
	if len(f.es) == 0 {
		if !f.own {
			return nil
		}
		f.own = false
		if f.more {
			return func(w *worker) error { return f.v.read(w, f.d) }
		}
		return func(w *worker) error { return f.v.leave(w, f.d) }
	}
	n := 1
	if f.es[0].typ != unix.DT_DIR {
		limit := min(64, max(16, len(f.es)/(2*workers)), len(f.es))
		for n < limit && f.es[n].typ != unix.DT_DIR {
			n++
		}
	}
	batch := f.es[:n]
	f.es = f.es[n:]
	f.d.pending.Add(1)
	d, v := f.d, f.v
	return func(w *worker) error { return v.batch(w, d, batch) }
}

// enter starts on a directory that is open on both sides.
func (c *copier) enter(w *worker, d *dir) error {
	d.pending.Store(1)
	return c.read(w, d)
}

// read reads the next chunk of names. d must be held.
func (c *copier) read(w *worker, d *dir) error {
	es, more, err := c.o.list(w, d)
	if err != nil {
		if !c.listed(err) {
			return &Error{Side: Source, Op: "list", Path: d.path(""), Err: err}
		}
		d.short = true
		d.incomplete.Store(true)
		c.problem(Problem{Path: d.path(""), What: "names", Err: err})
	}
	if c.diskMode.heads.Load() {
		c.byExtent(w, d, es)
	}
	if !more && d.parent != nil {
		c.fds.drop(d)
	}
	c.q.push(&frame{v: c, d: d, es: es, more: more, own: true})
	return nil
}

func (c *copier) batch(w *worker, d *dir, es []entry) error {
	if c.o.pace != nil {
		c.o.pace()
	}
	if err := c.fds.hold(d); err != nil {
		return err
	}
	w.recs, w.done = w.recs[:0], nil
	var err error
	if d.existed {
		w.done, err = c.prior.names(d.key(), es)
	}
	if err == nil {
		err = c.each(w, d, es)
	}
	// Even after an error, record what was finished.
	if e := c.man.write(d.key(), d.path(""), w.recs); err == nil {
		err = e
	}
	c.fds.drop(d)
	if err != nil {
		return err
	}
	return c.leave(w, d)
}

func (c *copier) each(w *worker, d *dir, es []entry) error {
	defer w.ahead.drain()
	for i, e := range es {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if i == 0 {
			c.prog.at(d, e.name)
		}
		if i%aheadFiles == 0 {
			c.lookAhead(w, d, es[i:min(i+aheadFiles, len(es))])
		}
		if err := c.entry(w, d, e); err != nil {
			return err
		}
	}
	return nil
}

// lookAhead starts to read the next files. It does nothing for a disk with moving heads, which is not faster with more requests.
func (c *copier) lookAhead(w *worker, d *dir, es []entry) {
	if c.diskMode.heads.Load() || c.buffered.Load() {
		return
	}
	w.ahead.fill(d.src, c.src.magic, es, w.xattr, func(name string) bool {
		_, done := w.done[name]
		return !done && (len(c.exclude) == 0 || !c.exclude[d.path(name)])
	})
}

func (c *copier) entry(w *worker, d *dir, e entry) error {
	if len(c.exclude) > 0 && c.exclude[d.path(e.name)] {
		return nil
	}
	if skip, err := c.resumeEntry(w, d, e); skip || err != nil {
		return err
	}
	err := c.object(w, d, e)
	if err == nil {
		return nil
	}
	var x *Error
	if errors.As(err, &x) && x.whole && c.listed(x.Err) {
		return c.leaveOut(w, d, e, x)
	}
	return err
}

func (c *copier) object(w *worker, d *dir, e entry) error {
	switch e.typ {
	case unix.DT_DIR:
		return c.dir(w, d, e.name)
	case unix.DT_REG:
		return c.file(w, d, e.name)
	case unix.DT_UNKNOWN:
		var st stat
		if err := c.reading("stat", pathOnce(d, e.name), func() error { return statAt(d.src, e.name, &st) }); err != nil {
			return err
		}
		if st.isDir() {
			return c.dir(w, d, e.name)
		}
		if st.isReg() {
			return c.file(w, d, e.name)
		}
	}
	return c.special(w, d, e.name)
}

func (c *copier) dir(w *worker, up *dir, name string) error {
	d := &dir{parent: up, name: name, src: -1, dst: -1}
	var err error
	d.src, err = c.openMeta(w, &d.meta, pathOnce(up, name), func() (int, error) {
		return openBelow(up.src, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	})
	if errors.Is(err, unix.EXDEV) {
		return c.mountPoint(up, name)
	}
	if err != nil {
		return err
	}
	d.vol = up.volume(name, d.meta.dev)
	if err := c.makeDir(up, d); err != nil {
		_ = unix.Close(d.src)
		if d.dst >= 0 {
			_ = unix.Close(d.dst)
		}
		return err
	}
	up.pending.Add(1)
	c.fds.adopt(d)
	return c.enter(w, d)
}

// newDir makes d on the target, as a directory or as a subvolume.
func (c *copier) newDir(up, d *dir) error {
	if c.o.Subvolumes == nil {
		return unix.Mkdirat(up.dst, d.name, 0o700)
	}
	if wanted, err := c.o.subvolume(c.subvolumes, c.src.magic, d); err != nil {
		return err
	} else if !wanted {
		return unix.Mkdirat(up.dst, d.name, 0o700)
	}
	return makeSubvolume(up.dst, d.name)
}

// makeDir makes and opens d on the target.
func (c *copier) makeDir(up, d *dir) error {
	fail := func(op string, err error) error {
		return &Error{Side: Target, Op: op, Path: d.path(""), Err: err}
	}
	err := c.newDir(up, d)
	if errors.Is(err, unix.EEXIST) && up.existed {
		d.existed, err = true, c.reuseDir(up, d.name)
	}
	if err != nil {
		return fail("make directory", err)
	}
	if d.dst, err = openBelow(up.dst, d.name, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		return fail("open", err)
	}
	if d.existed {
		if op, err := clearInherited(object{fd: d.dst}); err != nil {
			return fail(op, err)
		}
	}
	if !d.existed {
		c.observe(object{fd: d.dst})
		c.shares.distrustDir(c.prior, d)
	}
	return c.applyEarly(object{fd: d.dst}, &d.meta, func() string { return d.path("") })
}

// mountPoint makes an empty directory for a mount point of the source. It is used only if the source could not be cloned.
func (c *copier) mountPoint(up *dir, name string) error {
	if err := unix.Mkdirat(up.dst, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return &Error{Side: Target, Op: "make directory", Path: up.path(name), Err: err}
	}
	return nil
}

func (c *copier) leave(w *worker, d *dir) error {
	for d != nil && d.pending.Add(-1) == 0 {
		if err := c.complete(w, d); err != nil {
			return err
		}
		d = d.parent
	}
	return nil
}

func (c *copier) complete(w *worker, d *dir) error {
	if err := c.fds.hold(d); err != nil {
		return err
	}
	path := func() string { return d.path("") }
	err := c.apply(object{fd: d.dst}, &d.meta, d.existed, false, path)
	c.fds.drop(d)
	if err != nil {
		return err
	}
	if d.parent != nil {
		if err := c.fds.finish(d); err != nil {
			return &Error{Side: Target, Op: "close", Path: path(), Err: err}
		}
		d.parent.files.Add(d.files.Load() + 1)
		d.parent.bytes.Add(d.bytes.Load())
		if d.incomplete.Load() {
			d.parent.incomplete.Store(true)
		}
	}
	c.prog.dirs.Add(1)
	c.count(func(r *Result) { r.Dirs++ })
	r := record{kind: kindDirDone, ino: d.meta.ino, size: d.bytes.Load(), nlink: uint32(d.files.Load())}
	if d.incomplete.Load() {
		r = record{kind: kindDirIncomplete, ino: d.meta.ino}
		if d.short {
			r.size = 1
		}
	}
	return c.man.write(d.key(), path(), []record{r})
}

// pathOnce returns a function that builds the path only if it is needed, and only once.
func pathOnce(d *dir, name string) func() string {
	return sync.OnceValue(func() string { return d.path(name) })
}
