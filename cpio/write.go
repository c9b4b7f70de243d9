package cpio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	newc "github.com/cavaliergopher/cpio"
)

// WriterOptions configures a [Writer].
type WriterOptions struct {
	// MTime, in seconds since 1970, is the time of every entry and of every
	// parent directory that the writer creates.
	MTime int64
	// KeepMTime keeps the MTime of each entry.
	KeepMTime bool
}

// Writer writes one uncompressed newc archive. It writes entries in the order in
// which they are added, with inodes 1, 2, 3 ..., and creates missing parents once,
// owned by root, with mode 0755.
type Writer struct {
	out    rdevPatch
	w      *newc.Writer
	opts   WriterOptions
	dirs   map[string]bool // true: added by the caller; false: created as a parent
	names  map[string]bool
	links  map[uint64]*linkGroup
	inode  int64
	failed error
}

type linkGroup struct {
	inode         int64
	nlink, seen   uint32
	mode          uint32
	first         string
	uid, gid      uint32
	mtime         int64
	rmajor, minor uint32
}

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer, opts WriterOptions) *Writer {
	cw := &Writer{
		out:   rdevPatch{w: w},
		opts:  opts,
		dirs:  map[string]bool{".": true},
		names: map[string]bool{},
		links: map[uint64]*linkGroup{},
	}
	cw.w = newc.NewWriter(&cw.out)
	return cw
}

// rdevPatch is the writer below the library, which never writes a device number.
// The first Write of each record is its whole header, into which rdevPatch puts the
// number.
type rdevPatch struct {
	w            io.Writer
	header       bool
	major, minor uint32
}

func (p *rdevPatch) Write(b []byte) (int, error) {
	if p.header && len(b) > 0 { // the library also flushes empty padding
		p.header = false
		if len(b) != headerSize || string(b[:6]) != "070701" {
			return 0, fmt.Errorf("cpio header: library wrote %d bytes starting %q", len(b), b[:min(6, len(b))])
		}
		h := append([]byte(nil), b...)
		copy(h[78:94], fmt.Sprintf("%08X%08X", p.major, p.minor))
		b = h
	}
	return p.w.Write(b)
}

// Add writes one entry and its whole body. Ino matters only for hard links: entries
// with Nlink > 1 and the same Ino are one file; there must be exactly Nlink of them,
// and only the last may have data. A symbolic link has its target in Link. Add
// returns an error for a value that newc cannot store, a duplicate name, and a body
// that is shorter or longer than Size; the archive cannot be continued after an error.
func (w *Writer) Add(e Entry) error {
	if w.failed != nil {
		return w.failed
	}
	if err := w.add(e); err != nil {
		w.failed = fmt.Errorf("cpio entry %q: %w", e.Name, err)
		return w.failed
	}
	return nil
}

func (w *Writer) add(e Entry) error {
	name, err := entryName(e.Name)
	if err != nil {
		return err
	}
	e.Name = name
	if !w.opts.KeepMTime {
		e.MTime = w.opts.MTime
	}
	if err := checkFields(&e); err != nil {
		return err
	}
	if name == "." {
		if !e.IsDir() {
			return errors.New("root is not a directory")
		}
	} else if err := w.parents(path.Dir(name)); err != nil {
		return err
	}
	if asked, there := w.dirs[name]; there && name != "." && !asked && e.IsDir() {
		return errors.New("directory was created for an entry below it: add it before its contents")
	}
	if w.names[name] {
		return errors.New("duplicate name")
	}
	w.names[name] = true
	if e.IsDir() {
		w.dirs[name] = true
	}
	return w.record(&e)
}

// entryName returns the name as it is stored. It removes a leading slash, because
// cpio -i would extract outside its directory.
func entryName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("name is empty")
	case strings.ContainsRune(name, 0):
		return "", errors.New("name contains a NUL byte")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", errors.New("name has a .. component")
		}
	}
	name = clean(name)
	if len(name) >= pathMax {
		return "", fmt.Errorf("name has %d bytes, kernel limit is %d", len(name), pathMax-1)
	}
	if name == trailerName {
		return "", errors.New("name is the end mark of a newc archive")
	}
	return name, nil
}

func checkFields(e *Entry) error {
	if e.MTime < 0 || e.MTime > math.MaxUint32 {
		return fmt.Errorf("mtime %d does not fit into 32 bits", e.MTime)
	}
	if e.Mode&^0o177777 != 0 {
		return fmt.Errorf("mode %#o has bits beyond st_mode", e.Mode)
	}
	switch e.Mode & ModeType {
	case ModeRegular:
		if e.Size < 0 || e.Size > math.MaxUint32 {
			return fmt.Errorf("size %d: newc holds less than 4 GiB", e.Size)
		}
	case ModeSymlink:
		if e.Link == "" || len(e.Link) >= pathMax || strings.ContainsRune(e.Link, 0) {
			return fmt.Errorf("symbolic link target of %d bytes: want 1 to %d without NUL", len(e.Link), pathMax-1)
		}
	case ModeDir, ModeBlock, ModeChar, ModeFifo, ModeSocket:
		if e.Size != 0 {
			return fmt.Errorf("mode %#o with %d bytes of data: only regular files have data", e.Mode, e.Size)
		}
	default:
		return fmt.Errorf("mode %#o has no file type", e.Mode)
	}
	if !e.IsDevice() && (e.RdevMajor != 0 || e.RdevMinor != 0) {
		return fmt.Errorf("device number %d:%d on mode %#o", e.RdevMajor, e.RdevMinor, e.Mode)
	}
	return nil
}

func (w *Writer) parents(dir string) error {
	if _, ok := w.dirs[dir]; ok {
		return nil
	}
	if w.names[dir] {
		return fmt.Errorf("parent %q is not a directory", dir)
	}
	if err := w.parents(path.Dir(dir)); err != nil {
		return err
	}
	w.dirs[dir] = false
	w.names[dir] = true
	return w.record(&Entry{Name: dir, Mode: ModeDir | 0o755, MTime: w.opts.MTime})
}

func (w *Writer) record(e *Entry) error {
	h := &newc.Header{
		Name: e.Name, Mode: newc.FileMode(e.Mode), Uid: int(e.UID), Guid: int(e.GID),
		ModTime: time.Unix(e.MTime, 0), Size: e.Size, Links: 1,
	}
	body := e.Body
	switch {
	case e.IsDir():
		h.Links = 2
	case e.IsSymlink():
		// The library ignores Linkname; the target is the body.
		h.Size, body = int64(len(e.Link)), strings.NewReader(e.Link)
	}
	inode, err := w.number(e, h)
	if err != nil {
		return err
	}
	h.Inode = inode
	w.out.header, w.out.major, w.out.minor = false, e.RdevMajor, e.RdevMinor
	// Flush, so that the padding of the previous record is not mistaken for the header.
	if err := w.w.Flush(); err != nil {
		return err
	}
	w.out.header = true
	if err := w.w.WriteHeader(h); err != nil {
		return err
	}
	if body == nil && e.Open != nil {
		opened, err := e.Open()
		if err != nil {
			return err
		}
		defer opened.Close() //nolint:errcheck // read only
		body = opened
	}
	if body == nil && h.Size == 0 {
		return nil
	}
	if body == nil {
		return fmt.Errorf("size is %d, but there is no body", h.Size)
	}
	n, err := io.Copy(w.w, io.LimitReader(body, h.Size))
	if err != nil {
		return err
	}
	if n != h.Size {
		return fmt.Errorf("body ended after %d of %d bytes", n, h.Size)
	}
	if m, _ := io.ReadFull(body, make([]byte, 1)); m != 0 {
		return fmt.Errorf("body is longer than its size, %d", h.Size)
	}
	return nil
}

// number returns the next inode, or that of the hard link group.
func (w *Writer) number(e *Entry, h *newc.Header) (int64, error) {
	linked := e.Nlink > 1 && !e.IsDir()
	g := w.links[e.Ino]
	if !linked || g == nil {
		if w.inode == math.MaxUint32 {
			return 0, errors.New("archive has 2^32 inodes")
		}
		w.inode++
	}
	if !linked {
		return w.inode, nil
	}
	if g == nil {
		g = &linkGroup{
			inode: w.inode, nlink: e.Nlink, mode: e.Mode, first: e.Name, uid: e.UID, gid: e.GID,
			mtime: e.MTime, rmajor: e.RdevMajor, minor: e.RdevMinor,
		}
		w.links[e.Ino] = g
	}
	same := g.nlink == e.Nlink && g.mode == e.Mode && g.uid == e.UID && g.gid == e.GID &&
		g.mtime == e.MTime && g.rmajor == e.RdevMajor && g.minor == e.RdevMinor
	if !same {
		return 0, fmt.Errorf("hard link to %q (inode %d) differs from it in mode, owner, time, device or link count", g.first, e.Ino)
	}
	g.seen++
	if e.IsRegular() && e.Size > 0 && g.seen < g.nlink {
		return 0, fmt.Errorf("hard link %d of %d to %q has data: only the last may have data", g.seen, g.nlink, g.first)
	}
	if g.seen == g.nlink {
		delete(w.links, e.Ino) // complete: another archive's inode may have the same number
	}
	h.Links = int(g.nlink)
	return g.inode, nil
}

// Close writes the trailer. It returns an error if a hard link group is incomplete.
// It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.failed != nil {
		return w.failed
	}
	missing := ""
	for _, g := range w.links {
		if missing == "" || g.first < missing {
			missing = g.first
		}
	}
	if missing != "" {
		w.failed = fmt.Errorf("cpio entry %q: some of its hard links are missing", missing)
		return w.failed
	}
	w.out.header = false
	w.failed = w.w.Close()
	if w.failed != nil {
		return fmt.Errorf("cpio trailer: %w", w.failed)
	}
	w.failed = errors.New("cpio archive is closed")
	return nil
}
