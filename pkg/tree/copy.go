package tree

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// copier is one run of Copy.
type copier struct {
	ctx      context.Context
	o        Options
	src, dst *root
	q        *queue
	fds      dirFDs
	links    *links
	shares   *shares // nil if source or target cannot share extents
	man      manifestWriter
	prog     progress
	diskMode *diskMode
	prior    *Manifest // of the interrupted copy
	exclude  map[string]bool

	subvolumes map[string]bool // Options.Subvolumes
	clean      atomic.Bool     // new objects on the target have xattrs, such as labels, that must be removed
	rootOwned  atomic.Bool     // new objects belong to root
	newborn    sync.Once
	buffered   atomic.Bool // the source does not support direct I/O
	bornModes  uint32

	jobMu sync.Mutex
	jobs  map[*fileJob]struct{} // large files in progress

	saving sync.Mutex // of a checkpoint
	lost   error      // the error of the first sync that failed; guarded by saving

	mu  sync.Mutex
	res Result
}

// worker owns the buffers of one goroutine.
type worker struct {
	data   []byte // blockSize plus 4 KiB, aligned to 4 KiB for direct I/O
	xattr  []byte
	dents  []byte
	fiemap []byte
	recs   []record
	done   map[string]record // the records of the batch in a manifest, by name
	ahead  ahead
}

// Copy copies the directory src, with everything below it on its filesystem, into the directory dst. Unless Resume is given,
// dst must be empty except for lost+found and the TargetOnly names. The Result is valid even if there is an error: it shows how
// far the copy got. When ctx is cancelled, the copy ends cleanly, with a last checkpoint.
func Copy(ctx context.Context, src, dst string, o Options) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &copier{ctx: ctx, o: o, links: newLinks(), jobs: map[*fileJob]struct{}{}, exclude: set(o.Exclude), subvolumes: set(o.Subvolumes), diskMode: newDiskMode(o, time.Now())}
	err := c.open(src, dst)
	if err != nil {
		return c.res, err
	}
	defer c.closeRoots()
	defer c.links.ready.free()
	c.q = newQueue(o.workers())
	c.q.setLimit(c.diskMode.limit(o.workers()))
	c.fds.limit = fdLimit()
	c.buffered.Store(o.cached)
	c.bornModes = bornModes()
	if knowsShares(c.src.magic) && knowsShares(c.dst.magic) && canShare(c.dst.fd) {
		c.shares = newShares()
		if o.shareMost > 0 {
			c.shares.most = o.shareMost
		}
	}
	c.man.w = o.Manifest
	if err := c.loadResume(); err != nil {
		return c.res, err
	}
	if c.prior != nil {
		defer c.prior.Close()
	}
	if err := c.checkEmpty(); err != nil {
		return c.res, err
	}
	c.prog.begin(o, c.src, true)
	quiet, stop := c.prog.start(o.ProgressEvery, func() { c.diskMode.shift(&c.o, c.q, &c.prog) }), c.startCheckpoints()
	err = c.run()
	if e := stop(); err == nil {
		err = e
	}
	quiet()
	// Even after an error, record what is finished.
	if e := c.checkpoint(); err == nil {
		err = e
	}
	c.prog.report(true)
	c.res.Heads = c.diskMode.heads.Load()
	return c.res, err
}

// hollow reports whether a directory is one of Options.Hollow. There are few of them.
func (o *Options) hollow(d *dir) bool {
	return len(o.Hollow) > 0 && d.parent != nil && slices.Contains(o.Hollow, d.path(""))
}

// part reports whether names may lie outside of the copy.
func (o *Options) part() bool { return o.Part || len(o.Hollow) > 0 }

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func (o *Options) workers() int {
	switch {
	case o.Workers > 0:
		return o.Workers
	case o.Rotational && o.DiskKnown:
		return 1
	}
	return min(16, max(4, 4*runtime.NumCPU())) // most of them wait for a disk
}

// fdLimit returns how many directories may be open at once. Each takes up to two descriptors; most of the process's limit is
// left to files and to the caller.
func fdLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 64
	}
	return int(min(max(l.Cur/8, 16), 512))
}

func (c *copier) open(src, dst string) (err error) {
	if c.src, err = openRoot(Source, src, true, c.o.plain); err != nil {
		return err
	}
	if c.dst, err = openRoot(Target, dst, false, c.o.plain); err != nil {
		_ = c.src.close()
		return err
	}
	if c.src.st.inode() == c.dst.st.inode() {
		err = &Error{Side: Target, Op: "open", Path: dst, Err: errors.New("is the source itself")}
	}
	var proc unix.Statfs_t
	if e := unix.Statfs("/proc/self/fd", &proc); e != nil || int64(proc.Type) != unix.PROC_SUPER_MAGIC {
		err = errors.New("/proc: not mounted, but needed for the xattrs of symlinks and devices")
	}
	if !iocNumbers() {
		err = errors.New("copy: unknown ioctl numbers for " + runtime.GOARCH)
	}
	if err != nil {
		c.closeRoots()
	}
	return err
}

func (c *copier) closeRoots() {
	_ = c.src.close()
	_ = c.dst.close()
}

// checkEmpty returns an error if the target holds other files, with which the copy would be mixed.
func (c *copier) checkEmpty() error {
	if c.o.Resume != nil {
		return nil
	}
	fd, err := openBelow(c.dst.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &Error{Side: Target, Op: "open", Path: ".", Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	es, _, err := readChunk(fd, make([]byte, 64<<10), 0)
	if err != nil {
		return &Error{Side: Target, Op: "list", Path: ".", Err: err}
	}
	own := set(c.o.TargetOnly)
	for _, e := range es {
		if e.name != "lost+found" && !own[e.name] {
			return &Error{Side: Target, Op: "check that it is empty", Path: e.name, Err: ErrNotEmpty}
		}
	}
	return nil
}

func (c *copier) run() error {
	w := newWorker()
	defer w.close()
	if err := c.openTop(w); err != nil {
		return err
	}
	stop := context.AfterFunc(c.ctx, func() { c.q.fail(context.Cause(c.ctx)) })
	defer stop()
	err := c.q.run(newWorker)
	c.abandonJobs()
	c.fds.closeAll()
	if err != nil {
		return err
	}
	return c.freezeRest()
}

func newWorker() *worker {
	b := make([]byte, blockSize+3*4096)
	skip := -uintptr(unsafe.Pointer(&b[0])) & 4095
	return &worker{data: b[skip : skip+blockSize+4096], xattr: make([]byte, 64<<10), dents: make([]byte, 256<<10)}
}

func (w *worker) close() { w.ahead.close() }

// openTop starts with the root directory.
func (c *copier) openTop(w *worker) error {
	d := &dir{src: c.src.fd, dst: c.dst.fd, existed: true}
	err := c.reading("read metadata", func() string { return "." }, func() error { return readMeta(object{fd: d.src}, c.src.magic, &d.meta, w.xattr) })
	if err != nil {
		return err
	}
	if op, err := clearInherited(object{fd: d.dst}); err != nil {
		return &Error{Side: Target, Op: op, Path: ".", Err: err}
	}
	d.refs = 1 // never dropped: Copy closes it
	return c.enter(w, d)
}

// loss handles an attribute that the target has refused with err: it returns an error, or records a problem.
func (c *copier) loss(path, what string, err error) error {
	if err == nil {
		return nil
	}
	if c.o.listLosses && (lossy(err) || c.noXattrRoom(err)) {
		c.problem(Problem{Path: path, What: what, Err: err})
		return nil
	}
	return &Error{Side: Target, Op: "set " + what, Path: path, Err: err}
}

func (c *copier) count(f func(r *Result)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.res)
}
