package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Shell runs a shell on a console, as its own session with that console as controlling terminal, until it ends. It is
// the policy `shell` of a failed migration: the one program that a person, not a stage, drives.
func (r *Real) Shell(ctx context.Context, console, program string) error {
	f, err := os.OpenFile(console, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("console %s: %w", console, err)
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(DefaultEnv(), "TERM=linux")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
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
