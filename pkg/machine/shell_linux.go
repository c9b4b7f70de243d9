package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// minShellTime is the shortest time after which the end of a shell counts as a person leaving it. A serial line without
// hardware reads as end of file, so a shell on it ends at once.
const minShellTime = time.Second

// Shell runs a shell on each console until a person leaves one of them; the others are then killed. Each shell has its own
// session, with the console as controlling terminal. It runs on all consoles because the program cannot know which one the
// person can reach: /dev/console is the last one on the kernel command line, and the serial line may be another one. It is
// used for the policy `shell` after a failed migration.
func (r *Real) Shell(ctx context.Context, consoles []string, program string) error {
	return r.shells(ctx, consoles, program, minShellTime)
}

func (r *Real) shells(ctx context.Context, consoles []string, program string, tooSoon time.Duration) error {
	type ending struct {
		err  error
		left bool // by a person
	}
	ctx, stop := context.WithCancel(ctx)
	ends := make(chan ending, len(consoles))
	for _, c := range consoles {
		go func() {
			began := time.Now()
			err := r.shell(ctx, c, program)
			var exit *exec.ExitError
			lived := err == nil || errors.As(err, &exit) // the exit code is that of the last command
			ends <- ending{err, lived && time.Since(began) >= tooSoon}
		}()
	}
	errs := []error{errors.New("ended at once on every console")}
	rest := len(consoles)
	for rest > 0 {
		e := <-ends
		rest--
		if e.left {
			errs = nil
			break
		}
		errs = append(errs, e.err)
	}
	stop()
	within(pipeGrace, func() {
		for range rest {
			<-ends
		}
	})
	return errors.Join(errs...)
}

func (r *Real) shell(ctx context.Context, console, program string) error {
	f, err := os.OpenFile(console, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("console %s: %w", console, err)
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(DefaultEnv(), "TERM=linux")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	if err := r.start(cmd); err != nil {
		return fmt.Errorf("%s on %s: %w", program, console, err)
	}
	err = cmd.Wait()
	r.release(cmd)
	if err != nil {
		return fmt.Errorf("%s on %s: %w", program, console, err)
	}
	return nil
}
