package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childRole in the environment makes the test binary play another role: what PID 1 does cannot be tested in the process of the
// test itself.
const childRole = "MACHINE_TEST_CHILD"

func TestMain(m *testing.M) {
	roles := map[string]func() error{
		"reaper":     childReaper,
		"switchroot": childSwitchRoot,
		"init":       childInit,
		"reboot":     childReboot,
	}
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := roles[role](); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(env, childRole+"="+role, "PATH="+defaultPath)
	return cmd
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root")
	}
}

// loopDevice attaches a sparse file to a loop device until the test ends.
func loopDevice(t *testing.T, size int64) (dev, file string) {
	t.Helper()
	needRoot(t)
	if _, err := exec.LookPath("losetup"); err != nil {
		t.Skip("SKIPPED: needs losetup")
	}
	file = filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, size))
	out, err := exec.Command("losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: losetup: %v: %s", err, out)
	}
	dev = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		// a loop device keeps its partitions when it is detached
		if _, err := new(Real).Do(context.Background(), Partitions{Dev: dev}); err != nil {
			t.Error(err)
		}
		if f, err := os.Open(dev); err == nil {
			_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.BLKROSET, 0)
			_ = f.Close()
		}
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", dev, err, out)
		}
	})
	return dev, file
}

func do(t *testing.T, e Effect) error {
	t.Helper()
	_, err := new(Real).Do(t.Context(), e)
	return err
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not have %q", err, w)
		}
	}
}
