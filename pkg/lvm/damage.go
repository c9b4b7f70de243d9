package lvm

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const sector = 512

// ErrNoLabel means that the first four sectors hold no LVM label.
var ErrNoLabel = errors.New("no LVM label")

// Damaged says what is wrong with an LVM structure.
type Damaged struct {
	What   string // "label", "metadata area", "metadata text"
	Offset int64  // bytes from the start of the device
	Detail string
}

func (d *Damaged) Error() string {
	return fmt.Sprintf("LVM %s at byte %d: %s", d.What, d.Offset, d.Detail)
}

func damaged(what string, at int64, format string, args ...any) error {
	return &Damaged{what, at, fmt.Sprintf(format, args...)}
}

// checksum is CRC-32 with LVM's initial value and without the final complement.
func checksum(parts ...[]byte) uint32 {
	sum := ^uint32(0xf597a6cf)
	for _, p := range parts {
		sum = crc32.Update(sum, crc32.IEEETable, p)
	}
	return ^sum
}

// read returns n bytes from off. The caller must have checked n against a limit.
func read(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.ReadAt(b, off)
	if got == n {
		return b, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
}

// product multiplies sizes; ok is false if the result does not fit or a factor is negative.
func product(a, b int64) (p int64, ok bool) {
	if a < 0 || b < 0 || b != 0 && a > (1<<63-1)/b {
		return 0, false
	}
	return a * b, true
}
