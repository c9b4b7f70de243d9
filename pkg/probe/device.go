package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// device reads within its bounds and keeps the first I/O error, so that the code of a format does not have to.
type device struct {
	r    io.ReaderAt
	size int64
	err  error

	part  bool // a partition of a disk
	known bool // something has already been found
}

// read returns n bytes from off, or nil if they are not all on the device or if there was an error.
func (d *device) read(off int64, n int) []byte {
	if d.err != nil || off < 0 || n <= 0 || off > d.size || int64(n) > d.size-off {
		return nil
	}
	b := make([]byte, n)
	got, err := d.r.ReadAt(b, off)
	if got == n {
		return b
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = fmt.Errorf("read %d bytes at %d: %w", n, off, err)
	return nil
}

// clip limits a range to the device.
func (d *device) clip(off, n int64) Range {
	return Range{off, min(n, d.size-off)}
}

// text returns a fixed field up to its first NUL, without trailing blanks, always as valid UTF-8.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	s := strings.TrimRight(string(b), " ")
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return s
}

// uuid returns the 8-4-4-4-12 form of 16 bytes in order; "" for all zeros.
func uuid(b []byte) string {
	if len(b) != 16 || bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func check(ok bool) Check {
	if ok {
		return Valid
	}
	return Invalid
}

func powerOfTwo(n uint64) bool { return n != 0 && n&(n-1) == 0 }

// product returns a*b as a size, or 0 if it does not fit into an int64.
func product(a, b uint64) int64 {
	if a == 0 || b == 0 || a > (1<<63-1)/b {
		return 0
	}
	return int64(a * b)
}
