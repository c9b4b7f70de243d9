package cpio

import (
	"bufio"
	"errors"
	"io"
)

// source reads an image once, from front to back, and counts the bytes. It is an
// io.ByteReader so that the gzip reader does not read beyond its stream.
type source struct {
	r   *bufio.Reader
	off int64
}

func newSource(r io.Reader) *source { return &source{r: bufio.NewReaderSize(r, 64<<10)} }

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.off += int64(n)
	return n, err
}

func (s *source) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.off++
	}
	return b, err
}

// peek returns up to n bytes, fewer at the end of the input.
func (s *source) peek(n int) ([]byte, error) {
	b, err := s.r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// skipZeros reads the zero bytes between segments, and reports whether the input
// has ended.
func (s *source) skipZeros() (end bool, err error) {
	for {
		b, err := s.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if b != 0 {
			return false, s.r.UnreadByte()
		}
		s.off++
	}
}

// unexpected converts io.EOF inside a structure to io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
