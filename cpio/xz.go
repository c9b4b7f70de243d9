package cpio

import (
	"errors"
	"fmt"
	"io"
)

// xzStream reads exactly one xz stream (the .xz file format 1.2.1). Blocks need not
// record their length, but the chunks of LZMA2 do. Everything else is passed on
// unchecked to the decoder.
type xzStream struct {
	src   *source
	f     framed
	state xzState
	check int   // bytes of the checksum after each block
	block int64 // start of the block, from which padding is counted
}

type xzState int

const (
	xzHeader xzState = iota
	xzBlock
	xzChunk
	xzDone
)

func (x *xzStream) Read(p []byte) (int, error) { return x.f.read(x.src, p, x.next) }

func (x *xzStream) next() error {
	switch x.state {
	case xzHeader:
		b, err := x.f.take(x.src, 12)
		if err != nil {
			return err
		}
		// The kernel is built without other checks (lib/xz/xz_dec_stream.c), and drops the whole stream.
		switch b[7] & 15 {
		case 0:
		case 1:
			x.check = 4
		default:
			return fmt.Errorf("xz stream has a check of type %d; the kernel supports only CRC32 (xz --check=crc32)", b[7]&15)
		}
		x.state = xzBlock
		return nil
	case xzBlock:
		return x.blockOrIndex()
	case xzChunk:
		return x.chunk()
	}
	return io.EOF
}

func (x *xzStream) blockOrIndex() error {
	x.block = x.src.off
	b, err := x.f.take(x.src, 1)
	if err != nil {
		return err
	}
	if b[0] != 0 {
		x.f.payload = int64(b[0])*4 + 3
		x.state = xzChunk
		return nil
	}
	// The index: a count, two numbers for each block, padding, CRC32; then the footer.
	count, err := x.number()
	if err != nil {
		return err
	}
	for range count {
		for range 2 {
			if _, err := x.number(); err != nil {
				return err
			}
		}
		if len(x.f.head) > 16<<20 {
			return errors.New("xz index of more than 16 MiB")
		}
	}
	pad := int(-(x.src.off - x.block) & 3)
	x.state = xzDone
	_, err = x.f.take(x.src, pad+4+12)
	return err
}

// number reads a multibyte integer of at most 9 bytes.
func (x *xzStream) number() (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := x.f.take(x.src, 1)
		if err != nil {
			return 0, err
		}
		v |= uint64(b[0]&0x7f) << (7 * i)
		if b[0]&0x80 == 0 {
			return v, nil
		}
	}
	return 0, errors.New("xz index: number of more than 9 bytes")
}

// chunk reads the header of an LZMA2 chunk: a control byte, then sizes, each minus one.
func (x *xzStream) chunk() error {
	b, err := x.f.take(x.src, 1)
	if err != nil {
		return err
	}
	control := b[0]
	switch {
	case control == 0:
		pad := int(-(x.src.off - x.block) & 3)
		x.state = xzBlock
		_, err := x.f.take(x.src, pad+x.check)
		return err
	case control == 1 || control == 2:
		b, err := x.f.take(x.src, 2)
		if err != nil {
			return err
		}
		x.f.payload = int64(b[0])<<8 + int64(b[1]) + 1
	case control >= 0x80:
		b, err := x.f.take(x.src, 4)
		if err != nil {
			return err
		}
		x.f.payload = int64(b[2])<<8 + int64(b[3]) + 1
		if control >= 0xc0 { // new properties
			x.f.payload++
		}
	default:
		return fmt.Errorf("lzma2 control byte is %#x", control)
	}
	return nil
}
