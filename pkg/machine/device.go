package machine

import (
	"fmt"
	"io"
	"os"
)

// Device is a block device (or a regular file in its place) opened for reading.
type Device struct {
	f    *os.File
	size int64
}

var _ io.ReaderAt = (*Device)(nil)

// OpenDevice opens path read-only. The caller must close it.
func OpenDevice(path string) (*Device, error) {
	f, size, err := openSized(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &Device{f: f, size: size}, nil
}

// openSized opens a device or file, and returns its size in bytes.
func openSized(path string, flags int) (*os.File, int64, error) {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, 0, err
	}
	size, err := deviceSize(f)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

// ReadAt implements io.ReaderAt. It reads from the disk and not from the page cache, which may be stale: md writes its
// superblocks past the cache, and while an array runs, the cache keeps what its members held when they were first read.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	dropCached(d.f, off, len(p))
	return d.f.ReadAt(p, off)
}

// Size returns the size in bytes.
func (d *Device) Size() int64 { return d.size }

// Close closes the device.
func (d *Device) Close() error { return d.f.Close() }

// checkChunks returns an error if a chunk is not within size bytes.
func checkChunks(dev string, size int64, chunks []Chunk) error {
	for i, c := range chunks {
		n := int64(len(c.Data))
		if c.Data == nil {
			n = c.Zero
		} else if c.Zero != 0 {
			return fmt.Errorf("device %s: chunk %d: has both data and zeros", dev, i)
		}
		if c.Offset < 0 || n < 0 || c.Offset > size || n > size-c.Offset {
			return fmt.Errorf("device %s: chunk %d: %d bytes at %d lie outside its %d bytes", dev, i, n, c.Offset, size)
		}
	}
	return nil
}
