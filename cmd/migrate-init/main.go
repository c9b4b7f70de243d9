// Command migrate-init moves the root of an installed Linux onto md RAID, offline, from an initramfs.
//
// It is three things in one file: the operator's tool on the running system, the init of the migration (PID 1 in an
// image that holds a plan), and, later, an init that boots or rescues.
//
// The tool's voice: it speaks to an administrator. Results go to stdout, what is said on the way and every error to
// stderr. An error names its subject first, then the detail, then the fix. Exit codes: 0 done, 1 refused or failed,
// 2 usage error, 3 copied, except for what could not be read.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/pid1"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// version is set by the linker.
var version = "dev" //nolint:gochecknoglobals // the linker writes it

func main() {
	moreProcessors()
	if isInit(os.Getpid(), os.Args[0]) {
		bootInit()
	}
	os.Exit(command(thisMachine()))
}

// moreProcessors gives Go two processors for each of the machine's: its system calls wait for disks, and what could go on
// meanwhile does not have to wait for the scheduler to notice. A twentieth to a tenth of the time of a copy.
func moreProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.NumCPU())
	}
}

// isInit tells the init of an image from a command that is the first process of a container: the kernel starts /init.
func isInit(pid int, name string) bool { return pid == 1 && name == pid1.Self }

// bootInit is PID 1 of an image. It does not return.
func bootInit() {
	a := thisMachine()
	a.asPID1(pid1.New(&pid1.Consoles{Now: a.now, Progress: progressLine})).Main(context.Background())
}

// asPID1 fills in what PID 1 takes from the tool.
func (a *app) asPID1(p *pid1.Init) *pid1.Init {
	p.Version, p.Root = version, a.world().Root
	p.Stages = func(pl *plan.Plan, text []byte, m machine.Machine, tell func(stage.Event)) *stage.Env {
		e := a.env(pl, text, m, tell)
		e.KernelLog = a.watchKernel(func(err error) { tell(stage.Event{Stage: "init", Text: err.Error()}) })
		return e
	}
	return p
}

// command runs one call of the tool and gives its exit code. An interrupt ends the work at a safe place.
func command(a *app) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return a.run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
