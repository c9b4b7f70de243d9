package tree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// loadResume indexes the manifest of the interrupted copy.
func (c *copier) loadResume() (err error) {
	r := c.o.Resume
	if r == nil {
		return nil
	}
	c.man.n = r.ManifestBytes
	if r.Manifest == nil || r.ManifestBytes == 0 {
		return nil
	}
	var each func(*block, int64, int)
	if c.shares != nil {
		each = c.shares.loadBlock
	}
	c.prior, err = indexManifest(r.Manifest, r.ManifestBytes, true, each)
	if err == nil && c.prior.size != r.ManifestBytes {
		err = &Error{Side: Target, Op: "read manifest", Path: ".", Offset: c.prior.size, Length: r.ManifestBytes - c.prior.size, Err: errManifest}
	}
	return err
}

// resumeEntry reports whether an entry was finished and synced before the interruption.
func (c *copier) resumeEntry(w *worker, d *dir, e entry) (bool, error) {
	if c.prior == nil || !d.existed {
		return false, nil
	}
	if e.typ == unix.DT_DIR {
		return c.resumeDir(d, e)
	}
	r, ok := w.done[e.name]
	// The copy of a damaged file may have other names: copying it again would separate it from them.
	again := r.kind == kindDamaged && r.nlink > 1
	if !ok || !r.kind.complete() && !again {
		return false, nil
	}
	if r.ino != e.ino {
		c.shares.distrust()
		return false, nil
	}
	// The record means that it was synced, but a check is cheap.
	var st stat
	if err := statAt(d.dst, e.name, &st); err != nil || st.isDir() || st.isReg() && st.size != r.size {
		c.shares.distrust()
		return false, nil
	}
	if again {
		if c.o.OnReadError != List {
			return false, &Error{Side: Source, Op: "read", Path: d.path(e.name), Err: errWasDamaged}
		}
		d.incomplete.Store(true)
		c.problem(Problem{Path: d.path(e.name), What: "data", Err: errWasDamaged})
	}
	c.count(func(res *Result) { res.Skipped++ })
	c.prog.skip(1, 0, st.blocks*512)
	d.files.Add(1)
	d.bytes.Add(st.blocks * 512)
	return true, nil
}

var errWasDamaged = errors.New("the interrupted copy could not read all of it; use the policy skip-and-list, or start again")

// resumeDir reports whether a directory was finished, with everything below it.
func (c *copier) resumeDir(d *dir, e entry) (bool, error) {
	var st stat
	if err := statAt(d.src, e.name, &st); err != nil {
		return false, nil
	}
	r, ok := c.prior.done.get(inode{d.volume(e.name, st.dev), st.ino})
	if !ok {
		return false, nil
	}
	if statAt(d.dst, e.name, &st) != nil || !st.isDir() {
		c.shares.distrust()
		return false, nil
	}
	n := int64(r.files)
	c.count(func(res *Result) { res.Skipped += n + 1 })
	c.prog.skip(n, 1, r.size())
	d.files.Add(n + 1)
	d.bytes.Add(r.size())
	return true, nil
}

// priorLink finds the copy of an inode, with a name in d, that an interrupted run has made and synced.
func (c *copier) priorLink(d *dir, m *meta) (linkRec, string, bool) {
	if c.prior == nil {
		return linkRec{}, "", false
	}
	k := inode{d.vol, m.ino}
	seen, ok := c.prior.links.get(k)
	if !ok || seen.seen >= m.nlink {
		return linkRec{}, "", false
	}
	path, err := c.prior.first(k)
	if err != nil {
		return linkRec{}, "", false
	}
	fd, err := openPath(c.dst.fd, path, unix.O_PATH)
	if err != nil {
		return linkRec{}, "", false
	}
	defer func() { _ = unix.Close(fd) }()
	path0 := path
	r := linkRec{left: m.nlink - seen.seen, frozen: uint8(m.flags & flFrozen)}
	if r.handleOf(fd, "") {
		path = ""
	}
	if r.frozen != 0 { // the flags may be set already, but more names must be added
		if f, err := openPath(c.dst.fd, path0, unix.O_RDONLY); err == nil {
			_, _ = object{fd: f}.addFlags(0, flFrozen)
			_ = unix.Close(f)
		}
	}
	return r, path, true
}

// revoke durably revokes the record of a name before the file is copied again under it. The new file has its full size from the
// start, so after a second interruption it would match the old record, although its data is missing.
func (c *copier) revoke(d *dir, name string, ino uint64) error {
	err := c.man.write(d.key(), d.path(""), []record{{kind: kindPartial, name: name, ino: ino, nlink: 1}})
	if err != nil {
		return err
	}
	return c.checkpoint()
}

// remove removes what an interrupted copy left under a name that will be made again.
func (c *copier) remove(d *dir, name string) error {
	err := unix.Unlinkat(d.dst, name, 0)
	if errors.Is(err, unix.EPERM) {
		fd, e := openBelow(d.dst, name, unix.O_RDONLY, 0)
		if e != nil {
			return err
		}
		_, e = object{fd: fd}.addFlags(0, flFrozen)
		_ = unix.Close(fd)
		if e != nil {
			return err
		}
		err = unix.Unlinkat(d.dst, name, 0)
	}
	return err
}

// reuseDir accepts an existing directory, and replaces anything else of that name by a directory.
func (c *copier) reuseDir(up *dir, name string) error {
	var st stat
	if err := statAt(up.dst, name, &st); err != nil {
		return err
	}
	if st.isDir() {
		return nil
	}
	if err := c.remove(up, name); err != nil {
		return err
	}
	return unix.Mkdirat(up.dst, name, 0o700)
}
