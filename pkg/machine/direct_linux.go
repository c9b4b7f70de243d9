package machine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// touchSize is what Touch reads: no disk wants larger units or a stricter alignment for direct I/O.
const touchSize = 4096

// Direct is a device, or a file, that is read past the page cache, so that a read takes as long as the disk needs.
type Direct struct {
	f    *os.File
	size int64
}

// OpenDirect opens path for reading past the page cache. Close it.
func OpenDirect(path string) (*Direct, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	size, err := deviceSize(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Direct{f: f, size: size}, nil
}

// Touch reads the few bytes around off, and nothing else. It may be called by several at once.
func (d *Direct) Touch(off int64) error {
	b := make([]byte, 2*touchSize)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (touchSize - 1))
	if n, err := unix.Pread(int(d.f.Fd()), b[skip:skip+touchSize], off/touchSize*touchSize); err != nil || n == 0 {
		return pathError("read", d.f.Name(), fmt.Errorf("%d bytes at %d: %w", n, off, err))
	}
	return nil
}

// Size returns its length in bytes.
func (d *Direct) Size() int64 { return d.size }

// Close closes it.
func (d *Direct) Close() error { return d.f.Close() }
