package extent

import (
	"errors"
	"fmt"
	"io"
)

// The kinds of errors. Every error of [Read] about the filesystem wraps exactly
// one of them.
var (
	// ErrUnsupported: this package cannot copy the filesystem by blocks,
	// although it may be healthy. The tree engine can.
	ErrUnsupported = errors.New("not supported by the extent copy")
	// ErrDirty: the filesystem was not cleanly unmounted, or is in use.
	ErrDirty = errors.New("filesystem is not clean")
	// ErrCorrupt: the filesystem contradicts itself or recorded errors.
	ErrCorrupt = errors.New("filesystem is damaged")
)

// A Range is Length bytes at Offset, counted from the start of the filesystem.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// end is the offset of the first byte after the range.
func (r Range) end() int64 { return r.Offset + r.Length }

func (r Range) String() string { return fmt.Sprintf("bytes %d-%d", r.Offset, r.end()-1) }

// An Allocation records which bytes of a filesystem are in use.
type Allocation struct {
	Type      string // "ext2", "ext3", "ext4" or "xfs", as blkid names them
	BlockSize int64  // bytes
	Size      int64  // of the filesystem, in bytes; at most that of the device
	// SectorSize is the smallest unit, in bytes, in which the filesystem is written. A device with larger sectors cannot hold it.
	SectorSize int64
	// Ranges are the bytes to copy: sorted, disjoint, never touching, each a
	// multiple of BlockSize. They cover all used blocks and, for ext, the
	// boot block; beyond [maxRanges] small gaps of free blocks too.
	Ranges    []Range
	UsedBytes int64 // bytes that the filesystem counts as used, at most the sum of Ranges
	UUID      string
	Label     string
	Features  []string // features that matter for a copy, as the filesystem's tools name them

	// Identity is a digest of the superblock, of Ranges and, for xfs, of the log's last record: two Allocations
	// with one Identity describe the same state of the same filesystem.
	Identity string
}

// CopyBytes is the sum of the lengths of Ranges: what [Copy] will write.
func (a *Allocation) CopyBytes() int64 {
	var n int64
	for _, r := range a.Ranges {
		n += r.Length
	}
	return n
}

// has reports whether the filesystem has the feature.
func (a *Allocation) has(feature string) bool {
	for _, f := range a.Features {
		if f == feature {
			return true
		}
	}
	return false
}

// Read reads the allocation of the filesystem on r, a device or image of size
// bytes. It reads only metadata: for ext the descriptors and block bitmaps,
// for xfs the allocation group headers, free-space b-trees and a part of the log.
func Read(r io.ReaderAt, size int64) (*Allocation, error) {
	head := make([]byte, 4096)
	if size < int64(len(head)) {
		return nil, fmt.Errorf("device has %d bytes, too few for ext or xfs: %w", size, ErrUnsupported)
	}
	if err := readFull(r, head, 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	ext, xfs := isExt(head), isXFS(head)
	switch {
	case ext && xfs:
		return nil, fmt.Errorf("device carries both an ext and an xfs superblock: %w", ErrUnsupported)
	case ext:
		return readExt(r, size, head[1024:2048])
	case xfs:
		return readXFS(r, size, head)
	}
	return nil, fmt.Errorf("device carries neither an ext nor an xfs superblock: %w", ErrUnsupported)
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%v: read %d: %w", Range{off, int64(len(p))}, n, err)
}
