package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeGrace is how long the descendants of a program may keep its output open after the program has ended.
const pipeGrace = 3 * time.Second

func (r *Real) exec(ctx context.Context, e Exec) (Output, error) {
	if len(e.Argv) == 0 {
		return Output{}, errors.New("exec: no program given")
	}
	env := e.Env
	if len(env) == 0 {
		env = DefaultEnv()
	}
	path, err := lookPath(e.Root, e.Argv[0], env)
	if err != nil {
		return Output{}, fmt.Errorf("exec %s: %w", e.Argv[0], err)
	}
	cmd := exec.CommandContext(ctx, path)
	cmd.Path, cmd.Args, cmd.Env = path, e.Argv, env
	cmd.Err = nil // set if CommandContext did not find a relative path; the kernel decides instead
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: e.Root}
	if e.Root != "" {
		cmd.Dir = "/"
	}
	// Use a pipe instead of /dev/null, which may not exist yet when PID 1 starts.
	cmd.Stdin = bytes.NewReader(e.Stdin)
	stdout, stderr := tail{keep: e.Keep}, tail{}
	flush := r.capture(cmd, &stdout, &stderr)
	cmd.WaitDelay = pipeGrace
	cmd.Cancel = func() error {
		if err := unix.Kill(-cmd.Process.Pid, unix.SIGKILL); err != nil {
			return os.ErrProcessDone
		}
		return nil
	}
	if err := r.start(cmd); err != nil {
		return Output{}, fmt.Errorf("exec %s: %w", e.Argv[0], err)
	}
	err = cmd.Wait()
	r.release(cmd)
	flush()
	out := Output{Stdout: stdout.bytes(), Stderr: stderr.bytes(), Code: cmd.ProcessState.ExitCode()}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		out.Code = 128 + int(status.Signal())
	}
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil // a daemon that the program started keeps the pipes open; the program itself succeeded
	}
	if err == nil && out.Code == 0 && len(e.OK) == 0 {
		return out, nil
	}
	var exit *exec.ExitError
	if (err == nil || errors.As(err, &exit)) && !status.Signaled() && ctx.Err() == nil && slices.Contains(e.OK, out.Code) {
		return out, nil
	}
	return out, execError(ctx, e.Argv, out, status, err)
}

func execError(ctx context.Context, argv []string, out Output, status syscall.WaitStatus, err error) error {
	failure := &ExecError{Argv: argv, Code: out.Code, Stderr: out.Stderr, Err: ctx.Err()}
	if status.Signaled() {
		failure.Signal = status.Signal().String()
	}
	if len(bytes.TrimSpace(failure.Stderr)) == 0 {
		failure.Stderr = out.Stdout
	}
	var exit *exec.ExitError
	if failure.Err == nil && !errors.As(err, &exit) {
		failure.Err = err
	}
	return failure
}

// capture connects the output of the program. The returned function passes on a last line that has no newline.
func (r *Real) capture(cmd *exec.Cmd, stdout, stderr io.Writer) (flush func()) {
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if r.Lines == nil {
		return func() {}
	}
	var mu sync.Mutex
	a, b := &lineWriter{mu: &mu, f: r.Lines}, &lineWriter{mu: &mu, f: r.Lines}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(stdout, a), io.MultiWriter(stderr, b)
	return func() { a.flush(); b.flush() }
}

// start starts a child and registers it before Reap can see it.
func (r *Real) start(cmd *exec.Cmd) error {
	r.starting.RLock()
	defer r.starting.RUnlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.own.Store(cmd.Process.Pid, cmd)
	return nil
}

func (r *Real) release(cmd *exec.Cmd) {
	r.own.CompareAndDelete(cmd.Process.Pid, cmd)
	r.starting.RLock()
	kick := r.kick
	r.starting.RUnlock()
	select {
	case kick <- struct{}{}:
	default:
	}
}
