package extent

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disk is a device or file that was reopened, for direct I/O if it supports that.
type disk struct {
	*os.File
	direct bool
}

// OpenTarget opens a device to copy to. It fails if the device is in use; for a regular file that cannot be checked.
func OpenTarget(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_EXCL, 0) }

// openDisk opens the file of f again, because O_DIRECT is a flag of the open file, and f belongs to the caller.
func openDisk(f *os.File, flag int, blockSize int64) (*disk, error) {
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	if d, err := os.OpenFile(path, flag|unix.O_DIRECT|unix.O_CLOEXEC, 0); err == nil {
		if directWorks(d, blockSize) {
			return &disk{d, true}, nil
		}
		d.Close() //nolint:errcheck // nothing was written
	}
	d, err := os.OpenFile(path, flag|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: reopen: %w", f.Name(), err)
	}
	return &disk{d, false}, nil
}

// directWorks tries a read that is aligned only to a block: the sectors of the device may be larger than the blocks of the
// filesystem.
func directWorks(f *os.File, blockSize int64) bool {
	buf, release, err := alignedBuffer(int(blockSize))
	if err != nil {
		return false
	}
	defer release()
	n, err := f.ReadAt(buf, blockSize)
	return n == len(buf) || err == io.EOF
}

// reserve makes a regular file at least size bytes long, and returns an error if a device is smaller.
func reserve(dst *os.File, size int64) error {
	fi, err := dst.Stat()
	if err != nil {
		return err
	}
	if fi.Mode().IsRegular() {
		if fi.Size() < size {
			return dst.Truncate(size)
		}
		return nil
	}
	have, err := deviceSize(dst)
	if err != nil {
		return err
	}
	if have < size {
		return fmt.Errorf("%s: %d bytes, the filesystem has %d", dst.Name(), have, size)
	}
	return nil
}

func deviceSize(f *os.File) (int64, error) {
	if fi, err := f.Stat(); err != nil {
		return 0, err
	} else if fi.Mode().IsRegular() {
		return fi.Size(), nil
	}
	var n uint64
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&n))); e != 0 {
		return 0, &os.PathError{Op: "BLKGETSIZE64", Path: f.Name(), Err: e}
	}
	return int64(n), nil
}

// dropCache drops the page cache of f, so that the next read comes from the medium.
func dropCache(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	fd := int(f.Fd())
	if fi, err := f.Stat(); err != nil {
		return err
	} else if fi.Mode()&os.ModeDevice != 0 {
		if err := unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0); err != nil {
			return &os.PathError{Op: "BLKFLSBUF", Path: f.Name(), Err: err}
		}
		return nil
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return &os.PathError{Op: "fadvise", Path: f.Name(), Err: err}
	}
	return nil
}

// alignedBuffer returns memory that direct I/O accepts on every device.
func alignedBuffer(n int) ([]byte, func(), error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("buffer of %d bytes: %w", n, err)
	}
	return b, func() { _ = unix.Munmap(b) }, nil
}
