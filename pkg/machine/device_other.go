//go:build !linux

package machine

import (
	"errors"
	"fmt"
	"os"
)

func deviceSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, pathError("open", f.Name(), errors.ErrUnsupported)
	}
	return info.Size(), nil
}

func dropCached(*os.File, int64, int) {}

// Direct is a device that is read past the page cache. It is available only on Linux.
type Direct struct{}

// OpenDirect fails: only on Linux.
func OpenDirect(path string) (*Direct, error) {
	return nil, fmt.Errorf("device %s: only on linux: %w", path, errors.ErrUnsupported)
}

// Touch fails: only on Linux.
func (*Direct) Touch(int64) error { return errors.ErrUnsupported }

// Size returns 0: only on Linux.
func (*Direct) Size() int64 { return 0 }

// Close does nothing.
func (*Direct) Close() error { return nil }

// DropCache fails: only on Linux.
func DropCache(dev string) error {
	return fmt.Errorf("device %s: only on linux: %w", dev, errors.ErrUnsupported)
}

// FreeBytes fails: only on Linux.
func FreeBytes(path string) (free, unused int64, err error) {
	return 0, 0, fmt.Errorf("filesystem of %s: only on linux: %w", path, errors.ErrUnsupported)
}

// Uptime returns 0: only on Linux.
func Uptime() float64 { return 0 }

// StatusOfMapping fails: only on Linux.
func StatusOfMapping(name string) (MappingState, error) {
	return MappingState{}, fmt.Errorf("mapping %s: only on linux: %w", name, errors.ErrUnsupported)
}
