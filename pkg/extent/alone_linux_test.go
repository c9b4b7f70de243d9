package extent

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	if code, ok := alone(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// alone runs the tests again in a mount namespace of their own. A mount that is
// seen by all is copied into every namespace that anybody makes meanwhile, and
// stays there: the next mount would be busy, or would not come from the disk.
func alone() (code int, ran bool) {
	const inside = "MIGRATE_INIT_EXTENT_TEST_INSIDE"
	worker := func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzzworker") } // it has inherited descriptors
	if os.Geteuid() != 0 || os.Getenv(inside) != "" || slices.ContainsFunc(os.Args, worker) {
		return 0, false
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inside+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the child dies with the thread that made it
	if err := c.Start(); err != nil {
		return 0, false
	}
	_ = c.Wait()
	return c.ProcessState.ExitCode(), true
}
