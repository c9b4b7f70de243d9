package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalWidth returns the number of columns of a terminal, 0 if unknown. ok is false if f is not a terminal.
func TerminalWidth(f *os.File) (columns int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	// Do not use f.Fd, which would disable write deadlines.
	if err := c.Control(func(fd uintptr) {
		if w, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			columns, ok = int(w.Col), true
		}
	}); err != nil {
		return 0, false
	}
	return columns, ok
}
