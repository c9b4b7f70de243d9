package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	zeroStep  = 1 << 20
	pollEvery = 50 * time.Millisecond
	busyGrace = 3 * time.Second // how long a program that probes a device may hold it
)

func deviceSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Mode().IsRegular() {
		return info.Size(), nil
	}
	if info.Mode()&(os.ModeDevice|os.ModeCharDevice) != os.ModeDevice {
		return 0, pathError("open", f.Name(), errors.New("neither block device nor regular file"))
	}
	var size uint64
	if err := ioctl(f, unix.BLKGETSIZE64, unsafe.Pointer(&size)); err != nil {
		return 0, pathError("size of", f.Name(), err)
	}
	return int64(size), nil
}

func ioctl(f *os.File, req uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), req, uintptr(arg))
	if errno != 0 {
		return errno
	}
	return nil
}

func writeDevice(ctx context.Context, e WriteDevice) error {
	f, err := openForWriting(ctx, e)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := deviceSize(f)
	if err != nil {
		return err
	}
	if err := checkChunks(e.Dev, size, e.Chunks); err != nil {
		return err
	}
	for i, c := range e.Chunks {
		if err := writeChunk(ctx, f, c); err != nil {
			return fmt.Errorf("%s: chunk %d of %d: %w", orElse(e.Why, "data"), i+1, len(e.Chunks), err)
		}
	}
	return f.Close()
}

func writeChunk(ctx context.Context, f *os.File, c Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Data != nil {
		if _, err := f.WriteAt(c.Data, c.Offset); err != nil {
			return err
		}
		return f.Sync()
	}
	zeros := make([]byte, min(c.Zero, zeroStep))
	for done := int64(0); done < c.Zero; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.WriteAt(zeros[:min(c.Zero-done, zeroStep)], c.Offset+done)
		if err != nil {
			return err
		}
		done += int64(n)
	}
	return f.Sync()
}

// openForWriting opens a block device exclusively, so that a mounted filesystem or an assembled array is never overwritten. The
// kernel refuses that for a whole disk if one of its partitions is in use. In that case the disk is opened without O_EXCL,
// provided that no chunk touches a partition. This is how a boot sector is written beside a running array.
func openForWriting(ctx context.Context, e WriteDevice) (*os.File, error) {
	info, err := statNode(ctx, e.Dev)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return os.OpenFile(e.Dev, os.O_RDWR, 0)
	}
	if info.Mode()&(os.ModeDevice|os.ModeCharDevice) != os.ModeDevice {
		return nil, pathError("write", e.Dev, errors.New("neither block device nor regular file"))
	}
	var f *os.File
	var gone error
	err = poll(ctx, busyGrace, func() (bool, error) {
		f, err = os.OpenFile(e.Dev, os.O_RDWR|unix.O_EXCL, 0)
		if gone = nil; vanished(err) {
			gone = err
			return false, nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return true, err
		}
		var users []string
		f, users, err = openShared(e)
		return f != nil || len(users) > 0, err
	})
	if err == nil && gone != nil {
		return nil, gone
	}
	if err == nil && f == nil {
		return nil, exclusivelyHeld(e.Dev)
	}
	return f, err
}

// vanished reports whether err means that a node is missing, or no longer has a device behind it.
func vanished(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENXIO) }

// statNode waits for a node that is missing for a moment: as soon as a writer closes a disk, udev re-reads its partition
// table, which removes all its partitions and adds them again.
func statNode(ctx context.Context, dev string) (info os.FileInfo, err error) {
	late := poll(ctx, nodeGrace, func() (bool, error) {
		info, err = os.Stat(dev)
		return !vanished(err) || !strings.HasPrefix(dev, "/dev/"), nil
	})
	return info, errors.Join(err, late)
}

// exclusivelyHeld returns the error for a device that is busy without visible users.
func exclusivelyHeld(dev string) error {
	var who []string
	if b, err := blockOf(dev); err == nil {
		who = b.openers()
	}
	if len(who) == 0 {
		who = []string{"no process was found that has it open"}
	}
	return fmt.Errorf("device %s: in use: opened exclusively: %s: %w", dev, strings.Join(who, ", "), unix.EBUSY)
}

// openShared opens a busy disk whose only users are partitions that no chunk touches. If it returns neither a file nor users
// nor an error, the users could not be determined.
func openShared(e WriteDevice) (*os.File, []string, error) {
	b, err := blockOf(e.Dev)
	if err != nil {
		return nil, nil, err
	}
	if users := b.users(); len(users) > 0 {
		return nil, users, fmt.Errorf("device %s: in use: %s", e.Dev, strings.Join(users, ", "))
	}
	parts, err := b.partitions()
	if err != nil {
		return nil, nil, err
	}
	var users []string
	for _, p := range parts {
		who := p.block.users()
		users = append(users, who...)
		if len(who) > 0 && overlaps(e.Chunks, p.Extent) {
			return nil, who, fmt.Errorf("device %s: partition %d, which would be overwritten, is in use: %s", e.Dev, p.Number, strings.Join(who, ", "))
		}
	}
	if len(users) == 0 {
		return nil, nil, nil
	}
	for _, p := range parts {
		if overlaps(e.Chunks, p.Extent) {
			return nil, users, fmt.Errorf("device %s: in use (%s), and partition %d would be overwritten", e.Dev, strings.Join(users, ", "), p.Number)
		}
	}
	f, err := os.OpenFile(e.Dev, os.O_RDWR, 0)
	return f, users, err
}

func overlaps(chunks []Chunk, p Extent) bool {
	return slices.ContainsFunc(chunks, func(c Chunk) bool {
		n := int64(len(c.Data))
		if c.Data == nil {
			n = c.Zero
		}
		return n > 0 && c.Offset < p.Start+p.Size && p.Start < c.Offset+n
	})
}

func setReadOnly(e SetReadOnly) error {
	f, err := os.Open(e.Dev)
	if err != nil {
		return err
	}
	defer f.Close()
	want := 0
	if e.On {
		want = 1
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.BLKROSET, want); err != nil {
		return pathError("set read-only flag of", e.Dev, err)
	}
	got, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET)
	if err != nil {
		return pathError("get read-only flag of", e.Dev, err)
	}
	if (got != 0) != e.On && (e.On || !diskReadOnly(e.Dev)) {
		return fmt.Errorf("device %s: read-only flag was set to %d and is %d", e.Dev, want, got)
	}
	return nil
}

// diskReadOnly reports whether dev is a partition of a read-only disk. BLKROGET then reports read-only for the partition,
// whatever its own flag is.
func diskReadOnly(dev string) bool {
	b, err := blockOf(dev)
	if err != nil {
		return false
	}
	if _, err := sysInt(filepath.Join(b.dir, "partition")); err != nil {
		return false
	}
	on, err := sysInt(filepath.Join(filepath.Dir(b.dir), "ro"))
	return err == nil && on != 0
}

// doIoctl opens the device for writing only if the effect names something that it alters. The kernel may write its answer to
// e.Arg.
func doIoctl(e Ioctl) error {
	flags := os.O_RDONLY
	if len(e.Alters) > 0 {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(e.Dev, flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if len(e.Arg) > 0 {
		err = ioctl(f, e.Req, unsafe.Pointer(&e.Arg[0]))
	} else if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), e.Req, e.Value); errno != 0 {
		err = errno
	}
	if err != nil {
		return fmt.Errorf("device %s: ioctl %s: %w", e.Dev, e.Name, err)
	}
	return nil
}

// dropCached drops the cached pages of a range that are clean and not in use. It is only a hint: if it has no effect, the next
// read is answered from the cache.
func dropCached(f *os.File, off int64, n int) {
	page := int64(os.Getpagesize())
	from := off / page * page
	_ = unix.Fadvise(int(f.Fd()), from, (off+int64(n)+page-1)/page*page-from, unix.FADV_DONTNEED)
}

// FreeBytes returns how many bytes are free for ordinary users on the filesystem of path, and how many are unused in all. The
// difference is reserved for root.
func FreeBytes(path string) (free, unused int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, pathError("statfs", path, err)
	}
	unit := int64(st.Frsize)
	if unit == 0 {
		unit = int64(st.Bsize)
	}
	return int64(st.Bavail) * unit, int64(st.Bfree) * unit, nil
}

// Uptime returns the seconds since the kernel started, including the time it was suspended.
func Uptime() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return float64(t.Nano()) / 1e9
}
