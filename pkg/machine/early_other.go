//go:build !linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// EarlyMounts returns nil: only on Linux.
func EarlyMounts() []Effect { return nil }

// Uevents fails: only on Linux.
func Uevents(context.Context) (<-chan Uevent, error) {
	return nil, fmt.Errorf("uevents: only on linux: %w", errors.ErrUnsupported)
}

// Lock fails: only on Linux.
func Lock(path string) (release func(), err error) {
	return nil, fmt.Errorf("lock %s: only on linux: %w", path, errors.ErrUnsupported)
}

// OpenConsole fails: only on Linux.
func OpenConsole(path string) (*os.File, error) {
	return nil, fmt.Errorf("console %s: only on linux: %w", path, errors.ErrUnsupported)
}

// TerminalWidth knows no terminal: only on Linux.
func TerminalWidth(*os.File) (columns int, ok bool) { return 0, false }
