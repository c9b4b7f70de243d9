package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/rootfs"
)

const (
	// Marker is the file whose presence shows that a root is an image of ours. Its content is the plan's id and a newline.
	Marker = "/migrate-init.image"
	// PlanPath is where the plan is in an image, byte for byte as the administrator reviewed it.
	PlanPath = "/etc/migrate-init/plan.toml"
	// KeyDir has the key files of encrypted containers, by UUID.
	KeyDir = "/etc/migrate-init/keys"
	// WatchdogPath lists the drivers of the host's watchdogs, a name a line; there is none where the host has no watchdog.
	WatchdogPath = "/etc/migrate-init/watchdogs"
)

// level of zstd. Of the Debian 12 scenario (BenchmarkLevels) it makes 5.2 MiB in 0.2 s; the best level saves a tenth of that
// and takes fifteen times as long.
const level = 3

// Input is all that an image is made of.
type Input struct {
	Plan     *plan.Plan
	PlanText []byte // as [plan.Read] takes it
	Root     fs.FS  // the host; implements [fs.ReadLinkFS], as os.DirFS("/") does
	Family   plan.Family
	Self     string // path of the running program in Root; it becomes /init
}

// Image is a complete image that is not yet packed.
type Image struct {
	// Warnings are what is missing and may be: one line each, noun first.
	Warnings []string

	items  []item
	mtime  int64
	method cpio.Method
}

// Item is one member of an image.
type Item struct {
	Path string // absolute
	Size int64  // of a regular file, in bytes
	Mode fs.FileMode
	Link string // target of a symbolic link
	Why  string // what asked for it
}

type item struct {
	path         string // absolute and clean
	mode         uint32 // st_mode
	data         []byte
	link         string
	major, minor uint32
	why          string
}

// List shows what is inside, sorted by path.
func (m *Image) List() []Item {
	list := make([]Item, 0, len(m.items))
	for _, it := range m.items {
		list = append(list, Item{Path: it.path, Size: int64(len(it.data)), Mode: fileMode(it.mode), Link: it.link, Why: it.why})
	}
	return list
}

func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	switch mode & cpio.ModeType {
	case cpio.ModeDir:
		m |= fs.ModeDir
	case cpio.ModeSymlink:
		m |= fs.ModeSymlink
	case cpio.ModeChar:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}

// Write packs the image: one archive in one zstd frame (gzip or nothing for a kernel without zstd), which cpio,
// lsinitramfs and the kernel read alike. It may be called again and writes the same bytes.
func (m *Image) Write(w io.Writer) error {
	opts := cpio.ImageOptions{WriterOptions: cpio.WriterOptions{MTime: m.mtime}, Method: m.method}
	if m.method == cpio.Zstd {
		opts.Level = level
	}
	if err := cpio.WriteImage(w, m.entries(), opts); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return nil
}

func (m *Image) entries() []cpio.Entry {
	entries := make([]cpio.Entry, 0, len(m.items))
	for _, it := range m.items {
		e := cpio.Entry{Name: it.path, Mode: it.mode, Link: it.link, RdevMajor: it.major, RdevMinor: it.minor}
		if e.IsRegular() {
			e.Size, e.Body = int64(len(it.data)), bytes.NewReader(it.data)
		}
		entries = append(entries, e)
	}
	return entries
}

// PlanOf gives the id of the plan inside of an image that the kernel would unpack completely, and what it takes unpacked, in
// bytes of memory. An image without our
// marker or plan, or with a plan that [plan.Read] refuses, is an error.
func PlanOf(r io.Reader) (id string, unpacked int64, err error) {
	name := strings.TrimPrefix(PlanPath, "/")
	a, err := cpio.Index(r, cpio.IndexOptions{
		Options: cpio.Options{MaxBytes: 1 << 30, MaxEntries: 100_000, MaxWindow: 16 << 20}, // ours are far below
		Keep:    func(e cpio.Entry) bool { return e.Name == name },
		MaxKept: 4 << 20,
	})
	if err != nil {
		return "", 0, err
	}
	if _, err := a.Lookup(Marker); err != nil {
		return "", 0, fmt.Errorf("file %s: not inside: this is no image of migrate-init", Marker)
	}
	if len(a.Dropped) > 0 {
		return "", 0, fmt.Errorf("file %s: the kernel would leave it out, with %d others", a.Dropped[0], len(a.Dropped)-1)
	}
	text, err := a.ReadFile(PlanPath)
	if err != nil {
		return "", 0, fmt.Errorf("plan: %w", err)
	}
	p, err := plan.Read(bytes.NewReader(text))
	if err != nil {
		return "", 0, err
	}
	const page = 4096
	for _, e := range a.List() {
		if e.IsRegular() {
			unpacked += (e.Size + page - 1) / page * page
		}
	}
	return p.ID, unpacked, nil
}

// merge makes one list of what was collected: each path through the image's own symbolic links, so that
// /lib/modules is below usr/lib when /lib is a link; equal items once; sorted.
func merge(items []item) ([]item, error) {
	links := map[string]string{}
	for _, it := range items {
		if it.link != "" {
			links[it.path] = it.link
		}
	}
	byPath := map[string]item{}
	var errs []error
	for _, it := range items {
		dir, err := canonical(path.Dir(it.path), links)
		if err != nil {
			errs = append(errs, fmt.Errorf("file %s: %w", it.path, err))
			continue
		}
		it.path = path.Join(dir, path.Base(it.path))
		old, there := byPath[it.path]
		switch {
		case !there:
			byPath[it.path] = it
		case old.mode != it.mode || old.link != it.link || !bytes.Equal(old.data, it.data):
			errs = append(errs, fmt.Errorf("file %s: wanted twice with different contents (%s; %s)", it.path, old.why, it.why))
		}
	}
	out := make([]item, 0, len(byPath))
	for _, it := range byPath {
		out = append(out, it)
	}
	slices.SortFunc(out, func(a, b item) int { return strings.Compare(a.path, b.path) })
	return out, errors.Join(errs...)
}

// canonical resolves the symbolic links of an image in a directory's path. Everything else on the way is a directory
// or will be one: what is not is found when the image is packed.
func canonical(dir string, links map[string]string) (string, error) {
	find := func(dir, name string) (rootfs.Element[string], error) {
		at := path.Join(dir, name)
		if target, is := links[at]; is {
			return rootfs.Element[string]{Node: at, Kind: rootfs.Symlink, Target: target}, nil
		}
		return rootfs.Element[string]{Node: at, Kind: rootfs.Directory}, nil
	}
	p, err := rootfs.Walk("/", find, dir, rootfs.Options{})
	return p.Path, err
}
