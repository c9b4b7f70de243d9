package cpio

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// compressed reads one compressed stream, and exactly the bytes of that stream:
// what follows belongs to the next segment. The libraries read ahead, or continue
// with the next stream, so zstd, xz and lz4 get a reader that ends where the
// structure of the stream ends.
func (w *walker) compressed(src *source, seg Segment, magic []byte) error {
	var z, rest io.Reader
	switch seg.Format {
	case "gzip":
		head, err := src.peek(4)
		if err != nil {
			return err
		}
		// The kernel (lib/decompress_inflate.c) skips only a file name in the header, and reads any other field as data.
		const header, extra, comment = 1 << 1, 1 << 2, 1 << 4
		if len(head) == 4 && head[3]&(header|extra|comment) != 0 {
			return fmt.Errorf("gzip header has flags %#02x; the only optional field that the kernel supports is a file name", head[3])
		}
		g, err := gzip.NewReader(src)
		if err != nil {
			return unexpected(err)
		}
		g.Multistream(false)
		z = g
	case "zstd":
		rest = &zstdFrame{src: src}
		d, err := zstd.NewReader(rest, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(w.opts.MaxWindow)))
		if err != nil {
			return err
		}
		defer d.Close()
		z = d
	case "xz":
		rest = &xzStream{src: src}
		x, err := xz.NewReader(rest, uint32(w.opts.MaxWindow))
		if err != nil {
			return err
		}
		x.Multistream(false)
		z = x
	case "lz4":
		z = &lz4Legacy{src: src}
	default:
		return &FormatError{Format: seg.Format, Offset: seg.Offset, Magic: bytes.Clone(magic)}
	}
	// Zeros between entries count too, or a small stream could unpack to zeros forever.
	limit := &overflow{r: z, left: w.opts.MaxBytes + 1<<20}
	if err := w.archives(newSource(limit), seg, true); err != nil {
		return err
	}
	if rest == nil {
		return nil
	}
	// A decoder may stop before it has read the last bytes of the stream.
	_, err := io.Copy(io.Discard, rest)
	return err
}

var errTooLong = errors.New("stream unpacks to more than the limit")

type overflow struct {
	r    io.Reader
	left int64
}

func (o *overflow) Read(p []byte) (int, error) {
	if o.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > o.left {
		p = p[:o.left]
	}
	n, err := o.r.Read(p)
	o.left -= int64(n)
	return n, err
}

// framed yields the bytes of src piece by piece. When a piece is used up, next
// reads the header of the following piece into head and sets payload to the number
// of bytes that follow it, or returns io.EOF after the last.
type framed struct {
	head    []byte
	payload int64
}

func (f *framed) read(src *source, p []byte, next func() error) (int, error) {
	for len(f.head) == 0 && f.payload == 0 {
		if err := next(); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := src.Read(p[:min(int64(len(p)), f.payload)])
	f.payload -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, unexpected(err)
}

// take appends n bytes of src to the head.
func (f *framed) take(src *source, n int) ([]byte, error) {
	at := len(f.head)
	f.head = append(f.head, make([]byte, n)...)
	if _, err := io.ReadFull(src, f.head[at:]); err != nil {
		return nil, unexpected(err)
	}
	return f.head[at:], nil
}

// zstdFrame reads exactly one frame (RFC 8878, section 3.1.1).
type zstdFrame struct {
	src      *source
	f        framed
	started  bool
	last     bool
	ended    bool
	checksum bool
}

func (z *zstdFrame) Read(p []byte) (int, error) { return z.f.read(z.src, p, z.next) }

func (z *zstdFrame) next() error {
	switch {
	case !z.started:
		z.started = true
		return z.header()
	case z.ended, z.last && !z.checksum:
		return io.EOF
	case z.last:
		z.ended = true
		_, err := z.f.take(z.src, 4)
		return err
	}
	b, err := z.f.take(z.src, 3)
	if err != nil {
		return err
	}
	v := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	z.last = v&1 != 0
	switch v >> 1 & 3 {
	case 0, 2:
		z.f.payload = int64(v >> 3)
	case 1: // a run: one byte, whatever its length
		z.f.payload = 1
	default:
		return errors.New("zstd block has the reserved type")
	}
	return nil
}

func (z *zstdFrame) header() error {
	b, err := z.f.take(z.src, 5)
	if err != nil {
		return err
	}
	if !bytes.Equal(b[:4], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return fmt.Errorf("zstd magic is % x", b[:4])
	}
	descriptor := b[4]
	z.checksum = descriptor&4 != 0
	single := descriptor&0x20 != 0
	rest := [4]int{0, 1, 2, 4}[descriptor&3] + [4]int{0, 2, 4, 8}[descriptor>>6]
	if single && descriptor>>6 == 0 {
		rest++
	}
	if !single {
		rest++
	}
	_, err = z.f.take(z.src, rest)
	return err
}
