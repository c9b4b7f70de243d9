package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalWidth is how many columns a terminal has, 0 where it does not tell; ok is false for what is no terminal.
func TerminalWidth(f *os.File) (columns int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	// Not by f.Fd: that makes writes with a deadline impossible.
	if err := c.Control(func(fd uintptr) {
		if w, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			columns, ok = int(w.Col), true
		}
	}); err != nil {
		return 0, false
	}
	return columns, ok
}
