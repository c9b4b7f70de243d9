package machine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestConsoleThatTakesNothing checks that a write to a terminal whose other end reads nothing, as after XOFF, ends at its
// deadline.
func TestConsoleThatTakesNothing(t *testing.T) {
	_, name := terminal(t)
	f, err := OpenConsole(name)
	must(t, err)
	defer f.Close()
	must(t, f.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	n, err := f.Write(bytes.Repeat([]byte("x"), 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n >= 1<<20 {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	// A fifo simulates a line without carrier: without O_NONBLOCK, opening it waits for the other end.
	fifo := filepath.Join(t.TempDir(), "line")
	must(t, unix.Mkfifo(fifo, 0o600))
	if f, err := OpenConsole(fifo); err == nil {
		_ = f.Close()
		t.Error("a line without carrier was opened")
	}
}
