package tree

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Difference is a difference between source and target. What is "missing", "extra", "type", "mode", "uid", "gid", "size",
// "atime", "mtime", "links", "link" (names that belong to one inode on one side only), "device", "symlink", "xattr NAME",
// "flags", "project", "xflags", "verity", "data", "holes", "preallocation" or "unreadable".
type Difference struct {
	Path, What, Source, Target string
}

func (d Difference) String() string {
	return fmt.Sprintf("%q: %s: source %s, target %s", d.Path, d.What, d.Source, d.Target)
}

// Report of a Verify.
type Report struct {
	Files, Dirs int64 // compared; Files does not include directories
	Read        int64 // bytes read from the target's disk
	Reread      int64 // bytes read from the source, because there was no hash
	// Bytes in shared extents, if both filesystems report them. Extents of the source may be shared with files that are not
	// part of the copy, so a lower value on the target is not a difference.
	SharedSource, SharedTarget int64

	Differences []Difference
	Count       int64 // of all differences, listed or not

	// Damaged are names that are missing or incomplete in the copy because the source could not be read when it was copied,
	// according to Options.Hashes. With OnReadError List they are not differences, unless they have changed since the copy; with
	// Stop they are differences.
	Damaged      []string
	DamagedCount int64 // all of them, listed or not
}

// Equal reports whether there are no differences.
func (r *Report) Equal() bool { return r.Count == 0 }

// verifier is one run of Verify.
type verifier struct {
	ctx      context.Context
	o        Options
	src, dst *root
	q        *queue
	fds      dirFDs
	prog     progress
	diskMode *diskMode
	exclude  map[string]bool
	own      map[string]bool
	sameFS   bool
	sharing  bool // both filesystems report shared extents

	mu    sync.Mutex
	rep   Report
	links tables[linkPair]
	todo  map[inode]string // inodes whose data has not been compared yet, with one of their names

	subvolumes map[string]bool // Options.Subvolumes
}

// linkPair is kept for a multiply linked inode of the source until its last name: the inode of the copy, in halves, and the
// number of names to come.
type linkPair struct{ toLow, toHigh, left uint32 }

// Verify compares the directories src and dst with everything below them. It changes neither, not even access times. It reads
// the data of the target from its disk. For the data of the source it uses Options.Hashes, or reads it if there is no hash. An
// error means that Verify could not finish; differences are in the Report.
//
// It uses these Options: Workers, Rotational, DiskKnown, Tell, OnReadError, Progress, ProgressEvery, Exclude, Hollow, Part, Subvolumes,
// TargetOnly, Hashes, Reread, MaxDifferences.
func Verify(ctx context.Context, src, dst string, o Options) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.MaxDifferences <= 0 {
		o.MaxDifferences = 1000
	}
	v := &verifier{ctx: ctx, o: o, exclude: set(o.Exclude), own: set(o.TargetOnly), subvolumes: set(o.Subvolumes), diskMode: newDiskMode(o, time.Now()), todo: map[inode]string{}}
	defer v.links.free()
	var err error
	if v.src, err = openRoot(Source, src, true, o.plain); err != nil {
		return v.rep, err
	}
	defer func() { _ = v.src.close() }()
	if v.dst, err = openRoot(Target, dst, true, o.plain); err != nil {
		return v.rep, err
	}
	defer func() { _ = v.dst.close() }()
	if err := unix.Syncfs(v.dst.fd); err != nil {
		return v.rep, &Error{Side: Target, Op: "syncfs", Path: ".", Err: err}
	}
	v.sharing = knowsShares(v.src.magic) && knowsShares(v.dst.magic)
	v.sameFS = v.src.magic == v.dst.magic && v.src.bsize == v.dst.bsize
	v.fds.limit = fdLimit()
	v.q = newQueue(o.workers())
	v.q.setLimit(v.diskMode.limit(o.workers()))
	v.prog.begin(o, v.src, true)
	stop := v.prog.start(o.ProgressEvery, func() { v.diskMode.shift(&v.o, v.q, &v.prog) })
	err = v.run()
	stop()
	v.prog.report(true)
	v.rep.Files, v.rep.Dirs = v.prog.files.Load(), v.prog.dirs.Load()
	return v.rep, err
}

func (v *verifier) run() error {
	w := newWorker()
	defer w.close()
	top := &dir{src: v.src.fd, dst: v.dst.fd, refs: 1}
	if err := v.enter(w, top); err != nil {
		return err
	}
	stop := context.AfterFunc(v.ctx, func() { v.q.fail(context.Cause(v.ctx)) })
	defer stop()
	err := v.q.run(newWorker)
	v.fds.closeAll()
	if err != nil {
		return err
	}
	return v.unhashedLinks(w)
}

func (v *verifier) differ(path, what, source, target string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rep.Count++
	if len(v.rep.Differences) < v.o.MaxDifferences {
		v.rep.Differences = append(v.rep.Differences, Difference{path, what, source, target})
	}
}

// unreadable reports a read error as a difference, so that the verification continues but the result is not equal.
func (v *verifier) unreadable(path string, side Side, err error) error {
	if v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	s, t := "read", "not compared"
	if side == Target {
		s, t = "not compared", "read"
	}
	if side == Source {
		s = err.Error()
	} else {
		t = err.Error()
	}
	v.differ(path, "unreadable", s, t)
	return nil
}

// enter compares a directory that is open on both sides and pushes its names.
func (v *verifier) enter(w *worker, d *dir) error {
	d.pending.Store(1)
	var tm meta
	path := func() string { return d.path("") }
	if err := v.o.reading("read metadata", path, func() error { return readMeta(object{fd: d.src}, v.src.magic, &d.meta, w.xattr) }); err != nil {
		_ = v.unreadable(d.path(""), Source, err)
	} else if err := readMeta(object{fd: d.dst}, v.dst.magic, &tm, w.xattr); err != nil {
		_ = v.unreadable(d.path(""), Target, err)
	} else {
		v.compare(path, &d.meta, &tm)
		if is := tm.ino == btrfsFirstFree && d.parent != nil; v.o.Subvolumes != nil && is != v.subvolumes[path()] {
			v.differ(path(), "subvolume", strconv.FormatBool(!is), strconv.FormatBool(is))
		}
	}
	if d.parent != nil {
		d.vol = d.parent.volume(d.name, d.meta.dev)
	}
	if v.o.OnReadError == List && v.o.Hashes.isShort(d.key()) {
		d.incomplete.Store(true)
		v.missing(path(), "not all its names could be read; the copy has the others")
	}
	v.prog.dirs.Add(1)
	return v.read(w, d)
}

func (v *verifier) read(w *worker, d *dir) error {
	es, more, err := v.o.list(w, d)
	if err != nil {
		d.short = true
		if !d.incomplete.Load() || !damaged(err) {
			if err := v.unreadable(d.path(""), Source, err); err != nil {
				return err
			}
		}
	}
	if !more && d.parent != nil {
		v.fds.drop(d)
	}
	v.q.push(&frame{v: v, d: d, es: es, more: more, own: true})
	return nil
}

func (v *verifier) batch(w *worker, d *dir, es []entry) error {
	if err := v.fds.hold(d); err != nil {
		return err
	}
	v.prog.at(d, es[0].name)
	var err error
	if w.done, err = v.o.Hashes.names(d.key(), es); err != nil {
		return err
	}
	defer w.ahead.drain()
	for i, e := range es {
		if err = v.ctx.Err(); err != nil {
			break
		}
		// Only on a clone, which is nodev: no device can be opened by mistake.
		if i%aheadFiles == 0 && v.dst.cloned && !v.diskMode.heads.Load() {
			w.ahead.fill(d.dst, v.dst.magic, es[i:min(i+aheadFiles, len(es))], w.xattr, func(name string) bool {
				return len(v.exclude) == 0 || !v.exclude[d.path(name)]
			})
		}
		if err = v.entry(w, d, e); err != nil {
			break
		}
	}
	v.fds.drop(d)
	if err != nil {
		return err
	}
	return v.leave(w, d)
}

func (v *verifier) leave(w *worker, d *dir) error {
	for d != nil && d.pending.Add(-1) == 0 {
		if err := v.extras(w, d); err != nil {
			return err
		}
		if d.parent != nil {
			if err := v.fds.finish(d); err != nil {
				return &Error{Side: Target, Op: "close", Path: d.path(""), Err: err}
			}
		}
		d = d.parent
	}
	return nil
}

// extras reports names that only the target has. Usually it is enough to count them.
func (v *verifier) extras(w *worker, d *dir) error {
	if err := v.fds.hold(d); err != nil {
		return err
	}
	defer v.fds.drop(d)
	fd, err := openBelow(d.dst, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0) // its own position
	if err != nil {
		return v.unreadable(d.path(""), Target, err)
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := countNames(fd, w.dents)
	if err != nil {
		return v.unreadable(d.path(""), Target, err)
	}
	if n == d.files.Load() {
		return nil
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return v.unreadable(d.path(""), Target, err)
	}
	left := n - d.files.Load()
	for more := true; more; {
		var es []entry
		if es, more, err = readChunk(fd, w.dents, v.o.chunk); err != nil {
			return v.unreadable(d.path(""), Target, err)
		}
		for _, e := range es {
			path := d.path(e.name)
			var st stat
			if statAt(d.src, e.name, &st) == nil && !v.exclude[path] && !v.o.hollow(d) {
				continue
			}
			left--
			if !v.own[path] && (path != "lost+found" || v.dst.magic != unix.EXT4_SUPER_MAGIC) {
				v.differ(path, "extra", "nothing", typeName(e.typ))
			}
		}
	}
	// Names that the source does not list now have not been compared.
	if d.short && left > 0 {
		v.differ(d.path(""), "unreadable", fmt.Sprintf("%d names of the target are not listed", left), "not compared")
	}
	return nil
}

// entry compares one name of the source with the same name of the target.
func (v *verifier) entry(w *worker, d *dir, e entry) error {
	if len(v.exclude) > 0 && v.exclude[d.path(e.name)] {
		return nil
	}
	if v.absent(w, d, e) {
		return nil
	}
	// On a clone, which is nodev, the type is checked after opening.
	if e.typ == unix.DT_UNKNOWN || !v.dst.cloned {
		var s stat
		if err := v.o.reading("stat", func() string { return d.path(e.name) }, func() error { return statAt(d.src, e.name, &s) }); err != nil {
			return v.unreadable(d.path(e.name), Source, err)
		}
		e.typ = uint8(s.mode & unix.S_IFMT >> 12)
		if other, err := v.other(d, e); other || err != nil {
			return err
		}
	}
	switch e.typ {
	case unix.DT_DIR:
		return v.dir(w, d, e)
	case unix.DT_REG:
		return v.file(w, d, e)
	}
	return v.special(w, d, e)
}

// other reports a name that is missing on the target or has another type there. It is called if opening it as the expected type
// has failed.
func (v *verifier) other(d *dir, e entry) (bool, error) {
	var t stat
	if err := statAt(d.dst, e.name, &t); err != nil {
		if err == unix.ENOENT && d.incomplete.Load() {
			v.missing(d.path(e.name), "its directory could not be read completely; the copy does not have it")
			return true, nil
		}
		if err == unix.ENOENT {
			v.differ(d.path(e.name), "missing", typeName(e.typ), "nothing")
			return true, nil
		}
		return true, v.unreadable(d.path(e.name), Target, err)
	}
	if uint8(t.mode&unix.S_IFMT>>12) == e.typ {
		return false, nil
	}
	d.files.Add(1)
	v.differ(d.path(e.name), "type", typeName(e.typ), modeType(t.mode))
	return true, nil
}

// unopened reports why e could not be opened on the target; err is the error.
func (v *verifier) unopened(d *dir, e entry, err error) error {
	if other, err := v.other(d, e); other || err != nil {
		return err
	}
	if err == nil {
		err = unix.ESTALE
	}
	return v.unreadable(d.path(e.name), Target, err)
}

func (v *verifier) dir(w *worker, up *dir, e entry) error {
	d := &dir{parent: up, name: e.name, src: -1, dst: -1}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY
	var err error
	err = v.o.reading("open", func() string { return up.path(e.name) }, func() (err error) {
		d.src, err = openBelow(up.src, e.name, flags, 0)
		return err
	})
	if err != nil {
		return v.unreadable(up.path(e.name), Source, err)
	}
	if d.dst, err = openBelow(up.dst, e.name, flags, 0); err != nil {
		_ = unix.Close(d.src)
		return v.unopened(up, e, err)
	}
	up.files.Add(1)
	up.pending.Add(1)
	v.fds.adopt(d)
	return v.enter(w, d)
}

func (v *verifier) special(w *worker, d *dir, e entry) error {
	name := e.name
	path := func() string { return d.path(name) }
	var s, t meta
	err := v.o.reading("read metadata", path, func() error { return readMeta(object{d.src, name}, v.src.magic, &s, w.xattr) })
	if err == nil && s.mnt != v.src.st.mnt {
		err = unix.EXDEV // something is mounted on it; possible only without a clone
	}
	if err != nil {
		return v.unreadable(d.path(name), Source, err)
	}
	if err := readMeta(object{d.dst, name}, v.dst.magic, &t, w.xattr); err != nil || t.typ() != s.typ() {
		return v.unopened(d, e, err)
	}
	d.files.Add(1)
	v.prog.files.Add(1)
	v.compare(path, &s, &t)
	if s.typ() == unix.S_IFLNK {
		n := 0
		err := v.o.reading("read link", path, func() (err error) {
			n, err = unix.Readlinkat(d.src, name, w.data[:4096])
			return err
		})
		if err != nil {
			return v.unreadable(path(), Source, err)
		}
		m, err := unix.Readlinkat(d.dst, name, w.data[4096:8192])
		if err != nil {
			return v.unreadable(path(), Target, err)
		}
		if a, b := string(w.data[:n]), string(w.data[4096:4096+m]); a != b {
			v.differ(path(), "symlink", fmt.Sprintf("%q", a), fmt.Sprintf("%q", b))
		}
	}
	v.linkOf(path, &s.stat, &t.stat, true)
	return nil
}

// linkOf checks that names of one inode belong to one inode on both sides. It returns false if the data of this inode has been
// compared already, or will be compared under the name whose hash is known; known means that this is that name.
func (v *verifier) linkOf(path func() string, s, t *stat, known bool) bool {
	if s.nlink < 2 && t.nlink < 2 {
		return true
	}
	// Another device can only be a subvolume, which has its own inode numbers.
	to := t.ino ^ bits.RotateLeft64(t.dev^v.dst.st.dev, 32)
	k := s.inode()
	v.mu.Lock()
	p, ok := v.links.get(k)
	if !ok {
		p = linkPair{uint32(to), uint32(to >> 32), max(s.nlink, 1)}
		v.todo[k] = path()
	}
	other := uint64(p.toHigh)<<32|uint64(p.toLow) != to
	_, todo := v.todo[k]
	if todo = todo && known; todo {
		delete(v.todo, k)
	}
	var err error
	if p.left--; p.left == 0 {
		v.links.del(k)
	} else {
		err = v.links.put(k, p)
	}
	v.mu.Unlock()
	if err != nil {
		v.q.fail(fmt.Errorf("memory for links: %w", err))
	}
	if other {
		v.differ(path(), "link", "another name of an inode met before", fmt.Sprintf("inode %d, not %d", t.ino, uint64(p.toHigh)<<32|uint64(p.toLow)))
		return true // it is a separate object, so compare its data
	}
	return todo
}
