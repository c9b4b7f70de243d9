package tree

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// include/uapi/asm-generic/ioctl.h. mips and ppc differ; iocNumbers excludes them.
const (
	iocWrite = 1
	iocRead  = 2
)

func ioc(dir, typ, nr, size uint) uint { return dir<<30 | size<<16 | typ<<8 | nr }

// include/uapi/linux/fs.h and fiemap.h; not in x/sys.
const (
	fsxattrSize      = 28
	fiemapHeaderSize = 32
	fiemapExtentSize = 56

	fiemapFlagSync         = 0x1
	fiemapExtentLast       = 0x1
	fiemapExtentUnknown    = 0x2
	fiemapExtentDelalloc   = 0x4
	fiemapExtentEncoded    = 0x8
	fiemapExtentEncrypted  = 0x80
	fiemapExtentNotAligned = 0x100
	fiemapExtentInline     = 0x200
	fiemapExtentTail       = 0x400
	fiemapExtentUnwritten  = 0x800
	fiemapExtentShared     = 0x2000
)

func fsGetXattrReq() uint { return ioc(iocRead, 'X', 31, fsxattrSize) }
func fsSetXattrReq() uint { return ioc(iocWrite, 'X', 32, fsxattrSize) }
func fiemapReq() uint     { return ioc(iocRead|iocWrite, 'f', 11, fiemapHeaderSize) }

// iocNumbers reports whether ioc is right for this architecture.
func iocNumbers() bool {
	switch runtime.GOARCH {
	case "amd64", "386", "arm", "arm64", "riscv64", "s390x", "loong64":
		return true
	}
	return false
}

// fsxattr is struct fsxattr of include/uapi/linux/fs.h.
type fsxattr struct {
	xflags, extsize, nextents, projid, cowextsize uint32
	_                                             [8]byte
}

func ioctl(fd int, req uint, arg unsafe.Pointer) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(arg))
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

func getFSX(fd int) (x fsxattr, err error) {
	err = ioctl(fd, fsGetXattrReq(), unsafe.Pointer(&x))
	return x, err
}

func setFSX(fd int, x fsxattr) error { return ioctl(fd, fsSetXattrReq(), unsafe.Pointer(&x)) }

// The kernel reads and writes an int, although the ioctl number is defined with a long.
func getFlags(fd int) (uint32, error) {
	var v [2]uint32
	err := ioctl(fd, unix.FS_IOC_GETFLAGS, unsafe.Pointer(&v))
	return v[0], err
}

func setFlags(fd int, f uint32) error {
	v := [2]uint32{f}
	return ioctl(fd, unix.FS_IOC_SETFLAGS, unsafe.Pointer(&v))
}

// extent is one mapped range of a file, in bytes.
type extent struct {
	off, phys, len int64
	flags          uint32
}

// extents iterates over the extents of a file in order of offset (FIEMAP).
type extents struct {
	fd    int
	start uint64
	buf   []byte
	i, n  int
	end   bool
}

const fiemapBatch = 128

// next returns the next extent; ok is false at the end.
func (x *extents) next() (e extent, ok bool, err error) {
	ne := binary.NativeEndian
	if x.i == x.n {
		if x.end {
			return extent{}, false, nil
		}
		if x.buf == nil {
			x.buf = make([]byte, fiemapHeaderSize+fiemapBatch*fiemapExtentSize)
		}
		clear(x.buf[:fiemapHeaderSize])
		ne.PutUint64(x.buf[0:], x.start)
		ne.PutUint64(x.buf[8:], ^uint64(0)-x.start)
		ne.PutUint32(x.buf[24:], fiemapBatch)
		if err := tries(func() error { return ioctl(x.fd, fiemapReq(), unsafe.Pointer(&x.buf[0])) }); err != nil {
			return extent{}, false, err
		}
		x.i, x.n = 0, int(min(ne.Uint32(x.buf[20:]), fiemapBatch))
		if x.n == 0 {
			x.end = true
			return extent{}, false, nil
		}
	}
	b := x.buf[fiemapHeaderSize+x.i*fiemapExtentSize:]
	x.i++
	e = extent{off: int64(ne.Uint64(b)), phys: int64(ne.Uint64(b[8:])), len: int64(ne.Uint64(b[16:])), flags: ne.Uint32(b[40:])}
	if e.off < 0 || e.len <= 0 || uint64(e.off+e.len) <= x.start {
		return extent{}, false, unix.EUCLEAN
	}
	x.start = uint64(e.off + e.len)
	if e.flags&fiemapExtentLast != 0 {
		x.end, x.n = true, x.i
	}
	return e, true, nil
}
