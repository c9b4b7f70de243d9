package tree

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directUnit is what offsets, lengths and buffers of direct I/O are multiples
// of. No disk asks for more.
const directUnit = 4096

// openDirect opens a large file a second time on each side for direct I/O: no
// copy through the page cache, whose pages nobody would read again, and no
// burst of writing at the end. What is not aligned goes through src and dst.
func (j *fileJob) openDirect() {
	j.in, j.out = -1, -1
	if !j.meta.direct || j.c.o.Rotational {
		return // one reader in one direction wants the kernel's readahead
	}
	j.in = j.second(j.d.src, unix.O_RDONLY)
	j.out = j.second(j.d.dst, unix.O_RDWR)
}

func (j *fileJob) second(dir, flags int) int {
	fd, err := openBelow(dir, j.name, flags|unix.O_DIRECT, 0)
	if err != nil {
		return -1
	}
	return fd
}

func aligned(b []byte, off int64) bool {
	return off%directUnit == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%directUnit == 0
}

// read fills b from off, or to the end of the file. b must have room to the next unit.
func (j *fileJob) read(b []byte, off int64) (int, error) {
	up := (len(b) + directUnit - 1) &^ (directUnit - 1)
	if j.in < 0 || !aligned(b, off) || up > cap(b) {
		return readFull(j.src, b, off)
	}
	n, err := unix.Pread(j.in, b[:up], off)
	if n = min(n, len(b)); err == nil && n == len(b) {
		return n, nil
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EINTR) {
		return 0, err
	}
	n = max(n, 0)
	rest, err := readFull(j.src, b[n:], off+int64(n))
	return n + rest, err
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
