package machine

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// InMountNamespace runs f in a mount namespace of its own. Only f and the programs that it starts see what f mounts. Those mounts
// disappear when f and these programs have ended, however they end. What others unmount meanwhile is unmounted for f too.
//
// The namespace belongs to one thread, so f must not hand work to other goroutines.
func InMountNamespace(f func() error) error {
	done := make(chan error)
	go inMountNamespace(f, done)
	return <-done
}

func inMountNamespace(f func() error, done chan<- error) {
	// Never unlocked after the unshare: the thread ends with this goroutine, and takes the mounts with it.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread cannot end before the process, and /proc/self shows its mounts. Keep it locked here, so that the
		// next goroutine runs on another thread.
		other := make(chan error)
		go inMountNamespace(f, other)
		err := <-other
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
