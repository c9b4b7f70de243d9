package tree

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

const (
	// readTries is the number of attempts to read something from the source: a bad sector can often be read in the end.
	readTries = 3
	// problemsListed bounds Result.Problems: a failing disk may have more problems than fit in memory.
	problemsListed = 1000
)

// damaged reports whether err is an error of the medium or a damaged filesystem, and not one of this program.
func damaged(err error) bool {
	for _, e := range []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG, unix.ENODATA, unix.EILSEQ, unix.ENOKEY, unix.EREMOTEIO, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tries calls f up to readTries times, as long as it fails with an error of the medium.
func tries(f func() error) (err error) {
	for range readTries {
		if err = f(); err == nil || !damaged(err) {
			return err
		}
	}
	return err
}

// reading calls f, which reads something from the source, and retries it.
func (o *Options) reading(op string, path func() string, f func() error) error {
	if o.fault == nil {
		return tries(f)
	}
	return tries(func() error {
		if err := o.fault(op, path()); err != nil {
			return err
		}
		return f()
	})
}

// list reads the next names of d in the source. With an error it returns those that were read before it.
func (o *Options) list(w *worker, d *dir) (es []entry, more bool, err error) {
	if o.hollow(d) {
		return nil, false, nil
	}
	return readNames(o.chunk, func() (n int, err error) {
		err = o.reading("list", func() string { return d.path("") }, func() error {
			n, err = unix.Getdents(d.src, w.dents)
			return err
		})
		return n, err
	}, w.dents)
}

// reading is like Options.reading, for reads before anything of an object has been created on the target.
func (c *copier) reading(op string, path func() string, f func() error) error {
	if err := c.o.reading(op, path, f); err != nil {
		return c.readError(path(), op, err)
	}
	return nil
}

// readError returns the error for an object of which nothing has been created on the target yet, so that the policy may skip it.
func (c *copier) readError(path, op string, err error) error {
	return &Error{Side: Source, Op: op, Path: path, Err: err, whole: true}
}

// openMeta opens an object in the source and reads its metadata.
func (c *copier) openMeta(w *worker, m *meta, path func() string, open func() (int, error)) (fd int, err error) {
	err = c.reading("open", path, func() (err error) {
		fd, err = open()
		return err
	})
	if err != nil {
		return -1, err
	}
	err = c.reading("read metadata", path, func() error { return readMeta(object{fd: fd}, c.src.magic, m, w.xattr) })
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// listed reports whether the policy is to list err and continue.
func (c *copier) listed(err error) bool { return c.o.OnReadError == List && damaged(err) }

// leaveOut lists the entry e of d, of which nothing can be read. The target does not have that name, and the manifest records
// that. What an earlier attempt finished is not read again, and stays; so does what it copied of an unfinished directory.
func (c *copier) leaveOut(w *worker, d *dir, e entry, x *Error) error {
	if d.existed { // the interrupted copy may have started on it
		if err := c.remove(d, e.name); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EISDIR) {
			return &Error{Side: Target, Op: "remove what an interrupted copy left", Path: x.Path, Err: err}
		}
	}
	d.incomplete.Store(true)
	c.problem(Problem{Path: x.Path, What: "entry", Err: x.Err})
	w.recs = append(w.recs, record{kind: kindUnread, name: e.name, ino: e.ino})
	return nil
}

// incomplete applies the policy to a part of j that cannot be read.
func (j *fileJob) incomplete(op, what string, off, n int64, err error) error {
	if !j.c.listed(err) {
		return &Error{Side: Source, Op: op, Path: j.path(), Offset: off, Length: n, Err: err}
	}
	j.damaged.Store(true)
	j.d.incomplete.Store(true)
	j.c.problem(Problem{Path: j.path(), What: what, Offset: off, Length: n, Err: err})
	return nil
}

// unmapped applies the policy to the extent map of j, which is read more than once but listed only once.
func (j *fileJob) unmapped(err error) error {
	if j.c.listed(err) && j.mapless.Swap(true) {
		return nil
	}
	return j.incomplete("map extents", "extent map", 0, 0, err)
}

func (c *copier) problem(p Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.res.ProblemCount++
	if len(c.res.Problems) < problemsListed {
		c.res.Problems = append(c.res.Problems, p)
	}
}

// missing lists something that is not in the copy because it could not be read.
func (v *verifier) missing(path, what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rep.DamagedCount++
	if len(v.rep.Damaged) < v.o.MaxDifferences {
		v.rep.Damaged = append(v.rep.Damaged, fmt.Sprintf("%q: %s", path, what))
	}
}

// compareLinks compares the link counts of an object. If names could not be read, a lower count is not a difference: each name
// that the source lists is checked on its own.
func (v *verifier) compareLinks(path func() string, s, t *meta) {
	switch {
	case s.nlink == t.nlink, t.nlink < s.nlink && v.o.part():
	case t.nlink < s.nlink && v.o.OnReadError == List && v.o.Hashes != nil && v.o.Hashes.gaps:
		v.missing(path(), fmt.Sprintf("the copy has only %d of its %d names", t.nlink, s.nlink))
	default:
		v.differ(path(), "links", fmt.Sprint(s.nlink), fmt.Sprint(t.nlink))
	}
}

// absent reports whether a name is missing on the target because it could not be read, and lists it in that case. A directory
// may exist, if an earlier attempt could still read it. It is kept, because the source has not changed since, but it cannot be
// compared.
func (v *verifier) absent(w *worker, d *dir, e entry) bool {
	r, ok := w.done[e.name]
	if !ok || r.kind != kindUnread || r.ino != e.ino || v.o.OnReadError != List {
		return false
	}
	var t stat
	switch err := statAt(d.dst, e.name, &t); {
	case err == unix.ENOENT:
		v.missing(d.path(e.name), "could not be read; the copy does not have it")
	case err == nil && t.isDir() && v.o.Hashes.unread[inode{d.key().dev, e.ino}]:
		v.missing(d.path(e.name), "could not be read again; the copy has what an earlier attempt copied of it, which was not compared")
	default:
		return false
	}
	return true
}

// compareDamaged compares a file that could not be read completely when it was copied. sum is that of the copy, which has zeros for the
// rest. These zeros are holes, so the allocation is not compared.
func (f *pair) compareDamaged(w *worker, sum Sum) error {
	v := f.v
	if v.o.OnReadError != List {
		v.differ(f.path(), "data", "was not readable when it was copied", "incomplete")
		return nil
	}
	v.missing(f.path(), "could not be read completely; the copy has the rest")
	if f.s.size != f.t.size {
		return nil
	}
	got, _, err := f.target(w)
	if err != nil {
		return v.unreadable(f.path(), Target, err)
	}
	if got != sum {
		v.differ(f.path(), "data", fmt.Sprintf("sum %016x%016x when copied", sum.Hi, sum.Lo), fmt.Sprintf("sum %016x%016x", got.Hi, got.Lo))
	}
	return nil
}
