package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock locks the file path, which it creates if necessary, until release is called or the process ends. It does not wait: if
// another process has the lock, the error names that process. The kernel keeps the lock, so it cannot outlive its owner.
func Lock(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	// The process id in the file is only for the error message.
	const digits = 20
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, digits))
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: held by process %s: %w", path, orElse(strings.TrimSpace(string(owner)), "(unknown)"), err)
		}
		return nil, pathError("lock", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeOwner(f)); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func writeOwner(f *os.File) error {
	_, err := fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}
