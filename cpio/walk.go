package cpio

import (
	"errors"
	"fmt"
	"io"
)

// Options limits what a reader accepts. A zero field means the default.
type Options struct {
	MaxEntries  int   // in the whole image; default 1,000,000
	MaxName     int   // bytes of a name with its NUL; default and maximum 4096, the kernel's PATH_MAX
	MaxBytes    int64 // of the whole unpacked image; default 8 GiB
	MaxSegments int   // default 1024
	MaxWindow   int64 // bytes of a zstd window or xz dictionary; default and maximum 128 MiB
}

func (o Options) withDefaults() Options {
	if o.MaxEntries <= 0 {
		o.MaxEntries = 1_000_000
	}
	if o.MaxName <= 0 || o.MaxName > pathMax {
		o.MaxName = pathMax
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 8 << 30
	}
	if o.MaxSegments <= 0 {
		o.MaxSegments = 1024
	}
	if o.MaxWindow <= 0 || o.MaxWindow > 128<<20 {
		o.MaxWindow = 128 << 20
	}
	return o
}

// Segment is one piece of an image: an uncompressed run of archives, or one
// compressed stream.
type Segment struct {
	Index  int    // from 0
	Offset int64  // of its first byte in the image, in bytes
	Format string // "cpio", "gzip", "zstd", "xz" or "lz4"
}

func (s Segment) String() string {
	return fmt.Sprintf("segment %d (%s at byte %d)", s.Index, s.Format, s.Offset)
}

// FormatError is the error for a segment in an unsupported or unknown format.
type FormatError struct {
	Format string // "bzip2", "lzma" ..., or "" if it is unknown
	Offset int64  // of the segment in the image, in bytes
	Magic  []byte // its first bytes
}

func (e *FormatError) Error() string {
	if e.Format == "" {
		return fmt.Sprintf("initramfs image at byte %d: neither a newc archive nor a known compression (% x)", e.Offset, e.Magic)
	}
	return fmt.Sprintf("initramfs image at byte %d: %s is not supported; gzip, zstd, xz and legacy lz4 are", e.Offset, e.Format)
}

// Walk calls fn for every entry of every segment of an initramfs image, except
// trailers, in order and in bounded memory. An error of fn ends the walk and is
// returned unchanged. An empty image is an error. Zero bytes may follow an image;
// anything else that is not a segment is a [*FormatError], after fn has been called
// for everything before it.
func Walk(r io.Reader, opts Options, fn func(Segment, Entry) error) error {
	w := &walker{opts: opts.withDefaults(), fn: fn}
	src := newSource(r)
	for n := 0; ; n++ {
		end, err := src.skipZeros()
		if err != nil {
			return fmt.Errorf("initramfs image at byte %d: %w", src.off, err)
		}
		if end && n == 0 {
			return fmt.Errorf("initramfs image: empty after %d bytes", src.off)
		}
		if end {
			return nil
		}
		if n == w.opts.MaxSegments {
			return fmt.Errorf("initramfs image: more than %d segments", n)
		}
		if err := w.segment(src, n); err != nil {
			var own stopped
			if errors.As(err, &own) {
				return own.error
			}
			return err
		}
	}
}

func (w *walker) segment(src *source, n int) error {
	magic, err := src.peek(6)
	if err != nil {
		return fmt.Errorf("initramfs image at byte %d: %w", src.off, err)
	}
	seg := Segment{Index: n, Offset: src.off, Format: format(magic)}
	if seg.Format == "cpio" {
		err = w.archives(src, seg, false)
	} else {
		err = w.compressed(src, seg, magic)
	}
	var bad *FormatError
	if err == nil || errors.As(err, &bad) {
		return err
	}
	return fmt.Errorf("initramfs image: %v: %w", seg, err)
}

// format identifies the format of a segment by its first bytes: compression by two
// bytes, as in the kernel (lib/decompress.c).
func format(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	if b[0] == '0' {
		return "cpio"
	}
	switch [2]byte{b[0], b[1]} {
	case [2]byte{0x1f, 0x8b}, [2]byte{0x1f, 0x9e}:
		return "gzip"
	case [2]byte{0x28, 0xb5}:
		return "zstd"
	case [2]byte{0xfd, '7'}:
		return "xz"
	case [2]byte{0x02, 0x21}:
		return "lz4"
	case [2]byte{0x04, 0x22}:
		return "lz4 frame"
	case [2]byte{'B', 'Z'}:
		return "bzip2"
	case [2]byte{0x5d, 0}:
		return "lzma"
	case [2]byte{0x89, 'L'}:
		return "lzo"
	}
	return ""
}
