package machine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"migrate-init/pkg/machine"
)

// pty opens a pseudo terminal: what is typed, and the path of the terminal.
func pty(t *testing.T) (*os.File, string) {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { m.Close() })
	if err := unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return m, fmt.Sprintf("/dev/pts/%d", n)
}

func TestReadSecret(t *testing.T) {
	a, pathA := pty(t)
	b, pathB := pty(t)
	_ = a
	_, _ = b.WriteString("typed before the question\n")
	answer := func() {
		if st, err := unix.IoctlGetTermios(int(b.Fd()), unix.TCGETS); err != nil || st.Lflag&unix.ECHO != 0 {
			t.Errorf("the question is asked while the terminal echoes: %v", err)
		}
		_, _ = b.WriteString("\n\nopen se")
		_, _ = b.WriteString("same\n")
	}
	quiet := func() {}
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	got, err := machine.ReadSecret(ctx, []string{pathA, "/dev/null", "/nowhere", pathB}, answer)
	if err != nil || string(got) != "open sesame" {
		t.Errorf("%q, %v", got, err)
	}
	if st, err := unix.IoctlGetTermios(int(b.Fd()), unix.TCGETS); err != nil || st.Lflag&unix.ECHO == 0 {
		t.Errorf("the echo is still off: %v", err)
	}
	short, cut := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cut()
	if _, err := machine.ReadSecret(short, []string{pathA}, quiet); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no one types: %v", err)
	}
	if _, err := machine.ReadSecret(t.Context(), []string{"/dev/null"}, quiet); err == nil {
		t.Error("no terminal is read")
	}
}
