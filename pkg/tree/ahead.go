package tree

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	aheadFiles = 32
	aheadSize  = 64 << 10 // the largest file whose data is read ahead, in bytes
)

// ahead opens the next files of a batch and reads the small ones asynchronously, past the page cache (io_submit): one system
// call starts all reads, and the disk can serve them in parallel. A file for which this fails is opened and read in the
// ordinary way, which reports what is wrong with it.
//
// Linux: include/uapi/linux/aio_abi.h.
type ahead struct {
	ctx     uintptr // from io_setup
	none    bool    // the kernel does not support it, or has no more contexts
	flight  int     // reads in flight
	slots   []*opened
	free    []*opened
	control []*iocb
	events  [aheadFiles]ioEvent
}

// opened is one open file, whose data may have been read.
type opened struct {
	name string
	fd   int
	m    meta
	cb   iocb
	room []byte // aligned
	got  int    // bytes read
	read bool   // room holds the whole file
	busy bool   // its read is in flight
}

// iocb is struct iocb. On big-endian machines the key and the flags are swapped; both are 0.
type iocb struct {
	data   uint64
	_      [2]uint32
	opcode uint16
	_      uint16 // priority
	fd     uint32
	buf    uint64
	length uint64
	_      [3]uint64 // offset, and what is reserved
}

type ioEvent struct {
	data, obj uint64
	res, res2 int64
}

const iocbPread = 0

// fill opens up to aheadFiles regular files of es in the directory dir, and starts to read the small ones that have only one
// name. It skips the names for which wanted returns false. It closes what is left of an earlier fill.
func (a *ahead) fill(dir int, magic int64, es []entry, xattr []byte, wanted func(name string) bool) {
	a.drain()
	if a.none || len(es) < 2 {
		return
	}
	if a.ctx == 0 {
		if _, _, e := unix.Syscall(unix.SYS_IO_SETUP, aheadFiles, uintptr(unsafe.Pointer(&a.ctx)), 0); e != 0 {
			a.ctx, a.none = 0, true
			return
		}
	}
	for _, e := range es {
		if e.typ != unix.DT_REG || !wanted(e.name) {
			continue
		}
		s := a.slot()
		var err error
		if s.fd, err = openBelow(dir, e.name, unix.O_RDONLY|unix.O_DIRECT, 0); err != nil {
			a.free = append(a.free, s)
			continue
		}
		if err := readMeta(object{fd: s.fd}, magic, &s.m, xattr); err != nil || !s.m.isReg() {
			_ = unix.Close(s.fd)
			a.free = append(a.free, s)
			continue
		}
		s.name = e.name
		a.slots = append(a.slots, s)
		if s.m.direct && s.m.nlink == 1 && s.m.size > 0 && s.m.size <= aheadSize {
			a.ask(s)
		}
		if len(a.slots) == aheadFiles {
			break
		}
	}
	a.submit()
}

func (a *ahead) slot() *opened {
	if n := len(a.free); n > 0 {
		s := a.free[n-1]
		a.free = a.free[:n-1]
		return s
	}
	b := make([]byte, aheadSize+2*directUnit)
	skip := -uintptr(unsafe.Pointer(&b[0])) & (directUnit - 1)
	return &opened{room: b[skip : skip+aheadSize+directUnit]}
}

// ask prepares to read a whole file and one byte more, to check its size.
func (a *ahead) ask(s *opened) {
	n := roundUp(int(s.m.size) + 1)
	s.cb = iocb{data: uint64(len(a.slots) - 1), opcode: iocbPread, fd: uint32(s.fd), buf: uint64(uintptr(unsafe.Pointer(&s.room[0]))), length: uint64(n)}
	a.control = append(a.control, &s.cb)
}

func (a *ahead) submit() {
	for len(a.control) > 0 {
		n, _, e := unix.Syscall(unix.SYS_IO_SUBMIT, a.ctx, uintptr(len(a.control)), uintptr(unsafe.Pointer(&a.control[0])))
		if e == unix.EINTR {
			continue
		}
		if e != 0 || n == 0 {
			break // the rest is read one by one
		}
		for _, cb := range a.control[:n] {
			a.slots[cb.data].busy = true
		}
		a.flight += int(n)
		a.control = a.control[n:]
	}
	a.control = a.control[:0]
}

// take returns the open file of that name, or nil. The caller must close it. If read is set, room holds its data, until the next
// fill.
func (a *ahead) take(name string) *opened {
	for _, s := range a.slots {
		if s.name == name && s.fd >= 0 {
			for s.busy {
				a.reap()
			}
			t := *s
			s.fd = -1
			return &t
		}
	}
	return nil
}

// reap waits until at least one read has finished.
func (a *ahead) reap() {
	n, _, e := unix.Syscall6(unix.SYS_IO_GETEVENTS, a.ctx, 1, aheadFiles, uintptr(unsafe.Pointer(&a.events[0])), 0, 0)
	if e == unix.EINTR {
		return
	}
	if e != 0 {
		a.shutdown()
		return
	}
	for _, ev := range a.events[:n] {
		s := a.slots[ev.data]
		s.busy = false
		s.got, s.read = int(ev.res), ev.res >= s.m.size
		a.flight--
	}
}

// shutdown stops using asynchronous reads. io_destroy waits for those in flight.
func (a *ahead) shutdown() {
	if a.ctx != 0 {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, a.ctx, 0, 0)
	}
	a.ctx, a.none, a.flight = 0, true, 0
	for _, s := range a.slots {
		s.busy = false
	}
}

// drain waits for the reads in flight, and closes the files that were not taken.
func (a *ahead) drain() {
	for a.flight > 0 {
		a.reap()
	}
	for _, s := range a.slots {
		if s.fd >= 0 {
			_ = unix.Close(s.fd)
		}
		s.read, s.got, s.name, s.m = false, 0, "", meta{}
		a.free = append(a.free, s)
	}
	a.slots = a.slots[:0]
}

// close releases all resources.
func (a *ahead) close() {
	a.drain()
	a.shutdown()
}
