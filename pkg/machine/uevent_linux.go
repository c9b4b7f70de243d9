package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	kernelGroup   = 1        // the kernel's own messages; udevd's are 2
	ueventBuffer  = 16 << 20 // enough for the coldplug of many disks
	ueventMessage = 16 << 10 // the kernel's limit is 2048 bytes of environment and a path
)

// Uevents subscribes to the kernel's device events until ctx ends, and then closes the channel. If the reader is too slow, events
// are lost, but the subscription is not. Do not rely on seeing every event.
func Uevents(ctx context.Context) (<-chan Uevent, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	// without the privilege for a larger buffer, the default one will do
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ueventBuffer)
	sock := os.NewFile(uintptr(fd), "uevents")
	raw, err := sock.SyscallConn()
	if err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	events := make(chan Uevent, 256)
	stop := context.AfterFunc(ctx, func() { _ = sock.Close() })
	go func() {
		defer close(events)
		defer sock.Close()
		defer stop()
		receive(ctx, raw, events)
	}()
	return events, nil
}

func receive(ctx context.Context, raw syscall.RawConn, events chan<- Uevent) {
	buf := make([]byte, ueventMessage)
	for {
		n, fromKernel := 0, false
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			var from unix.Sockaddr
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			if nl, ok := from.(*unix.SockaddrNetlink); ok {
				fromKernel = nl.Pid == 0 // any root process may send to the group
			}
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err != nil || ctx.Err() != nil {
			return
		}
		if rerr != nil {
			if errors.Is(rerr, unix.ENOBUFS) || errors.Is(rerr, unix.EINTR) {
				continue // some were lost
			}
			return
		}
		u, ok := parseUevent(buf[:n])
		if !ok || !fromKernel {
			continue
		}
		select {
		case events <- u:
		case <-ctx.Done():
			return
		}
	}
}
