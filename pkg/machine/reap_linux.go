package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reap reaps orphans until ctx ends: PID 1 inherits every process whose parent has died. It peeks first (WNOWAIT), and leaves
// the status of a program that Do started to Do. Programs that are not started through this Real would lose their status. It
// returns the error of ctx, or the reason why it had to stop.
func (r *Real) Reap(ctx context.Context) error {
	kick := make(chan struct{}, 1)
	r.starting.Lock()
	r.kick = kick
	r.starting.Unlock()
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		if err := r.reapAll(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-died:
		case <-kick:
		}
	}
}

// reapAll reaps dead children up to the first one that Do has started. That one hides the others, but Do is already waiting for
// it and then wakes Reap again.
func (r *Real) reapAll() error {
	r.starting.Lock()
	defer r.starting.Unlock()
	for {
		pid, err := deadChild()
		if err != nil {
			return fmt.Errorf("reap: %w", err)
		}
		if pid == 0 {
			return nil
		}
		if _, owned := r.own.Load(pid); owned {
			return nil
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECHILD) {
			return fmt.Errorf("reap process %d: %w", pid, err)
		}
	}
}

// deadChild returns the pid of a zombie child without reaping it, or 0 if there is none.
func deadChild() (int, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return 0, nil
		case err != nil:
			return 0, err
		}
		return int(siginfoPID(&info)), nil
	}
}

// siginfoPID reads si_pid: the union in siginfo_t begins after three ints, aligned to a pointer.
func siginfoPID(info *unix.Siginfo) int32 {
	const ints = 3 * unsafe.Sizeof(int32(0))
	const word = unsafe.Sizeof(uintptr(0))
	return *(*int32)(unsafe.Add(unsafe.Pointer(info), (ints+word-1)/word*word))
}
