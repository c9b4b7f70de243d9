package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// holdGrace is how long to wait for another program to release the lock, such as udev while it probes the disk.
const holdGrace = 10 * time.Second

// holds are the disks that this process has locked.
type holds struct {
	mu   sync.Mutex
	open map[string]*os.File
}

func (h *holds) do(ctx context.Context, e HoldDisk) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, held := h.open[e.Dev]
	switch {
	case e.On && held, !e.On && !held:
		return nil
	case !e.On:
		delete(h.open, e.Dev)
		return f.Close()
	}
	f, err := holdDisk(ctx, e.Dev, holdGrace)
	if err != nil {
		return err
	}
	if h.open == nil {
		h.open = map[string]*os.File{}
	}
	h.open[e.Dev] = f
	return nil
}

// holdDisk opens a disk and locks it. It opens the disk for writing if possible, but writes nothing: closing a writable
// descriptor makes udev probe the disk again once the lock is released.
func holdDisk(ctx context.Context, dev string, grace time.Duration) (*os.File, error) {
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM) {
		f, err = os.Open(dev)
	}
	if err != nil {
		return nil, err
	}
	locked := false
	err = poll(ctx, grace, func() (bool, error) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		locked = err == nil
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		err = pathError("lock", dev, err)
	case !locked:
		err = fmt.Errorf("disk %s: another program has locked it (flock); find it with `lslocks`, end it and try again", dev)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}
