package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func sh(script string) Exec { return Exec{Argv: []string{"sh", "-c", script}} }

func TestExecCapturesAndStreams(t *testing.T) {
	var lines []string
	r := &Real{Lines: func(s string) { lines = append(lines, s) }}
	out, err := r.Do(t.Context(), sh("cat; echo in; echo out; printf end"))
	if err != nil || string(out.Stdout) != "in\nout\nend" || out.Code != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if !slices.Equal(lines, []string{"in", "out", "end"}) {
		t.Errorf("lines %q", lines)
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("LEAK", "1")
	out, err := new(Real).Do(t.Context(), Exec{Argv: []string{"env"}})
	if want := strings.Join(DefaultEnv(), "\n") + "\n"; err != nil || string(out.Stdout) != want {
		t.Errorf("%q, %v", out.Stdout, err)
	}
	out, err = new(Real).Do(t.Context(), Exec{Argv: []string{"/usr/bin/env"}, Env: []string{"A=b"}})
	if err != nil || string(out.Stdout) != "A=b\n" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

// TestExecOK checks that OK lists all exit codes that mean success: only 0 if it is empty; otherwise 0 only if it is listed. The
// death by a signal is never a success, although its code is 128 and more, as in a shell.
func TestExecOK(t *testing.T) {
	for _, tt := range []struct {
		script string
		ok     []int
		code   int
		fails  bool
	}{
		{"exit 0", nil, 0, false},
		{"exit 1", nil, 1, true},
		{"exit 0", []int{0, 1}, 0, false},
		{"exit 1", []int{0, 1}, 1, false},
		{"exit 2", []int{0, 1}, 2, true},
		{"exit 0", []int{1}, 0, true},
		{"exit 137", []int{137}, 137, false},
		{"kill -KILL $$", []int{137}, 137, true},
	} {
		e := sh("echo said; " + tt.script)
		e.OK = tt.ok
		out, err := new(Real).Do(t.Context(), e)
		if (err != nil) != tt.fails || out.Code != tt.code || string(out.Stdout) != "said\n" {
			t.Errorf("%s with %v as success: code %d, %q, %v", tt.script, tt.ok, out.Code, out.Stdout, err)
		}
		var failure *ExecError
		if err != nil && (!errors.As(err, &failure) || failure.Code != tt.code) {
			t.Errorf("%s with %v as success: %#v", tt.script, tt.ok, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := sh("kill -STOP $$") // until it is killed
	e.OK = []int{0, 137}
	r := &Real{Lines: func(string) { cancel() }}
	e.Argv[2] = "echo x; " + e.Argv[2]
	if _, err := r.Do(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestExecFailures(t *testing.T) {
	out, err := new(Real).Do(t.Context(), sh("echo one >&2; echo two >&2; exit 7"))
	var failure *ExecError
	if !errors.As(err, &failure) || failure.Code != 7 || out.Code != 7 || string(failure.Stderr) != "one\ntwo\n" {
		t.Errorf("%+v, %v", out, err)
	}
	wantError(t, err, "sh: exit code 7: one; two")
	out, err = new(Real).Do(t.Context(), sh("kill -TERM $$"))
	if !errors.As(err, &failure) || out.Code != 128+15 || failure.Signal != "terminated" {
		t.Errorf("%+v, %v", out, err)
	}
	// a program that reports its error on standard output
	_, err = new(Real).Do(t.Context(), sh("echo complaint; exit 1"))
	wantError(t, err, "complaint")
	_, err = new(Real).Do(t.Context(), Exec{Argv: []string{"no-such-program"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	wantError(t, err, "no-such-program", "/usr/bin")
	wantError(t, do(t, Exec{}), "no program")
	script := filepath.Join(t.TempDir(), "s")
	must(t, os.WriteFile(script, []byte("#!/no/interpreter\n"), 0o755))
	wantError(t, do(t, Exec{Argv: []string{script}}), script)
}

func TestExecCancelKillsTheWholeGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pids := make(chan string, 2)
	r := &Real{Lines: func(s string) { pids <- s; cancel() }}
	out, err := r.Do(ctx, sh("sleep 1000 & echo $!; sleep 1000"))
	if !errors.Is(err, context.Canceled) || out.Code != 128+9 {
		t.Errorf("%+v, %v", out, err)
	}
	pid, err := strconv.Atoi(<-pids)
	must(t, err)
	gone := func() (bool, error) {
		// it is a grandchild, and so a zombie until its new parent reaps it
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(text), ") Z"), nil
	}
	if err := WaitUntil(t.Context(), busyGrace, nil, gone); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		t.Errorf("process %d lives: %v", pid, err)
	}
}

func TestExecDoesNotWaitForADaemonsPipe(t *testing.T) {
	t.Parallel() // waits
	out, err := new(Real).Do(t.Context(), sh("sleep 20 & echo $!"))
	if err != nil {
		t.Error(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out.Stdout)))
	must(t, err)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the daemon did not live on, or its end was awaited: %v", err)
	}
}

func TestExecBoundsOutput(t *testing.T) {
	out, err := new(Real).Do(t.Context(), sh("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"))
	if err != nil || len(out.Stdout) != keepOutput || !strings.HasSuffix(string(out.Stdout), "x\nend\n") {
		t.Errorf("%d bytes, %v", len(out.Stdout), err)
	}
}

func TestExecInAChroot(t *testing.T) {
	needRoot(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("SKIPPED: needs a static busybox")
	}
	binary, err := os.ReadFile(busybox)
	must(t, err)
	root := inRoot(t, [2]string{"opt/sh", string(binary)}, [2]string{"usr/bin/sh", "->/opt/sh"}, [2]string{"bin", "->usr/bin"}, [2]string{"sub/", ""})
	out, err := new(Real).Do(t.Context(), Exec{Argv: []string{"sh", "-c", "pwd; echo /*"}, Root: root})
	if err != nil || string(out.Stdout) != "/\n/bin /opt /sub /usr\n" {
		if errors.Is(err, fs.ErrNotExist) {
			t.Skipf("SKIPPED: busybox is not static: %v", err)
		}
		t.Errorf("%s%s, %v", out.Stdout, out.Stderr, err)
	}
	wantError(t, do(t, Exec{Argv: []string{"mke2fs"}, Root: root}), "mke2fs", root)
}

// childReaper is a subreaper: it inherits the orphans of its children, as PID 1 does.
func childReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := new(Real)
	if err := reapTheDead(ctx, r); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Reap(ctx) }()
	results := make(chan error)
	const rounds = 60
	for i := range rounds {
		go func() {
			// each leaves two orphans, one that ends before its parent's status is read and one later
			out, err := r.Do(ctx, sh("(true &) ; (sleep 0.1 </dev/null >/dev/null 2>&1 &) ; exit "+strconv.Itoa(i)))
			if out.Code != i || (err == nil) != (i == 0) {
				results <- errors.Join(errors.New("status "+strconv.Itoa(out.Code)+", want "+strconv.Itoa(i)), err)
				return
			}
			results <- nil
		}()
	}
	for range rounds {
		if err := <-results; err != nil {
			return err
		}
	}
	childless := func() (bool, error) {
		tasks, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil || len(tasks) == 0 {
			return false, errors.Join(err, errors.New("no list of children"))
		}
		for _, task := range tasks {
			if text, err := os.ReadFile(task); err == nil && len(strings.Fields(string(text))) > 0 {
				return false, nil
			}
		}
		return true, nil
	}
	if err := WaitUntil(ctx, partitionGrace, nil, childless); err != nil {
		return errors.Join(errors.New("children are left"), err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return errors.Join(errors.New("reaper ended otherwise"), err)
	}
	return nil
}

// reapTheDead lets the reaper find a zombie whose owner has not waited for it yet, and then one without an owner.
func reapTheDead(ctx context.Context, r *Real) error {
	dead := func() (bool, error) { pid, err := deadChild(); return pid != 0, err }
	own, orphan := exec.Command("/bin/sh", "-c", "exit 7"), exec.Command("/bin/sh", "-c", "exit 8")
	for _, step := range []func() error{
		func() error { return r.start(own) },
		func() error { return WaitUntil(ctx, partitionGrace, nil, dead) },
		r.reapAll,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	var exit *exec.ExitError
	if err := own.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		return errors.Join(errors.New("an owned child's status was taken"), err)
	}
	r.release(own)
	for _, step := range []func() error{
		orphan.Start,
		func() error { return WaitUntil(ctx, partitionGrace, nil, dead) },
		r.reapAll,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := orphan.Wait(); !errors.Is(err, unix.ECHILD) {
		return errors.Join(errors.New("an orphan was not taken"), err)
	}
	return nil
}

func TestReapOrphansOnly(t *testing.T) {
	if out, err := child(t, "reaper").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
