package tree

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Scan is the result of Precheck: the findings, the most severe first, and the totals.
type Scan struct {
	Findings           []Finding
	Files, Dirs, Bytes int64 // Bytes are those allocated
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

	subvolumes map[string]bool // Options.Subvolumes

	// Queries to the kernel, which tests replace.
	quotas       func(*root) quotas
	tellsProject func(object) bool

	mu         sync.Mutex
	found      map[string]*finding
	scan       Scan
	shared     int64          // bytes in shared extents
	largest    int64          // allocated bytes of the largest file with shared extents, which shares nothing with itself
	once       tables[uint32] // multiply linked inodes that were counted, with the number of names to come
	quotaFiles bool           // there are quota files in the root
	projects   projects
	prog       progress
}

// Precheck walks the metadata of src and reports, before a copy starts, what a target with the given capabilities will not
// keep. It uses these Options: Workers, Rotational, Exclude, Hollow, Part, Live, Progress, OnReadError (with List, what cannot be read is a
// Loss and not a Fail).
func Precheck(ctx context.Context, src string, caps Caps, o Options) (Scan, error) {
	r, err := openRoot(Source, src, true, o.plain)
	if err != nil {
		return Scan{}, err
	}
	defer func() { _ = r.close() }()
	return newScanner(ctx, r, caps, o).walk()
}

func newScanner(ctx context.Context, src *root, caps Caps, o Options) *scanner {
	o.DiskKnown = true // a scan is too short to measure the disk
	return &scanner{ctx: ctx, src: src, caps: caps, o: o, q: newQueue(o.workers()), fds: dirFDs{limit: fdLimit()}, exclude: set(o.Exclude), subvolumes: set(o.Subvolumes),
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
	if n := s.once.len(); n > 0 && s.o.part() {
		s.find("tree.border", Info, "", "if the names have to stay one file, keep them on one filesystem", "%d inodes also have names outside of what is copied here: they become separate files", n)
	}
	s.addSourceFindings()
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

// unreadable reports something that cannot be read, with the severity that follows from the policy.
func (s *scanner) unreadable(path, op string, err error) {
	if s.o.OnReadError == List {
		s.find("tree.unreadable", Loss, path, "look at the kernel log (dmesg) and run fsck on the source first; otherwise the copy leaves it out and lists it", "%s: %v", op, err)
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
		if d.parent != nil && s.src.magic == unix.BTRFS_SUPER_MAGIC && d.meta.ino == btrfsFirstFree && !s.subvolumes[d.path("")] {
			s.find("tree.subvolume", Info, d.path(""), "create a subvolume afterwards (btrfs subvolume create), and move the files into it", "a subvolume becomes a plain directory")
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

// vanished reports whether err means that the running system has removed a file.
func (s *scanner) vanished(err error) bool {
	return s.o.Live && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE))
}

// reading retries as often as the copy does, so that Precheck does not report what the copy will be able to read.
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
		s.find("tree.mountpoint", Fail, d.path(name), "mount the source's filesystem at another directory and copy from there, or boot Linux 5.12", "files hidden below this mount point cannot be reached")
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
			return hidden() // before Linux 5.8, statx does not report the mount
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
			s.find("tree.encrypted", Fail, d.path(name), unlockFix, "encrypted by fscrypt: the key is not in the kernel's keyring")
			return nil
		}
		if errors.Is(err, unix.EOPNOTSUPP) && m.attrs&unix.STATX_ATTR_ENCRYPTED != 0 {
			s.find("tree.encrypted", Fail, d.path(name), noCryptFix, "encrypted by fscrypt, which this kernel does not support: it cannot open the file")
			return nil
		}
		if errors.Is(err, unix.EOPNOTSUPP) && m.attrs&unix.STATX_ATTR_VERITY != 0 {
			s.find("tree.verity", Fail, d.path(name), "boot a kernel with CONFIG_FS_VERITY, or copy by blocks (engine extent)", "protected by fs-verity, which this kernel does not support: it cannot open the file")
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

// lookShared counts the bytes in shared extents. A copy that does not share them needs room for each.
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
		s.find("tree.shared", Info, pathOf(name), "deduplicate afterwards what is not shared again", "%d bytes are in shared extents; the copies will share them again, except compressed and unaligned ones", n)
		return
	}
	s.find("tree.shared", Loss, pathOf(name), "use a target that can share extents (mkfs.xfs -m reflink=1, btrfs)", "%d bytes are in shared extents; the target's %s cannot share them, so each copy will need its own space", n, s.caps.FS)
}

// addSourceFindings adds the findings about the source as a whole.
func (s *scanner) addSourceFindings() {
	s.find("tree.identity", Info, "", "copy by blocks (engine extent) where these matter", "inode numbers, birth times and change times will be new")
	s.addProjectFinding()
	s.addQuotaFinding()
	if c := s.caps; c.FreeBytes > 0 && s.scan.Bytes > c.FreeBytes {
		if c.Reflink && max(s.scan.Bytes-s.shared, s.largest) <= c.FreeBytes {
			s.find("tree.sharedspace", Info, "", "a larger target", "%d bytes are allocated, %d of them shared, but only %d are free on the target: the copy fits only if enough of them are shared again", s.scan.Bytes, s.shared, c.FreeBytes)
		} else {
			s.find("tree.space", Fail, "", "a larger target", "%d bytes are allocated, but only %d are free on the target", s.scan.Bytes, c.FreeBytes)
		}
	}
	if c := s.caps; c.FreeInodes > 0 && s.scan.Files+s.scan.Dirs > c.FreeInodes {
		s.find("tree.inodes", Fail, "", "mkfs with more inodes (-N or -i)", "%d objects, but only %d free inodes on the target", s.scan.Files+s.scan.Dirs, c.FreeInodes)
	}
}
