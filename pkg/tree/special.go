package tree

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// special copies a symlink, device, fifo, socket or whiteout. They cannot be opened without side effects, so all calls use the
// directory and the name.
func (c *copier) special(w *worker, d *dir, name string) error {
	o := object{fd: d.src, name: name}
	path := pathOnce(d, name)
	var m meta
	if err := c.reading("read metadata", path, func() error { return readMeta(o, c.src.magic, &m, w.xattr) }); err != nil {
		return err
	}
	if m.mnt != c.src.st.mnt { // something is mounted on it; possible only without a clone
		return c.readError(path(), "read metadata", unix.EXDEV)
	}
	if m.isReg() || m.isDir() {
		return &Error{Side: Source, Op: "read metadata", Path: path(), Err: unix.ESTALE}
	}
	// Read the link before its inode is claimed: after a claim, other names would wait for it.
	to, err := c.linkText(w, d, name, &m, path)
	if err != nil {
		return err
	}
	first, err := c.claimLink(w, d, name, &m)
	if err != nil || !first {
		return err
	}
	if err := c.makeSpecial(d, name, &m, to); err != nil {
		return err
	}
	if !c.src.cloned && m.typ() == unix.S_IFLNK { // reading a link updates its access time unless the mount is noatime
		if err := statAt(d.src, name, &m.stat); err != nil {
			return c.readError(path(), "stat", err)
		}
	}
	t := object{fd: d.dst, name: name}
	if err := c.apply(t, &m, d.existed, m.nlink > 1, path); err != nil {
		return err
	}
	c.count(func(r *Result) { r.Special++ })
	return c.finished(w, d, record{kind: kindSpecial, name: name, ino: m.ino, nlink: m.nlink}, &m)
}

// linkText returns the target of a symlink, or "" for anything else.
func (c *copier) linkText(w *worker, d *dir, name string, m *meta, path func() string) (to string, err error) {
	if m.typ() != unix.S_IFLNK {
		return "", nil
	}
	err = c.reading("read link", path, func() error {
		n, err := unix.Readlinkat(d.src, name, w.data)
		to = string(w.data[:max(n, 0)])
		return err
	})
	return to, err
}

func (c *copier) makeSpecial(d *dir, name string, m *meta, to string) error {
	var op string
	var try func() error
	switch m.typ() {
	case unix.S_IFLNK:
		op, try = "make symlink", func() error { return unix.Symlinkat(to, d.dst, name) }
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		dev := unix.Mkdev(uint32(m.rdev>>32), uint32(m.rdev))
		op, try = "make node", func() error { return unix.Mknodat(d.dst, name, m.typ()|m.mode&c.bornModes, int(dev)) }
	default:
		return &Error{Side: Source, Op: "copy an object of unknown type", Path: d.path(name), Err: unix.EINVAL}
	}
	err := try()
	if err == unix.EEXIST && d.existed {
		if err = c.remove(d, name); err == nil {
			err = try()
		}
	}
	if err != nil {
		return &Error{Side: Target, Op: op, Path: d.path(name), Err: err}
	}
	return nil
}

// claimLink reports whether m must be copied under this name. Otherwise the name is, or will be, a link to the copy.
func (c *copier) claimLink(w *worker, d *dir, name string, m *meta) (first bool, err error) {
	if m.nlink < 2 {
		return true, nil
	}
	k := m.inode()
	how, r := c.links.claim(k, waiter{d, name, m.ino, m.size})
	switch how {
	case claimFirst:
		r, path, ok := c.priorLink(d, m)
		if !ok {
			return true, nil
		}
		if err := c.makeWaitingLinks(w, k, r, path); err != nil {
			return false, err
		}
		return false, c.link(w, d, name, k, r, m.size)
	case claimWait:
		return false, nil
	}
	return false, c.link(w, d, name, k, r, m.size)
}

// link makes another name of an inode, and records it. d must be held.
func (c *copier) link(w *worker, d *dir, name string, k inode, r linkRec, size int64) error {
	if err := c.makeLink(d, name, k, r); err != nil {
		return err
	}
	c.count(func(r *Result) { r.Links++ })
	c.prog.files.Add(1)
	d.files.Add(1)
	w.recs = append(w.recs, record{kind: kindLink, name: name, ino: k.ino, size: size, nlink: 2})
	return nil
}

// finished records a complete object in the manifest and the progress, and makes the links that wait for it.
func (c *copier) finished(w *worker, d *dir, r record, m *meta) error {
	w.recs = append(w.recs, r)
	c.prog.files.Add(1)
	d.files.Add(1)
	d.bytes.Add(m.blocks * 512)
	if m.nlink < 2 {
		return nil
	}
	rec := linkRec{left: m.nlink - 1, frozen: uint8(m.flags & flFrozen)}
	path := ""
	if !rec.handleOf(d.dst, r.name) {
		path = d.path(r.name)
	}
	return c.makeWaitingLinks(w, m.inode(), rec, path)
}

// makeWaitingLinks makes the links that waited for k.
func (c *copier) makeWaitingLinks(w *worker, k inode, rec linkRec, path string) error {
	waiting, err := c.links.publish(k, rec, path)
	if err != nil {
		return fmt.Errorf("memory for links: %w", err)
	}
	for _, x := range waiting {
		if err := c.fds.hold(x.d); err != nil {
			return err
		}
		own := w.recs
		w.recs = nil
		err := c.link(w, x.d, x.name, k, rec, x.size)
		if e := c.man.write(x.d.key(), x.d.path(""), w.recs); err == nil {
			err = e
		}
		w.recs = own
		c.fds.drop(x.d)
		if err != nil {
			return err
		}
		if err := c.leave(w, x.d); err != nil {
			return err
		}
	}
	return nil
}
