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

// OpenDevice opens path read-only. Close it.
func OpenDevice(path string) (*Device, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := deviceSize(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Device{f: f, size: size}, nil
}

// ReadAt reads as io.ReaderAt, from the disk: md writes its superblocks past the page cache, and as long as an array runs
// the cache keeps for its members what they said when someone first looked.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	dropCached(d.f, off, len(p))
	return d.f.ReadAt(p, off)
}

// Size returns its length in bytes.
func (d *Device) Size() int64 { return d.size }

// Close closes it.
func (d *Device) Close() error { return d.f.Close() }

// checkChunks refuses what does not lie within size bytes.
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
