package cpio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Method is a compression of what is written.
type Method string

// Methods that can be written. The kernel needs CONFIG_RD_GZIP or CONFIG_RD_ZSTD.
const (
	None Method = "none"
	Gzip Method = "gzip"
	Zstd Method = "zstd"
)

// zstdWindow is far below the 128 MiB at which the kernel refuses a frame:
// the window is memory which the unpacker takes at boot.
const zstdWindow = 8 << 20

// NewCompressor returns a writer which compresses into w; its Close ends the
// stream and leaves w open. Zstd is one frame with checksum; level follows the
// tools (gzip 1-9, zstd 1-22), 0 is the default. The output depends on input
// and level only, not on the number of processors.
func NewCompressor(w io.Writer, m Method, level int) (io.WriteCloser, error) {
	switch m {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		if level < 0 || level > 9 {
			return nil, fmt.Errorf("gzip level %d: want 1 to 9, or 0 for the default", level)
		}
		if level == 0 {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(w, level)
	case Zstd:
		if level < 0 || level > 22 {
			return nil, fmt.Errorf("zstd level %d: want 1 to 22, or 0 for the default", level)
		}
		l := zstd.SpeedDefault
		if level != 0 {
			l = zstd.EncoderLevelFromZstd(level)
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(l), zstd.WithEncoderCRC(true),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
	}
	return nil, fmt.Errorf("compression %q: want none, gzip or zstd", string(m))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// ImageOptions tells how [WriteImage] writes.
type ImageOptions struct {
	WriterOptions
	Method Method // "" means Zstd
	Level  int
	// Parts is the number of complete compressed archives that the image
	// is made of, compressed at the same time; 0 means 1. The image depends on it, so
	// it must not be taken from the number of processors. There are
	// fewer when there are too few entries.
	Parts int
}

// WriteImage writes entries, sorted by name and with all missing parents, as one
// image. The result does not depend on the order of entries. With several parts
// the bodies are read at the same time, and the compressed parts are held in memory.
func WriteImage(w io.Writer, entries []Entry, opts ImageOptions) error {
	if opts.Method == "" {
		opts.Method = Zstd
	}
	if opts.Parts < 0 || opts.Parts > 256 {
		return fmt.Errorf("image of %d parts: want 1 to 256", opts.Parts)
	}
	sorted, err := arrange(entries, opts.WriterOptions)
	if err != nil {
		return err
	}
	parts := split(sorted, max(1, opts.Parts))
	if len(parts) == 1 {
		return writePart(w, parts[0], nil, opts)
	}
	bufs := make([]bytes.Buffer, len(parts))
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { errs[i] = writePart(&bufs[i], part, earlier(parts[:i]), opts) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range bufs {
		if _, err := w.Write(bufs[i].Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// arrange sorts, and adds the parents that are missing, so that a later part
// does not repeat those of an earlier one. Names are checked by the writer.
func arrange(entries []Entry, opts WriterOptions) ([]Entry, error) {
	all := slices.Clone(entries)
	isDir := map[string]bool{".": true}
	for i := range all {
		name, err := entryName(all[i].Name)
		if err != nil {
			return nil, fmt.Errorf("cpio entry %q: %w", all[i].Name, err)
		}
		if _, twice := isDir[name]; twice && name != "." {
			return nil, fmt.Errorf("cpio entry %q: name is in the archive twice", name)
		}
		all[i].Name = name
		isDir[name] = all[i].IsDir()
	}
	for _, e := range all[:len(entries)] {
		for dir := path.Dir(e.Name); ; dir = path.Dir(dir) {
			if is, ok := isDir[dir]; ok {
				if !is {
					return nil, fmt.Errorf("cpio entry %q: parent %q is not a directory", e.Name, dir)
				}
				break
			}
			isDir[dir] = true
			all = append(all, Entry{Name: dir, Mode: ModeDir | 0o755, MTime: opts.MTime})
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int {
		if a.Name == "." || b.Name == "." {
			return strings.Compare(rootFirst(a.Name), rootFirst(b.Name))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

func rootFirst(name string) string {
	if name == "." {
		return ""
	}
	return name
}

// split cuts into at most n runs of about equal size, never through a group of
// hard links: the kernel forgets them at each trailer.
func split(entries []Entry, n int) [][]Entry {
	const perEntry = 128 // header and name
	var total, sum int64
	for _, e := range entries {
		total += e.Size + perEntry
	}
	var parts [][]Entry
	open := map[uint64]uint32{}
	start := 0
	for i, e := range entries {
		sum += e.Size + perEntry
		if e.Nlink > 1 && !e.IsDir() {
			if open[e.Ino]++; open[e.Ino] == e.Nlink {
				delete(open, e.Ino)
			}
		}
		due := total / int64(n) * int64(len(parts)+1)
		if sum >= due && len(open) == 0 && len(parts) < n-1 && i+1 < len(entries) {
			parts = append(parts, entries[start:i+1])
			start = i + 1
		}
	}
	return append(parts, entries[start:])
}

// earlier lists the directories which the parts before have made, so that the
// writer of the next one does not create them again.
func earlier(parts [][]Entry) map[string]bool {
	dirs := map[string]bool{".": true}
	for _, part := range parts {
		for _, e := range part {
			if e.IsDir() {
				dirs[e.Name] = true
			}
		}
	}
	return dirs
}

func writePart(w io.Writer, entries []Entry, dirs map[string]bool, opts ImageOptions) error {
	z, err := NewCompressor(w, opts.Method, opts.Level)
	if err != nil {
		return err
	}
	cw := NewWriter(z, opts.WriterOptions)
	if dirs != nil {
		cw.dirs = dirs
	}
	for _, e := range entries {
		if err := cw.Add(e); err != nil {
			_ = z.Close() // frees its buffers; the first error is the one to tell
			return err
		}
	}
	if err := cw.Close(); err != nil {
		_ = z.Close()
		return err
	}
	return z.Close()
}
