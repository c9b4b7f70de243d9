package cpio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// header is the 110 bytes before each name: "070701" (or "070702", with checksum)
// and 13 numbers of 8 hexadecimal digits each, in this order, the last of which, a
// checksum, is not read (Documentation/driver-api/early-userspace/buffer-format.rst).
type header struct {
	ino, mode, uid, gid, nlink, mtime, size        uint32
	devMajor, devMinor, rdevMajor, rdevMinor, name uint32
}

func parseHeader(b []byte) (header, error) {
	var h header
	switch magic := string(b[:6]); magic {
	case "070701", "070702":
	case "070707":
		return h, errors.New("archive is in the old ASCII format: the kernel reads newc (cpio -H newc)")
	default:
		return h, fmt.Errorf("magic is %q, not 070701 (newc)", magic)
	}
	for i, field := range []*uint32{
		&h.ino, &h.mode, &h.uid, &h.gid, &h.nlink, &h.mtime, &h.size,
		&h.devMajor, &h.devMinor, &h.rdevMajor, &h.rdevMinor, &h.name,
	} {
		digits := b[6+8*i : 14+8*i]
		v, err := strconv.ParseUint(string(digits), 16, 32)
		if err != nil {
			return h, fmt.Errorf("header field %d is %q, not hexadecimal", i+1, digits)
		}
		*field = uint32(v)
	}
	return h, nil
}

// walker counts entries and bytes across the segments of an image.
type walker struct {
	opts     Options
	entries  int
	bytes    int64
	trailers int
	fn       func(Segment, Entry) error
}

// stopped marks an error of the callback, which Walk returns unchanged.
type stopped struct{ error }

// archives reads entries until the input ends (compressed) or until something
// follows that is not an entry (uncompressed). There may be zeros between entries;
// a header begins at a multiple of four bytes.
func (w *walker) archives(s *source, seg Segment, compressed bool) error {
	for {
		if end, err := s.skipZeros(); err != nil || end {
			return err
		}
		b, err := s.peek(1)
		if err != nil {
			return err
		}
		if b[0] != '0' {
			if compressed {
				return fmt.Errorf("garbage after the archive, at byte %d of the unpacked stream", s.off)
			}
			return nil
		}
		if s.off%4 != 0 {
			return fmt.Errorf("header at byte %d, which is not a multiple of 4", s.off)
		}
		if err := w.record(s, seg); err != nil {
			return err
		}
	}
}

// record reads one entry, or a trailer.
func (w *walker) record(s *source, seg Segment) error {
	at := s.off
	var buf [headerSize]byte
	if _, err := io.ReadFull(s, buf[:]); err != nil {
		return fmt.Errorf("header at byte %d: %w", at, unexpected(err))
	}
	h, err := parseHeader(buf[:])
	if err != nil {
		return fmt.Errorf("header at byte %d: %w", at, err)
	}
	if h.name == 0 || h.name > uint32(w.opts.MaxName) {
		return fmt.Errorf("header at byte %d: name of %d bytes, limit is %d", at, h.name, w.opts.MaxName)
	}
	raw := make([]byte, h.name)
	if _, err := io.ReadFull(s, raw); err != nil {
		return fmt.Errorf("name at byte %d: %w", at+headerSize, unexpected(err))
	}
	raw, _, terminated := bytes.Cut(raw, []byte{0})
	if !terminated {
		return fmt.Errorf("name at byte %d: not terminated by a NUL", at+headerSize)
	}
	if err := align(s); err != nil {
		return fmt.Errorf("entry %q: padding of the name: %w", raw, err)
	}
	if w.entries++; w.entries > w.opts.MaxEntries {
		return fmt.Errorf("image has more than %d entries", w.opts.MaxEntries)
	}
	if w.bytes += headerSize + int64(h.name) + int64(h.size); w.bytes > w.opts.MaxBytes {
		return fmt.Errorf("image unpacks to more than %d bytes", w.opts.MaxBytes)
	}
	body := io.LimitedReader{R: s, N: int64(h.size)}
	if string(raw) == trailerName {
		w.trailers++
	} else if err := w.emit(h, string(raw), &body, seg); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, &body); err != nil {
		return fmt.Errorf("entry %q: %w", raw, err)
	}
	if body.N > 0 {
		return fmt.Errorf("entry %q: %d of its %d bytes are missing: %w", raw, body.N, h.size, io.ErrUnexpectedEOF)
	}
	if err := align(s); err != nil {
		return fmt.Errorf("entry %q: padding: %w", raw, err)
	}
	return nil
}

func (w *walker) emit(h header, name string, body *io.LimitedReader, seg Segment) error {
	e := Entry{
		Name: clean(name), Mode: h.mode, UID: h.uid, GID: h.gid, MTime: int64(h.mtime),
		Nlink: h.nlink, Ino: uint64(h.ino), RdevMajor: h.rdevMajor, RdevMinor: h.rdevMinor,
		Size: int64(h.size), Body: body, devMajor: h.devMajor, devMinor: h.devMinor, archive: w.trailers,
	}
	if e.IsSymlink() {
		if h.size == 0 || h.size >= pathMax {
			return fmt.Errorf("entry %q: symbolic link target of %d bytes", name, h.size)
		}
		target := make([]byte, h.size)
		if _, err := io.ReadFull(body, target); err != nil {
			return fmt.Errorf("entry %q: symbolic link target: %w", name, unexpected(err))
		}
		target, _, _ = bytes.Cut(target, []byte{0})
		e.Link, e.Body = string(target), bytes.NewReader(target)
	}
	if err := w.fn(seg, e); err != nil {
		return stopped{err}
	}
	return nil
}

// align reads the padding up to the next multiple of four, which may be missing
// after the last record of an archive.
func align(s *source) error {
	for s.off%4 != 0 {
		if _, err := s.ReadByte(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
	return nil
}
