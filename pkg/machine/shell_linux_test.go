package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns the master of a pseudo-terminal, and the path of its slave.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPTN)
	must(t, err)
	return f, fmt.Sprintf("/dev/pts/%d", n)
}

// TestShellOnEveryConsole checks that leaving the shell on one console ends the shells on all of them, and that a shell on a
// console without a person, which ends at once, does not count.
func TestShellOnEveryConsole(t *testing.T) {
	person, first := terminal(t)
	idle, second := terminal(t)
	dir := t.TempDir()
	gone := filepath.Join(dir, "none")
	for name, text := range map[string]string{"one": "", "two": ""} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	done := make(chan error, 1)
	go func() { done <- new(Real).shells(t.Context(), []string{gone, second, first}, "/bin/sh", 0) }()
	// Both shells run, each with its console as the controlling terminal.
	for f, name := range map[*os.File]string{person: "one", idle: "two"} {
		_, err := fmt.Fprintf(f, "echo $$ >/dev/tty && echo $$ >%s/%s\n", dir, name)
		must(t, err)
	}
	var pids []string
	must(t, WaitUntil(t.Context(), nodeGrace, nil, func() (bool, error) {
		pids = strings.Fields(content(t, filepath.Join(dir, "one")) + " " + content(t, filepath.Join(dir, "two")))
		return len(pids) == 2, nil
	}))
	select {
	case err := <-done:
		t.Fatalf("ended before anyone left: %v", err)
	default:
	}
	_, err := fmt.Fprint(person, "exit 3\n")
	must(t, err)
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(nodeGrace):
		t.Fatal("one shell was left, but Shell has not returned")
	}
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + pid); !os.IsNotExist(err) {
			t.Errorf("shell %s is still running: %v", pid, err)
		}
	}
}

func TestShellOnConsolesWithoutAPerson(t *testing.T) {
	_, quiet := terminal(t)
	r := new(Real)
	wantError(t, r.shells(t.Context(), []string{quiet, "/nonexistent"}, "/bin/true", time.Hour), "ended at once on every console", "/nonexistent")
	wantError(t, r.Shell(t.Context(), []string{quiet}, "/nonexistent/sh"), "/nonexistent/sh on "+quiet)
}
