// Package testns is for tests that mount.
package testns

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const inside = "MIGRATE_INIT_TEST_INSIDE"

// Run is a TestMain that runs the tests again in a mount namespace of their own, and ends the process with their exit
// code. A mount that is seen by all is copied into every namespace that anybody makes meanwhile, and stays there: the
// next mount would be busy, or would not come from the disk. Without root the tests run where they are.
func Run(m *testing.M) {
	worker := func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzzworker") } // it has inherited descriptors
	if os.Geteuid() != 0 || os.Getenv(inside) != "" || slices.ContainsFunc(os.Args, worker) {
		os.Exit(m.Run())
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inside+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the child dies with the thread that made it
	if err := c.Start(); err != nil {
		os.Exit(m.Run())
	}
	_ = c.Wait()
	os.Exit(c.ProcessState.ExitCode())
}
