package tree

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Scan is what Precheck saw: the findings by severity, worst first, and the totals.
type Scan struct {
	Findings           []Finding
	Files, Dirs, Bytes int64 // Bytes allocated
}

// scanner is one run of Precheck.
type scanner struct {
	ctx     context.Context
	src     *root
	caps    Caps
	o       Options
	q       *queue
	fds     dirFDs
	exclude map[string]bool

	// What is asked of the kernel and not of the tree; tests answer themselves.
	quotas       func(*root) quotas
	tellsProject func(object) bool

	mu         sync.Mutex
	found      map[string]*finding
	scan       Scan
	shared     int64          // bytes of files in extents that something else shares
	largest    int64          // of a file, allocated: it shares nothing with itself
	once       tables[uint32] // multiply linked inodes that were counted, and their names to come
	quotaFiles bool           // in the root
	projects   projects
	prog       progress
}

// Precheck walks the metadata of src and says, before a copy starts, what a
// target with caps will not hold. Used of Options: Workers, Rotational, Exclude, Live, Progress,
// OnReadError (under List, what cannot be read is no Fail).
func Precheck(ctx context.Context, src string, caps Caps, o Options) (Scan, error) {
	r, err := openRoot(Source, src, true, o.plain)
	if err != nil {
		return Scan{}, err
	}
	defer func() { _ = r.close() }()
	return newScanner(ctx, r, caps, o).walk()
}

func newScanner(ctx context.Context, src *root, caps Caps, o Options) *scanner {
	o.DiskKnown = true // it is over too soon to find out otherwise
	return &scanner{ctx: ctx, src: src, caps: caps, o: o, q: newQueue(o.workers()), fds: dirFDs{limit: fdLimit()}, exclude: set(o.Exclude),
		quotas: quotasOf, tellsProject: object.tellsProject, found: map[string]*finding{}}
}

func (s *scanner) walk() (Scan, error) {
	defer s.once.free()
	stop := context.AfterFunc(s.ctx, func() { s.q.fail(context.Cause(s.ctx)) })
	defer stop()
	w := newWorker()
	top := &dir{src: s.src.fd, dst: -1, refs: 1}
	if err := s.enter(w, top); err != nil {
		return s.scan, err
	}
	s.prog.begin(s.o, s.src, false)
	quiet := s.prog.start(s.o.ProgressEvery, nil)
	err := s.q.run(newWorker)
	quiet()
	s.fds.closeAll()
	if err != nil {
		return s.scan, err
	}
	s.whole()
	for _, f := range s.found {
		s.scan.Findings = append(s.scan.Findings, f.Finding)
	}
	slices.SortFunc(s.scan.Findings, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return int(b.Severity) - int(a.Severity)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return s.scan, nil
}

// unreadable is what the policy for read errors will be asked about.
func (s *scanner) unreadable(path, op string, err error) {
	if s.o.OnReadError == List {
		s.find("tree.unreadable", Loss, path, "look at the kernel log (dmesg) and run fsck on the source before; the copy leaves it out and lists it", "%s: %v", op, err)
		return
	}
	s.find("tree.unreadable", Fail, path, "look at the kernel log (dmesg) and run fsck on the source; the policy skip-and-list (copy --read-error, or read_error of a plan) copies the rest", "%s: %v", op, err)
}

func (s *scanner) enter(w *worker, d *dir) error {
	d.pending.Store(1)
	if err := s.reading(d, "", func() error { return readMeta(object{fd: d.src}, s.src.magic, &d.meta, w.xattr) }); err != nil {
		s.unreadable(d.path(""), "read metadata", err)
	} else {
		s.look(d.path, "", &d.meta)
		if d.meta.attrs&unix.STATX_ATTR_ENCRYPTED != 0 {
			s.lookEncryptedDir(d.path(""), d.src)
		}
		if d.parent != nil && s.src.magic == unix.BTRFS_SUPER_MAGIC && d.meta.ino == 256 {
			s.find("tree.subvolume", Info, d.path(""), "make a subvolume of it afterwards (btrfs subvolume create), and move the files there", "a subvolume becomes a plain directory")
		}
	}
	return s.read(w, d)
}

func (s *scanner) read(w *worker, d *dir) error {
	es, more, err := s.o.list(w, d)
	if s.vanished(err) {
		err = nil
	}
	if err != nil {
		s.unreadable(d.path(""), "list", err)
	}
	if !more && d.parent != nil {
		s.fds.drop(d)
	}
	s.q.push(&frame{v: s, d: d, es: es, more: more, own: true})
	return nil
}

func (s *scanner) leave(_ *worker, d *dir) error {
	for ; d != nil && d.pending.Add(-1) == 0; d = d.parent {
		if d.parent != nil {
			_ = s.fds.finish(d)
		}
	}
	return nil
}

func (s *scanner) batch(w *worker, d *dir, es []entry) error {
	if err := s.fds.hold(d); s.vanished(err) {
		return s.leave(w, d)
	} else if err != nil {
		return err
	}
	s.prog.at(d, es[0].name)
	for _, e := range es {
		if s.ctx.Err() != nil {
			break
		}
		s.prog.files.Add(1)
		err := s.entry(w, d, e.name)
		if s.vanished(err) {
			continue
		}
		if err != nil {
			s.unreadable(d.path(e.name), "open and stat", err)
		}
	}
	s.fds.drop(d)
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.leave(w, d)
}

// vanished tells that something was removed by a system at work.
func (s *scanner) vanished(err error) bool {
	return s.o.Live && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE))
}

// reading tries as often as the copy does: what it will read is not foretold to fail.
func (s *scanner) reading(d *dir, name string, f func() error) error {
	return s.o.reading("look", func() string { return d.path(name) }, f)
}

func (s *scanner) entry(w *worker, d *dir, name string) error {
	if len(s.exclude) > 0 && s.exclude[d.path(name)] {
		return nil
	}
	var m meta
	if err := s.reading(d, name, func() error { return statAt(d.src, name, &m.stat) }); err != nil {
		return err
	}
	hidden := func() error {
		s.find("tree.mountpoint", Fail, d.path(name), "mount the source's filesystem at another directory and copy from there, or boot Linux 5.12", "what hides below this mount point cannot be reached")
		return nil
	}
	if m.mnt != s.src.st.mnt {
		return hidden()
	}
	if m.isDir() {
		sub := &dir{parent: d, name: name, dst: -1}
		err := s.reading(d, name, func() (err error) {
			sub.src, err = openBelow(d.src, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			return err
		})
		if errors.Is(err, unix.EXDEV) {
			return hidden() // before Linux 5.8 stat does not tell the mount
		}
		if err != nil {
			return err
		}
		d.pending.Add(1)
		s.fds.adopt(sub)
		return s.enter(w, sub)
	}
	o := object{d.src, name}
	if m.isReg() {
		fd := -1
		err := s.reading(d, name, func() (err error) {
			fd, err = openBelow(d.src, name, unix.O_RDONLY, 0)
			return err
		})
		if errors.Is(err, unix.ENOKEY) {
			s.find("tree.encrypted", Fail, d.path(name), unlockMend, "fscrypt: the key is not in the kernel's keyring")
			return nil
		}
		if errors.Is(err, unix.EOPNOTSUPP) && m.attrs&unix.STATX_ATTR_ENCRYPTED != 0 {
			s.find("tree.encrypted", Fail, d.path(name), noCryptMend, "fscrypt encrypts the file, and this kernel, which has none, does not open it")
			return nil
		}
		if errors.Is(err, unix.EOPNOTSUPP) && m.attrs&unix.STATX_ATTR_VERITY != 0 {
			s.find("tree.verity", Fail, d.path(name), "boot a kernel with CONFIG_FS_VERITY, or copy by blocks (engine extent)", "fs-verity protects the file, and this kernel, which has none, does not open it")
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		o = object{fd: fd}
	}
	if err := s.reading(d, name, func() error { return readMeta(o, s.src.magic, &m, w.xattr) }); err != nil {
		return err
	}
	switch first := s.look(d.path, name, &m); {
	case !first:
	case m.isReg():
		s.lookShared(w, d.path, name, o.fd, &m)
		if m.attrs&unix.STATX_ATTR_VERITY != 0 {
			s.lookVerity(w, d.path(name), o.fd)
		}
	default:
		s.lookUntold(d, o, &m)
	}
	return nil
}

// lookShared counts what files share, which a copy without sharing needs room for.
func (s *scanner) lookShared(w *worker, pathOf func(string) string, name string, fd int, m *meta) {
	if !knowsShares(s.src.magic) {
		return
	}
	n := sharedBytes(w, fd, m.size)
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.shared += n
	s.largest = max(s.largest, m.blocks*512)
	s.mu.Unlock()
	if s.caps.Reflink {
		s.find("tree.shared", Info, pathOf(name), "deduplicate afterwards what does not share again", "%d bytes are in extents that something else shares; they will share again, but for compressed and unaligned ones", n)
		return
	}
	s.find("tree.shared", Loss, pathOf(name), "a target that can share (mkfs.xfs -m reflink=1, btrfs)", "%d bytes are in extents that something else shares; the target's %s cannot, and each copy will need room of its own", n, s.caps.FS)
}

// whole says what is true of every copy by files.
func (s *scanner) whole() {
	s.find("tree.identity", Info, "", "copy by blocks (engine extent) where these matter", "inode numbers, birth times and change times are made again")
	s.wholeProjects()
	s.wholeQuotas()
	if c := s.caps; c.FreeBytes > 0 && s.scan.Bytes > c.FreeBytes {
		if c.Reflink && max(s.scan.Bytes-s.shared, s.largest) <= c.FreeBytes {
			s.find("tree.sharedspace", Info, "", "a larger target", "%d bytes are allocated, %d of them shared, and %d are free on the target: the copy fits only as far as it shares them again", s.scan.Bytes, s.shared, c.FreeBytes)
		} else {
			s.find("tree.space", Fail, "", "a larger target", "%d bytes are allocated, %d are free on the target", s.scan.Bytes, c.FreeBytes)
		}
	}
	if c := s.caps; c.FreeInodes > 0 && s.scan.Files+s.scan.Dirs > c.FreeInodes {
		s.find("tree.inodes", Fail, "", "mkfs with more inodes (-N or -i)", "%d objects, %d free inodes on the target", s.scan.Files+s.scan.Dirs, c.FreeInodes)
	}
}
