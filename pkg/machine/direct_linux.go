package machine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// touchSize is the size, in bytes, and the alignment of what Touch reads. No disk needs more for direct I/O.
const touchSize = 4096

// Direct is a device or file that is read past the page cache, so that a read takes as long as the disk needs for it.
type Direct struct {
	f    *os.File
	size int64
}

// OpenDirect opens path for reading past the page cache. The caller must close it.
func OpenDirect(path string) (*Direct, error) {
	f, size, err := openSized(path, os.O_RDONLY|unix.O_DIRECT)
	if err != nil {
		return nil, err
	}
	return &Direct{f: f, size: size}, nil
}

// Touch reads a few bytes around off and discards them. It is safe for concurrent use.
func (d *Direct) Touch(off int64) error {
	b := make([]byte, 2*touchSize)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (touchSize - 1))
	if n, err := unix.Pread(int(d.f.Fd()), b[skip:skip+touchSize], off/touchSize*touchSize); err != nil || n == 0 {
		return pathError("read", d.f.Name(), fmt.Errorf("%d bytes at %d: %w", n, off, err))
	}
	return nil
}

// Size returns the size in bytes.
func (d *Direct) Size() int64 { return d.size }

// Close closes the device.
func (d *Direct) Close() error { return d.f.Close() }
