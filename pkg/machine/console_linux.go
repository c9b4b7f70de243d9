package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenConsole opens a terminal to speak to, without waiting for a modem's carrier and without becoming its session. What
// is written to it may have a deadline.
func OpenConsole(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
}
