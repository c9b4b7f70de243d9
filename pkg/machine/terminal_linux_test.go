package machine

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminalWidth(t *testing.T) {
	master, name := terminal(t)
	f, err := OpenConsole(name)
	must(t, err)
	defer f.Close()
	if n, ok := TerminalWidth(f); n != 0 || !ok {
		t.Errorf("unknown width: %d %v", n, ok)
	}
	for _, want := range []int{132, 40} {
		must(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(want)}))
		if n, ok := TerminalWidth(f); n != want || !ok {
			t.Errorf("%d %v, want %d", n, ok, want)
		}
	}
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	must(t, err)
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	for _, f := range []*os.File{null, file} {
		if n, ok := TerminalWidth(f); ok {
			t.Errorf("%s is a terminal of %d columns", f.Name(), n)
		}
		must(t, f.Close())
		if _, ok := TerminalWidth(f); ok {
			t.Errorf("%s, closed, is a terminal", f.Name())
		}
	}
}
