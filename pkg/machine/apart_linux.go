package machine

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart runs f with mounts of its own: what f mounts is seen by f and by the programs that it starts, by nothing else, and
// is gone when f and they have ended, however they end. What others unmount meanwhile is unmounted for f too.
//
// The mounts belong to one thread: f must do its work itself and not hand it to another goroutine.
func Apart(f func() error) error {
	done := make(chan error)
	go apart(f, done)
	return <-done
}

func apart(f func() error, done chan<- error) {
	// Never unlocked after the unshare: the thread ends with this goroutine, and takes the mounts with it.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread cannot end before the process, and its mounts are what /proc/self shows. It is held here, so that the
		// next goroutine runs on another one.
		again := make(chan error)
		go apart(f, again)
		err := <-again
		runtime.UnlockOSThread()
		done <- err
		return
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		done <- fmt.Errorf("mount namespace: %w", err)
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		done <- fmt.Errorf("mount namespace: %w", err)
		return
	}
	done <- f()
}
