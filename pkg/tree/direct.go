package tree

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directUnit is the alignment, in bytes, of offsets, lengths and buffers of direct I/O. No known disk needs more; if one does,
// EINVAL leads to a fallback to the page cache.
const directUnit = 4096

func roundUp(n int) int { return (n + directUnit - 1) &^ (directUnit - 1) }

// openSource opens a regular file for direct I/O: its pages would not be needed again. This is cheaper even for a small file.
func (c *copier) openSource(d *dir, name string) (int, error) {
	if !c.buffered.Load() {
		fd, err := openBelow(d.src, name, unix.O_RDONLY|unix.O_DIRECT, 0)
		if !errors.Is(err, unix.EINVAL) {
			return fd, err
		}
		c.buffered.Store(true)
	}
	return openBelow(d.src, name, unix.O_RDONLY, 0)
}

// readBuffered switches the source file to the page cache.
func (j *fileJob) readBuffered() error {
	if j.c.buffered.Load() {
		return nil
	}
	flags, err := unix.FcntlInt(uintptr(j.src), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_DIRECT != 0 {
		_, err = unix.FcntlInt(uintptr(j.src), unix.F_SETFL, flags&^unix.O_DIRECT)
	}
	return err
}

// openDirect opens a large new file a second time, for direct I/O. That avoids a copy through the cache, and a burst of writes
// at the end. Writes that are not aligned use dst.
func (j *fileJob) openDirect() error {
	if j.c.diskMode.heads.Load() || j.c.o.cached { // a single sequential reader benefits from the kernel's readahead
		return j.readBuffered()
	}
	if j.meta.direct {
		if fd, err := openBelow(j.d.dst, j.name, unix.O_RDWR|unix.O_DIRECT, 0); err == nil {
			j.out = fd
		}
	}
	return nil
}

func aligned(b []byte, off int64) bool {
	return off%directUnit == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%directUnit == 0
}

// read reads into b from off, up to the end of the file. It may overwrite the bytes of b's array between len(b) and the next
// multiple of directUnit.
func (j *fileJob) read(b []byte, off int64) (int, error) {
	if j.c.o.fault != nil {
		if err := j.c.o.fault("read", j.path()); err != nil {
			return 0, err
		}
	}
	if up := roundUp(len(b)); aligned(b, off) && up <= cap(b) {
		n, err := unix.Pread(j.src, b[:up], off)
		if err == nil && n >= len(b) {
			return len(b), nil
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
	}
	if err := j.readBuffered(); err != nil {
		return 0, err
	}
	return readFull(j.src, b, off)
}

// write writes b at off.
func (j *fileJob) write(b []byte, off int64) error {
	for j.out >= 0 && len(b) >= directUnit && aligned(b, off) {
		n, err := unix.Pwrite(j.out, b[:len(b)&^(directUnit-1)], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EINVAL) {
			break
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			return unix.EIO
		}
		b, off = b[n:], off+int64(n)
	}
	return writeFull(j.dst, b, off)
}
