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

// Method is a compression method for writing.
type Method string

// The methods. The kernel needs CONFIG_RD_GZIP or CONFIG_RD_ZSTD to read gzip or zstd.
const (
	None Method = "none"
	Gzip Method = "gzip"
	Zstd Method = "zstd"
)

// zstdWindow is far below the 128 MiB at which the kernel refuses a frame: the
// unpacker needs that much memory at boot.
const zstdWindow = 8 << 20

// NewCompressor returns a writer that compresses to w; its Close ends the stream
// and leaves w open. Zstd writes one frame with a checksum. level is that of the
// command-line tools (gzip 1-9, zstd 1-22); 0 is the default. The output depends
// only on input and level, not on the number of processors.
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

// ImageOptions configures [WriteImage].
type ImageOptions struct {
	WriterOptions
	Method Method // "" means Zstd
	Level  int
	// Parts is the number of complete compressed archives in the image, which are
	// compressed concurrently; 0 means 1. The bytes of the image depend on it, so do
	// not derive it from the number of processors. The image has fewer parts if
	// there are too few entries.
	Parts int
}

// WriteImage writes entries as one image, sorted by name and with all missing
// parents. The result does not depend on the order of entries. With several parts
// the bodies are read concurrently, and the compressed parts are held in memory.
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

// arrange sorts entries and adds missing parents, so that a later part does not
// repeat those of an earlier one. The writer checks the other fields.
func arrange(entries []Entry, opts WriterOptions) ([]Entry, error) {
	all := slices.Clone(entries)
	isDir := map[string]bool{".": true}
	for i := range all {
		name, err := entryName(all[i].Name)
		if err != nil {
			return nil, fmt.Errorf("cpio entry %q: %w", all[i].Name, err)
		}
		if _, twice := isDir[name]; twice && name != "." {
			return nil, fmt.Errorf("cpio entry %q: duplicate name", name)
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

// split cuts entries into at most n runs of about equal size, never within a group
// of hard links: the kernel forgets hard links at each trailer.
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

// earlier returns the directories in the previous parts, so that the writer of
// the next part does not create them again.
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
			_ = z.Close() // frees its buffers; the first error is the one to return
			return err
		}
	}
	if err := cw.Close(); err != nil {
		_ = z.Close()
		return err
	}
	return z.Close()
}
