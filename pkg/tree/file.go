package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	// A file of at least bigFile bytes is copied in ranges of rangeLen bytes, as work of its own.
	bigFile  = 16 << 20
	rangeLen = 8 << 20
)

// file copies one regular file, makes a link if it has been copied under another name, or starts a fileJob.
func (c *copier) file(w *worker, d *dir, name string) error {
	path := pathOnce(d, name)
	var (
		src   int
		m     meta
		early []byte
		err   error
	)
	if s := w.ahead.take(name); s != nil {
		src, m = s.fd, s.m
		if s.read {
			early = s.room[:s.got]
		}
	} else if src, err = c.openMeta(w, &m, path, func() (int, error) { return c.openSource(d, name) }); err != nil {
		return err
	}
	if !m.isReg() {
		_ = unix.Close(src)
		return &Error{Side: Source, Op: "read metadata", Path: path(), Err: unix.ESTALE}
	}
	sh, wait := c.sharing(w, d, name, src, &m)
	if wait {
		_ = unix.Close(src)
		return nil
	}
	first, err := c.claimLink(w, d, name, &m)
	if err != nil || !first {
		c.shared(sh.mine, -1)
		_ = unix.Close(src)
		return err
	}
	dst, from, sum, err := c.createFile(w, d, name, &m, path)
	if err != nil {
		_ = unix.Close(src)
		return err
	}
	j := &fileJob{c: c, d: d, name: name, meta: m, src: src, dst: dst, out: -1, path: path, next: from, sum: sum, from: from, upTo: from, sharing: sh}
	if err := j.share(); err != nil {
		return j.abort(err)
	}
	if m.size < bigFile {
		j.early = early
		return c.smallFile(w, j)
	}
	return j.start()
}

// createFile opens a new file on the target. If the copy that is resumed has a part of it, from is the number of bytes.
func (c *copier) createFile(w *worker, d *dir, name string, m *meta, path func() string) (fd int, from int64, sum Sum, err error) {
	fail := func(op string, err error) (int, int64, Sum, error) {
		return -1, 0, Sum{}, &Error{Side: Target, Op: op, Path: path(), Err: err}
	}
	r, ok := w.done[name]
	if ok && r.kind == kindPartial && r.ino == m.ino && r.size < m.size {
		if fd, err := openBelow(d.dst, name, unix.O_RDWR, 0); err == nil {
			var st stat
			if err := statFD(fd, &st); err == nil && st.isReg() && st.size >= r.size && st.nlink == 1 {
				if err := unix.Ftruncate(fd, r.size); err == nil {
					return fd, r.size, r.sum, nil
				}
			}
			_ = unix.Close(fd)
		}
	}
	if ok && r.size > 0 {
		if err := c.revoke(d, name, r.ino); err != nil {
			return -1, 0, Sum{}, err
		}
	}
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL
	mode := uint64(m.mode & c.bornModes)
	fd, err = openBelow(d.dst, name, flags, mode)
	if errors.Is(err, unix.EEXIST) && d.existed {
		if err := c.remove(d, name); err != nil {
			return fail("remove what an interrupted copy left", err)
		}
		fd, err = openBelow(d.dst, name, flags, mode)
	}
	if err != nil {
		return fail("create", err)
	}
	c.observe(object{fd: fd})
	if err := c.applyEarly(object{fd: fd}, m, path); err != nil {
		_ = unix.Close(fd)
		return -1, 0, Sum{}, err
	}
	return fd, 0, Sum{}, nil
}

// smallFile copies a file within one task.
func (c *copier) smallFile(w *worker, j *fileJob) error {
	err := j.copySmall(w)
	if err == nil {
		return j.finish(w)
	}
	return j.abort(err)
}

func (j *fileJob) copySmall(w *worker) error {
	if j.meta.size > blockSize || j.from > 0 || len(j.kept) > 0 {
		return j.copyPieces(w)
	}
	b := j.early
	if b == nil {
		// Read one byte beyond the end to check the size.
		n, err := unix.Pread(j.src, w.data[:roundUp(int(j.meta.size)+1)], 0)
		if err != nil || int64(n) < j.meta.size {
			return j.copyPieces(w)
		}
		b = w.data[:n]
	}
	n := len(b)
	if int64(n) != j.meta.size {
		return j.changed(int64(n))
	}
	if hasZeroBlock(b, j.c.granule()) {
		return j.copyPieces(w)
	}
	s, _ := blockSum(0, b)
	if err := writeFull(j.dst, b, 0); err != nil {
		return j.writeErr(0, int64(n), err)
	}
	j.sum, j.data = s, j.c.src.roundUp(int64(n))
	j.c.prog.bytes.Add(min(j.data, j.meta.blocks*512))
	return nil
}

func (j *fileJob) copyPieces(w *worker) error {
	if err := j.prepare(); err != nil {
		return err
	}
	if j.c.diskMode.heads.Load() {
		if err := j.readBuffered(); err != nil {
			return &Error{Side: Source, Op: "read", Path: j.path(), Err: err}
		}
	}
	return j.copyRange(w, j.from, j.meta.size)
}

// granule returns the size of the smallest hole that the source can have, at most 4 KiB.
func (c *copier) granule() int { return int(min(c.src.bsize, 4096)) }

func (j *fileJob) changed(n int64) error {
	return &Error{Side: Source, Op: "read", Path: j.path(), Offset: min(n, j.meta.size), Length: max(1, j.meta.size-n), Err: errChanged}
}

var errChanged = errors.New("size differs from that in the inode: the file has changed, or is damaged")

func (j *fileJob) writeErr(off, n int64, err error) error {
	return &Error{Side: Target, Op: "write", Path: j.path(), Offset: off, Length: n, Err: err}
}

// copyRange copies [off, end) and keeps holes; off must be a multiple of blockSize. It adds the sum and the bytes of data to j.
func (j *fileJob) copyRange(w *worker, off, end int64) error {
	seg := segments{fd: j.src, end: min(end, j.meta.size)}
	if err := seg.seek(off); err != nil {
		return &Error{Side: Source, Op: "seek data", Path: j.path(), Err: err}
	}
	var sum Sum
	var data int64
	spans := make([]span, 0, 8)
	un := unwritten{x: extents{fd: j.src, start: uint64(off)}}
	for pos := off; pos < seg.end && seg.a < seg.end; pos += blockSize {
		if seg.a >= pos+blockSize { // a long hole
			pos = seg.a / blockSize * blockSize
		}
		if err := j.c.ctx.Err(); err != nil {
			return err
		}
		stop := min(pos+blockSize, j.meta.size)
		before := data
		var err error
		if spans, err = seg.within(pos, stop, spans); err != nil {
			return &Error{Side: Source, Op: "seek data", Path: j.path(), Err: err}
		}
		b := w.data[:stop-pos]
		if len(spans) != 1 || spans[0] != (span{pos, stop}) {
			clear(b)
		}
		for _, s := range spans {
			n, err := j.copySpan(b[s.off-pos:s.end-pos], s.off, &un)
			if err != nil {
				return err
			}
			data += n
		}
		s, _ := blockSum(pos/blockSize, b)
		sum = sum.add(s)
		j.c.prog.bytes.Add(data - before)
	}
	j.add(off, end, sum, data)
	return nil
}

// copySpan reads b at off, applies the policy to what cannot be read, writes b, and returns the number of bytes written, in
// whole blocks. The kernel reports unwritten blocks as data once their zeros have been read into the cache; those are left to
// seal, which preallocates them.
func (j *fileJob) copySpan(b []byte, off int64, un *unwritten) (int64, error) {
	n, err := j.read(b, off)
	if err == nil && n < len(b) {
		return 0, j.changed(off + int64(n))
	}
	if err != nil {
		return 0, j.salvage(b, off)
	}
	end := off + int64(len(b))
	written := int64(0)
	for at := off; at < end; {
		stop, skip := end, false
		if hasZeroBlock(b[at-off:], j.c.granule()) {
			if stop, skip, err = un.split(at, end); err != nil {
				if err := j.unmapped(err); err != nil {
					return 0, err
				}
				stop, skip = end, true // without a map, treat zeros as a hole
			}
		}
		p := b[at-off : stop-off]
		if !skip || !isZero(p) {
			if err := j.writeOwn(p, at); err != nil {
				return 0, err
			}
			written += j.c.src.roundUp(int64(len(p)))
		}
		at = stop
	}
	return written, nil
}

// salvage reads a range in small pieces after a read of the whole range has failed. Pieces that stay unreadable end the copy or,
// depending on the policy, are listed and become zeros, on the target and in b.
func (j *fileJob) salvage(b []byte, off int64) error {
	if err := j.readBuffered(); err != nil {
		return &Error{Side: Source, Op: "read", Path: j.path(), Err: err}
	}
	var bad []span
	var why error
	g := int64(4096)
	for at := off; at < off+int64(len(b)); {
		// A failing disk takes seconds for each piece.
		if err := j.c.ctx.Err(); err != nil {
			return err
		}
		stop := min((at/g+1)*g, off+int64(len(b)))
		p, n := b[at-off:stop-off], 0
		err := j.c.o.reading("read", j.path, func() (err error) {
			n, err = readFull(j.src, p, at)
			return err
		})
		if err == nil && n < len(p) {
			return j.changed(at + int64(n))
		}
		if err != nil {
			why = err
			clear(p)
			if n := len(bad); n > 0 && bad[n-1].end == at {
				bad[n-1].end = stop
			} else {
				bad = append(bad, span{at, stop})
			}
		}
		// The new file already reads as zeros, except where it shares an extent with another file of which that range could be
		// read.
		if err == nil || len(j.kept) > 0 {
			if err := writeFull(j.dst, p, at); err != nil {
				return j.writeErr(at, int64(len(p)), err)
			}
		}
		at = stop
	}
	for _, s := range bad {
		if err := j.incomplete("read", "data", s.off, s.end-s.off, why); err != nil {
			return err
		}
	}
	return nil
}
