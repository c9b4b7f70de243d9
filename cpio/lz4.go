package cpio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// lz4Legacy decodes the legacy frame, the only one that the kernel reads: a magic, then
// blocks of at most 8 MiB, each after its compressed size in 4 bytes. The format does not
// mark the last block, and the library would continue into what follows. The kernel (unlz4
// in lib/decompress_unlz4.c) reads any 4 bytes as the next size, whether the previous block
// was full or not; only zeros, another magic or fewer than 4 bytes end the blocks. The
// kernel fails at data that is appended with fewer than 4 zeros in between.
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
		l.ended = true // zeros may follow; anything else is the next segment's error
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
		return fmt.Errorf("fewer than 4 zero bytes before the data after the lz4 stream, at byte %d: the kernel reads %#x as the size of a block and drops everything from there on", at, size)
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

// readUpTo reads n bytes into buf, which grows only as data arrives.
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
