package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenConsole opens a terminal for writing. It does not wait for a modem's carrier, and the terminal does not become the
// controlling terminal. The file supports write deadlines.
func OpenConsole(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
}
