package cpio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// lz4Legacy decodes the legacy frame, the only one the kernel reads: a magic, then
// blocks, each after its compressed size in 4 bytes and each 8 MiB long but the last.
// So a shorter block ends the frame, and after a full one so does anything
// that cannot be a size (lz4_Frame_format.md, "Legacy frame"). The library
// would read on into what follows.
type lz4Legacy struct {
	src     *source
	started bool
	ended   bool
	in, out []byte
	ready   []byte
}

const (
	lz4Magic = 0x184c2102
	lz4Block = 8 << 20
)

func (l *lz4Legacy) Read(p []byte) (int, error) {
	for len(l.ready) == 0 {
		if l.ended {
			return 0, io.EOF
		}
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

func (l *lz4Legacy) next() error {
	if !l.started {
		var magic [4]byte
		if _, err := io.ReadFull(l.src, magic[:]); err != nil {
			return unexpected(err)
		}
		if v := binary.LittleEndian.Uint32(magic[:]); v != lz4Magic {
			return fmt.Errorf("lz4 magic is %#x", v)
		}
		l.started = true
	}
	head, err := l.src.peek(4)
	if err != nil {
		return err
	}
	if len(head) < 4 {
		l.ended = true // zeros may follow; whatever else it is, the next segment tells
		return nil
	}
	size := binary.LittleEndian.Uint32(head)
	if size == 0 || size > uint32(lz4.CompressBlockBound(lz4Block)) {
		l.ended = true
		return nil
	}
	if _, err := io.ReadFull(l.src, make([]byte, 4)); err != nil {
		return unexpected(err)
	}
	if l.in, err = readUpTo(l.src, l.in[:0], int64(size)); err != nil {
		return err
	}
	if l.out == nil {
		l.out = make([]byte, lz4Block)
	}
	n, err := lz4.UncompressBlock(l.in, l.out)
	if err != nil {
		return fmt.Errorf("lz4 block of %d bytes: %w", size, err)
	}
	if n == 0 {
		return errors.New("lz4 block is empty")
	}
	l.ready, l.ended = l.out[:n], n < lz4Block
	return nil
}

// readUpTo reads n bytes into buf, which grows with what is really there.
func readUpTo(r io.Reader, buf []byte, n int64) ([]byte, error) {
	for int64(len(buf)) < n {
		at := len(buf)
		buf = append(buf, make([]byte, min(n-int64(at), 1<<20))...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, unexpected(err)
		}
	}
	return buf, nil
}
