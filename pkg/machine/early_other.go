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

// KernelLog is available only on Linux.
type KernelLog struct{}

// OpenKernelLog fails: only on Linux.
func OpenKernelLog() (*KernelLog, error) {
	return nil, fmt.Errorf("kernel log: only on linux: %w", errors.ErrUnsupported)
}

// Lines returns nothing: only on Linux.
func (*KernelLog) Lines(func(string) bool) ([]string, bool, error) { return nil, false, nil }

// Close does nothing: only on Linux.
func (*KernelLog) Close() error { return nil }

// Lock fails: only on Linux.
func Lock(path string) (release func(), err error) {
	return nil, fmt.Errorf("lock %s: only on linux: %w", path, errors.ErrUnsupported)
}

// OpenConsole fails: only on Linux.
func OpenConsole(path string) (*os.File, error) {
	return nil, fmt.Errorf("console %s: only on linux: %w", path, errors.ErrUnsupported)
}

// TerminalWidth reports that f is not a terminal: only on Linux.
func TerminalWidth(*os.File) (columns int, ok bool) { return 0, false }
