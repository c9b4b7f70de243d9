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

// Reap buries orphans until ctx ends: PID 1 inherits every process whose parent died. It looks before it takes
// (WNOWAIT), so the status of a program that Do started stays for Do. Programs started otherwise than through this
// Real would lose theirs. It returns ctx's error, or why it had to stop.
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

// reapAll takes every dead child up to the first that is owned. That one hides those behind it, but its owner is
// waiting for it already and kicks when it has it.
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

// deadChild returns a child that has ended and was not waited for, and leaves it so; 0 when there is none.
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

// siginfoPID reads si_pid: siginfo_t's union begins after three ints, aligned to a pointer.
func siginfoPID(info *unix.Siginfo) int32 {
	const ints = 3 * unsafe.Sizeof(int32(0))
	const word = unsafe.Sizeof(uintptr(0))
	return *(*int32)(unsafe.Add(unsafe.Pointer(info), (ints+word-1)/word*word))
}
