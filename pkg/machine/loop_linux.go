package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const loopControl = "/dev/loop-control"

func doLoop(ctx context.Context, e Loop) error {
	number, err := strconv.ParseUint(strings.TrimPrefix(e.Dev, "/dev/loop"), 10, 20)
	if err != nil || !strings.HasPrefix(e.Dev, "/dev/loop") {
		return fmt.Errorf("loop device %q: must be /dev/loopN", e.Dev)
	}
	file, err := openBacking(e)
	if err != nil {
		return err
	}
	defer file.Close()
	dev, err := openLoop(ctx, e, int(number))
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := attach(dev, file, e.ReadOnly); err != nil {
		return fmt.Errorf("loop device %s: attach %s: %w", e.Dev, e.File, err)
	}
	return nil
}

func openBacking(e Loop) (*os.File, error) {
	flags := os.O_RDWR
	switch {
	case e.Size > 0:
		flags |= os.O_CREATE | os.O_TRUNC
	case e.ReadOnly:
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(e.File, flags|unix.O_NOFOLLOW, 0o600)
	if err != nil || e.Size == 0 {
		return f, err
	}
	if err := f.Truncate(e.Size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openLoop opens a loop device, which is added to the kernel's if it is not there.
func openLoop(ctx context.Context, e Loop, number int) (*os.File, error) {
	flags := os.O_RDWR
	if e.ReadOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(e.Dev, flags, 0)
	if !vanished(err) {
		return f, err
	}
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.LOOP_CTL_ADD, uintptr(number)); errno != 0 && errno != unix.EEXIST {
		return nil, fmt.Errorf("loop device %s: add: %w", e.Dev, errno)
	}
	late := poll(ctx, nodeGrace, func() (bool, error) {
		f, err = os.OpenFile(e.Dev, flags, 0)
		return !vanished(err), nil
	})
	return f, errors.Join(err, late)
}

// attach gives a loop device its file. Kernels before 5.8 need two steps for it.
func attach(dev, file *os.File, readOnly bool) error {
	info := unix.LoopInfo64{}
	if readOnly {
		info.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	copy(info.File_name[:len(info.File_name)-1], file.Name())
	err := unix.IoctlLoopConfigure(int(dev.Fd()), &unix.LoopConfig{Fd: uint32(file.Fd()), Info: info})
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTTY) {
		return err
	}
	if err := unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_SET_FD, int(file.Fd())); err != nil {
		return err
	}
	if err := unix.IoctlLoopSetStatus64(int(dev.Fd()), &info); err != nil {
		_, clearErr := unix.IoctlRetInt(int(dev.Fd()), unix.LOOP_CLR_FD)
		return errors.Join(err, clearErr)
	}
	return nil
}

func doLoopOff(e LoopOff) error {
	f, err := os.Open(e.Dev)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := unix.IoctlRetInt(int(f.Fd()), unix.LOOP_CLR_FD); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("loop device %s: detach: %w", e.Dev, err)
	}
	return nil
}
