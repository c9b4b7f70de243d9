package cpio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// lz4Legacy decodes the legacy frame, the only one the kernel reads: a magic, then
// blocks of at most 8 MiB, each after its compressed size in 4 bytes. Nothing in the
// format says which block is the last, and the library would read on into what follows.
// The kernel (unlz4 in lib/decompress_unlz4.c) takes any 4 bytes for the next size, whether
// the block before was full or not: only zeros, another magic or fewer than 4 bytes are
// none. What is appended with fewer than 4 zeros between makes it give up there.
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
	at := l.src.off
	head, err := l.src.peek(4)
	switch {
	case err != nil:
		return err
	case len(head) < 4 && !l.started:
		return io.ErrUnexpectedEOF
	case len(head) < 4:
		l.ended = true // zeros may follow; whatever else it is, the next segment tells
		return nil
	}
	size := binary.LittleEndian.Uint32(head)
	switch {
	case size == lz4Magic:
		l.started = true
		_, err := io.ReadFull(l.src, make([]byte, 4))
		return err
	case !l.started:
		return fmt.Errorf("lz4 magic is %#x", size)
	case size == 0:
		l.ended = true
		return nil
	case size > uint32(lz4.CompressBlockBound(lz4Block)):
		return fmt.Errorf("what follows the lz4 stream at byte %d has fewer than 4 zero bytes before it: the kernel takes %#x for the size of a block and drops all that comes from there on", at, size)
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
	l.ready = l.out[:n]
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
