package tree

import (
	"encoding/binary"
	"errors"
	"sort"

	"golang.org/x/sys/unix"
)

// knowsShares reports whether files of a filesystem can share extents and FIEMAP shows that.
func knowsShares(magic int64) bool {
	return magic == unix.XFS_SUPER_MAGIC || magic == unix.BTRFS_SUPER_MAGIC
}

// canShare tries to share an extent between two unnamed temporary files on the filesystem of dir.
func canShare(dir int) bool {
	var fds [2]int
	for i := range fds {
		fd, err := openBelow(dir, ".", unix.O_RDWR|unix.O_TMPFILE, 0o600)
		if err != nil {
			return false
		}
		defer func() { _ = unix.Close(fd) }()
		fds[i] = fd
	}
	return writeFull(fds[0], make([]byte, 64<<10), 0) == nil && cloneRange(fds[1], fds[0], 0, 0, 64<<10) == nil
}

// sharedBytes returns how many bytes of a file are in shared extents.
func sharedBytes(w *worker, fd int, size int64) (n int64) {
	for x := (extents{fd: fd, buf: w.mapBuffer()}); ; {
		e, ok, err := x.next()
		if err != nil || !ok || e.off >= size {
			return n
		}
		if e.flags&fiemapExtentShared != 0 && e.flags&fiemapExtentUnwritten == 0 {
			n += min(e.off+e.len, size) - e.off
		}
	}
}

// mapBuffer returns a buffer for extents, to avoid an allocation for each file.
func (w *worker) mapBuffer() []byte {
	if w.fiemap == nil {
		w.fiemap = make([]byte, fiemapHeaderSize+fiemapBatch*fiemapExtentSize)
	}
	return w.fiemap
}

// cloneRange makes n bytes of dst at off share those of src at from. The kernel writes back the range of src first, and locks
// both inodes meanwhile.
func cloneRange(dst, src int, from, off, n int64) error {
	for {
		err := unix.IoctlFileCloneRange(dst, &unix.FileCloneRange{Src_fd: int64(src), Src_offset: uint64(from), Src_length: uint64(n), Dest_offset: uint64(off)})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sharing decides what a file can share. wait means that another file with the same extents is being copied; this one is queued
// again when that is complete.
func (c *copier) sharing(w *worker, d *dir, name string, fd int, m *meta) (x sharing, wait bool) {
	es := c.extentsShared(w, fd, m)
	if len(es) == 0 {
		return sharing{}, false
	}
	return c.shares.plan(es, waiter{d: d, name: name, ino: m.ino})
}

// shared records that the data of a file with claims is complete at fd, or that it must not be shared if fd is -1. It queues the
// files that waited for it.
func (c *copier) shared(mine uint32, fd int) {
	if mine == 0 {
		return
	}
	h := &linkRec{}
	if fd < 0 || !h.handleOf(fd, "") {
		h = nil
	}
	for _, x := range c.shares.publish(mine, h) {
		c.q.push(&delayedFile{c: c, waiter: x})
	}
}

// delayedFile is a file that has waited. Its directory already counts it as pending.
type delayedFile struct {
	c *copier
	waiter
	taken bool
}

func (a *delayedFile) take(int) task {
	if a.taken {
		return nil
	}
	a.taken = true
	return func(w *worker) error {
		return a.c.batch(w, a.d, []entry{{ino: a.ino, name: a.name, typ: unix.DT_REG}})
	}
}

// share makes j share what it can. Afterwards kept has the ranges that need not be written. What the kernel refuses is written
// like other data. If a resumed copy already has a part of j, that is shared too: the data is the same.
func (j *fileJob) share() error {
	if len(j.sharing.have) == 0 {
		return nil
	}
	if err := j.prepare(); err != nil {
		return err
	}
	var of uint32
	var size int64
	src := -1
	defer func() { _ = unix.Close(src) }()
	for _, s := range j.sharing.have {
		if err := j.c.ctx.Err(); err != nil {
			return err
		}
		if s.file != of {
			_ = unix.Close(src)
			of = s.file
			src, size, _ = j.c.openShared(j.c.shares.file(of)) // -1 after an error: the range is written instead
		}
		if s, ok := j.aligned(s, size); ok && src >= 0 && cloneRange(j.dst, src, s.from, s.off, s.end-s.off) == nil {
			j.kept = append(j.kept, s.span)
		}
	}
	j.sharing.have = nil
	return nil
}

// openShared opens a file on the target whose data is complete, and returns its size.
func (c *copier) openShared(f sharedFile) (fd int, size int64, err error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK
	var st stat
	want := int64(-1)
	if f.state == shareDead {
		return -1, 0, unix.ESTALE
	}
	if f.state == shareStored {
		var path string
		if path, want, err = c.prior.completeFile(storedPlace(f)); err != nil {
			return -1, 0, err
		}
		fd, err = openPath(c.dst.fd, path, flags)
	} else {
		fd, err = c.openLink(inode{}, linkRec{htype: f.htype, hlen: f.hlen, handle: f.handle}, flags)
	}
	if err != nil {
		return -1, 0, err
	}
	if err = statFD(fd, &st); err == nil && (!st.isReg() || want >= 0 && st.size != want) {
		err = unix.ESTALE
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, st.size, nil
}

// place locates a record in the manifest of the interrupted copy.
type place struct {
	at    int64
	bytes uint32
	ino   uint64
}

func stored(p place) (f sharedFile) {
	binary.NativeEndian.PutUint64(f.handle[:], uint64(p.at))
	binary.NativeEndian.PutUint32(f.handle[8:], p.bytes)
	binary.NativeEndian.PutUint64(f.handle[12:], p.ino)
	f.state = shareStored
	return f
}

func storedPlace(f sharedFile) place {
	h := f.handle[:]
	return place{int64(binary.NativeEndian.Uint64(h)), binary.NativeEndian.Uint32(h[8:]), binary.NativeEndian.Uint64(h[12:])}
}

// recordShares appends records of the extents of j that others may share, for a resumed copy. They are only valid after the
// record of j itself.
func (j *fileJob) recordShares(w *worker) error {
	const most = 4096 // records in a block
	for _, e := range j.sharing.extents {
		w.recs = append(w.recs, record{kind: kindShared, name: j.name, ino: j.meta.ino, size: e.off, sum: Sum{uint64(e.phys), uint64(e.len)}, nlink: j.meta.nlink})
		if len(w.recs) >= most {
			if err := j.c.man.write(j.d.key(), j.d.path(""), w.recs); err != nil {
				return err
			}
			w.recs = w.recs[:0]
		}
	}
	return nil
}

// loadBlock adds the shared extents in a block of the interrupted copy's manifest.
func (s *shares) loadBlock(b *block, at int64, n int) {
	var file uint32
	var of string
	for _, r := range b.recs {
		phys, length := int64(r.sum.Hi), int64(r.sum.Lo)
		if r.kind != kindShared || phys <= 0 || phys > 1<<62 || length <= 0 || length > shareLongest || s.n+1 >= s.most || len(s.files) >= s.most {
			continue
		}
		if file == 0 || of != r.name {
			file, of = s.add(stored(place{at, uint32(n), r.ino})), r.name
		}
		var gaps []sharedRec
		s.each(phys, phys+length, func(from, to int64, known *sharedRec) {
			if known == nil {
				gaps = append(gaps, sharedRec{from, r.size + from - phys, uint32(to - from), file})
			}
		})
		for _, g := range gaps {
			s.insert(g)
		}
	}
}

// aligned trims s to whole blocks of the target. The other file has size bytes there. A part of a block can only be shared if
// both files end in it.
func (j *fileJob) aligned(s share, size int64) (share, bool) {
	b := j.c.dst.bsize
	s.end = min(s.end, j.meta.size, s.off+size-s.from)
	if (s.off-s.from)%b != 0 {
		return s, false
	}
	if skip := (b - s.off%b) % b; skip > 0 {
		s.off, s.from = s.off+skip, s.from+skip
	}
	if s.end%b != 0 && (s.end != j.meta.size || s.from+s.end-s.off != size) {
		s.end -= s.end % b
	}
	return s, s.off < s.end
}

// writeOwn writes those parts of b, at off, that are not shared.
func (j *fileJob) writeOwn(b []byte, off int64) error {
	end := off + int64(len(b))
	i := sort.Search(len(j.kept), func(i int) bool { return j.kept[i].end > off })
	for at := off; at < end; i++ {
		stop, next := end, end
		if i < len(j.kept) && j.kept[i].off < end {
			stop, next = max(at, j.kept[i].off), min(end, j.kept[i].end)
		}
		if at < stop {
			if err := j.write(b[at-off:stop-off], at); err != nil {
				return j.writeErr(at, stop-at, err)
			}
		}
		at = next
	}
	return nil
}
