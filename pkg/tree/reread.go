package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// file compares a regular file: metadata, data from the disk, allocation.
func (v *verifier) file(w *worker, d *dir, e entry) error {
	name := e.name
	f := &pair{v: v, path: func() string { return d.path(name) }, direct: true}
	err := v.o.reading("open", f.path, func() (err error) {
		f.src, err = openBelow(d.src, name, unix.O_RDONLY, 0)
		return err
	})
	if err != nil {
		return v.unreadable(f.path(), Source, err)
	}
	defer func() { _ = unix.Close(f.src) }()
	early := w.ahead.take(name)
	if early != nil {
		f.dst, f.t = early.fd, early.m
		if early.read {
			f.early = early.room[:early.got]
		}
	} else if f.dst, err = openBelow(d.dst, name, unix.O_RDONLY|unix.O_DIRECT, 0); errors.Is(err, unix.EINVAL) {
		f.direct = false
		f.dst, err = openBelow(d.dst, name, unix.O_RDONLY, 0)
	}
	if err != nil {
		return v.unopened(d, e, err)
	}
	defer func() { _ = unix.Close(f.dst) }()
	if err := v.o.reading("read metadata", f.path, func() error { return readMeta(object{fd: f.src}, v.src.magic, &f.s, w.xattr) }); err != nil {
		return v.unreadable(f.path(), Source, err)
	}
	if early == nil {
		err = readMeta(object{fd: f.dst}, v.dst.magic, &f.t, w.xattr)
	}
	if err != nil || !f.t.isReg() {
		return v.unopened(d, e, err)
	}
	f.direct = f.direct && f.t.direct
	d.files.Add(1)
	v.prog.files.Add(1)
	v.compare(f.path, &f.s, &f.t)
	r, ok := w.done[name]
	ok = ok && r.ino == f.s.ino && r.size == f.s.size
	wasDamaged := ok && r.kind == kindDamaged
	if !wasDamaged {
		f.verity()
	}
	known := ok && r.kind == kindFile
	// Without hashes there is no point in waiting for another name.
	first := v.linkOf(f.path, &f.s.stat, &f.t.stat, known || wasDamaged || v.o.Hashes == nil)
	if wasDamaged {
		return f.compareDamaged(w, r.sum)
	}
	if !first || f.s.size != f.t.size {
		return nil
	}
	return f.data(w, r.sum, known && !v.o.Reread)
}

// pair is a file on both sides.
type pair struct {
	v        *verifier
	path     func() string
	direct   bool // reads of dst bypass the page cache
	src, dst int
	s, t     meta
	early    []byte // the data of dst, if all of it has already been read past the cache
}

// data compares data and allocation. sum is that of the source, if known.
func (f *pair) data(w *worker, sum Sum, known bool) error {
	v := f.v
	if !known {
		var n int64
		var err error
		if sum, _, n, err = sumFile(v.ctx, w, f.src, f.s.size, false, int(v.src.bsize), nil); err != nil {
			return v.unreadable(f.path(), Source, err)
		}
		v.mu.Lock()
		v.rep.Reread += n
		v.mu.Unlock()
	}
	got, dense, err := f.target(w)
	if err != nil {
		return v.unreadable(f.path(), Target, err)
	}
	if s := f.sharedSource(w); s > 0 {
		t := sharedBytes(w, f.dst, f.t.size)
		v.mu.Lock()
		v.rep.SharedSource += s
		v.rep.SharedTarget += t
		v.mu.Unlock()
	}
	if got != sum {
		return f.locate(w, sum, got)
	}
	round := func(n, b int64) int64 { return (n + b - 1) / b * b / 512 }
	if dense && f.s.blocks == round(f.s.size, v.src.bsize) && f.t.blocks == round(f.t.size, v.dst.bsize) {
		return nil
	}
	return f.layout()
}

// target hashes the target's data.
func (f *pair) target(w *worker) (sum Sum, dense bool, err error) {
	bsize, read := int(f.v.src.bsize), f.t.size
	count, told := f.counting()
	if !f.direct {
		// Without O_DIRECT, at least drop the cached pages first.
		_ = unix.Fadvise(f.dst, 0, 0, unix.FADV_DONTNEED)
	}
	if int64(len(f.early)) == f.t.size && f.t.size > 0 {
		sum, _ = blockSum(0, f.early)
		dense = !hasZeroBlock(f.early, min(bsize, 4096))
	} else if sum, dense, read, err = sumFile(f.v.ctx, w, f.dst, f.t.size, true, bsize, count); err != nil {
		return Sum{}, false, err
	}
	f.v.mu.Lock()
	f.v.rep.Read += read
	f.v.mu.Unlock()
	told()
	return sum, dense, nil
}

// counting returns functions that count the progress of a file: at is called with the position, end at the end of the file. They
// count allocated bytes of the source, because the total does not include holes either.
func (f *pair) counting() (at func(pos int64), end func()) {
	all, told := min(f.s.blocks*512, f.v.src.roundUp(f.s.size)), int64(0)
	at = func(pos int64) {
		n := int64(float64(all) * min(1, float64(pos)/float64(max(1, f.s.size))))
		f.v.prog.bytes.Add(n - told)
		told = n
	}
	return at, func() { at(f.s.size) }
}

func (f *pair) sharedSource(w *worker) int64 {
	if !f.v.sharing {
		return 0
	}
	return sharedBytes(w, f.src, f.s.size)
}

// sumFile hashes the data of a file, as SEEK_DATA reports it. dense means that there was neither a hole nor an aligned block of
// bsize zeros. direct must be set if fd was opened with O_DIRECT, which sumFile clears if the filesystem refuses a read. count,
// which may be nil, is called with the position.
func sumFile(ctx interface{ Err() error }, w *worker, fd int, size int64, direct bool, bsize int, count func(pos int64)) (sum Sum, dense bool, read int64, err error) {
	if size > 0 && size <= blockSize {
		// A hole reads as zeros, which count nothing.
		if err := readBlock(fd, w.data, int(size), 0, direct); err != nil {
			return Sum{}, false, 0, fmt.Errorf("read of bytes 0 to %d: %w", size-1, err)
		}
		sum, _ = blockSum(0, w.data[:size])
		return sum, !hasZeroBlock(w.data[:size], min(bsize, 4096)), size, nil
	}
	seg := segments{fd: fd, end: size}
	if err := seg.seek(0); err != nil {
		return Sum{}, false, 0, err
	}
	dense = seg.a == 0 || size == 0
	for pos := int64(0); pos < size && seg.a < size; pos += blockSize {
		if seg.a >= pos+blockSize {
			pos, dense = seg.a/blockSize*blockSize, false
		}
		if err := ctx.Err(); err != nil {
			return Sum{}, false, 0, err
		}
		for seg.b <= pos && seg.a < size {
			if err := seg.seek(pos); err != nil {
				return Sum{}, false, 0, err
			}
		}
		if seg.a >= min(pos+blockSize, size) {
			dense = false
			pos -= blockSize // continue at the segment
			if seg.a < size {
				pos = seg.a/blockSize*blockSize - blockSize
			}
			continue
		}
		n := int(min(blockSize, size-pos))
		b := w.data[:n]
		if err := readBlock(fd, w.data, n, pos, direct); err != nil {
			return Sum{}, false, 0, fmt.Errorf("read of bytes %d to %d: %w", pos, pos+int64(n)-1, err)
		}
		read += int64(n)
		if count != nil {
			count(pos + int64(n))
		}
		s, _ := blockSum(pos/blockSize, b)
		sum = sum.add(s)
		dense = dense && !hasZeroBlock(b, min(bsize, 4096))
	}
	return sum, dense, read, nil
}

// readBlock reads n bytes at off, a multiple of blockSize, into buf. A direct read requests whole sectors and may end at the end
// of the file.
func readBlock(fd int, buf []byte, n int, off int64, direct bool) error {
	if direct {
		got, err := unix.Pread(fd, buf[:(n+4095)&^4095], off)
		if err == nil && got >= n {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EINTR) {
			return err
		}
		// The read was short or refused: read the rest of this file through the page cache, which has been dropped.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_DIRECT)
		}
		if err != nil {
			return err
		}
	}
	got := 0
	err := tries(func() (err error) {
		got, err = readFull(fd, buf[:n], off)
		return err
	})
	if err == nil && got < n {
		err = errChanged
	}
	return err
}

// locate finds and reports the first byte that differs.
func (f *pair) locate(w *worker, want, got Sum) error {
	other := make([]byte, blockSize+4096)
	for pos := int64(0); pos < f.s.size; pos += blockSize {
		if err := f.v.ctx.Err(); err != nil {
			return err
		}
		n := int(min(blockSize, f.s.size-pos))
		if err := readBlock(f.src, other, n, pos, false); err != nil {
			return f.v.unreadable(f.path(), Source, err)
		}
		if err := readBlock(f.dst, w.data, n, pos, true); err != nil {
			return f.v.unreadable(f.path(), Target, err)
		}
		for i := range n {
			if other[i] != w.data[i] {
				f.v.differ(f.path(), "data", fmt.Sprintf("%#02x at byte %d", other[i], pos+int64(i)), fmt.Sprintf("%#02x", w.data[i]))
				return nil
			}
		}
	}
	f.v.differ(f.path(), "data", fmt.Sprintf("sum %016x%016x when copied", want.Hi, want.Lo), fmt.Sprintf("sum %016x%016x; the source reads the same now", got.Hi, got.Lo))
	return nil
}

// unhashedLinks compares the multiply linked inodes without a hash for any of their names.
func (v *verifier) unhashedLinks(w *worker) error {
	for _, path := range v.todo {
		if err := v.unhashed(w, path); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) unhashed(w *worker, path string) error {
	src, err := openPath(v.src.fd, path, unix.O_RDONLY)
	if err != nil {
		return v.unreadable(path, Source, err)
	}
	defer func() { _ = unix.Close(src) }()
	dst, err := openPath(v.dst.fd, path, unix.O_RDONLY)
	if err != nil {
		return v.unreadable(path, Target, err)
	}
	defer func() { _ = unix.Close(dst) }()
	f := &pair{v: v, path: func() string { return path }, src: src, dst: dst}
	if err := statFD(src, &f.s.stat); err != nil {
		return v.unreadable(path, Source, err)
	}
	if err := statFD(dst, &f.t.stat); err != nil {
		return v.unreadable(path, Target, err)
	}
	if f.s.size != f.t.size {
		return nil // already reported
	}
	return f.data(w, Sum{}, false)
}
