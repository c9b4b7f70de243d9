package pid1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// fakeMachine logs what it is asked for; hit may panic or fail.
type fakeMachine struct {
	log  []string
	all  []machine.Effect
	last context.Context // of the last effect
	hit  func(machine.Effect) error
}

func (m *fakeMachine) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	m.last = ctx
	m.log = append(m.log, e.String())
	m.all = append(m.all, e)
	if m.hit != nil {
		return machine.Output{}, m.hit(e)
	}
	return machine.Output{}, nil
}

// rig is a PID 1 on a fake machine, with everything logged.
type rig struct {
	*Init
	root  fstest.MapFS
	m     *fakeMachine
	said  *bytes.Buffer // on a console
	kmsg  *bytes.Buffer
	ended int
}

func newRig(cmdline string) *rig {
	r := &rig{root: fstest.MapFS{}, m: &fakeMachine{}, said: &bytes.Buffer{}, kmsg: &bytes.Buffer{}}
	r.put("/proc/cmdline", cmdline)
	c := &Consoles{Now: time.Now, Progress: progress}
	r.Init = &Init{Root: r.root, Args: []string{"single"}, Env: []string{"HOME=/", "TERM=vt220"}, Machine: r.m, Consoles: c,
		Early:      func() []machine.Effect { return []machine.Effect{machine.Mkdir{Path: "/proc", Mode: 0o555}} },
		Listen:     func() { r.m.log = append(r.m.log, "listen"); c.Add(r.said, nil); c.Log(r.kmsg) },
		Reap:       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		Shell:      func(context.Context) error { r.m.log = append(r.m.log, "shell"); return errors.New("no such console") },
		HoldScreen: func(context.Context) { r.m.log = append(r.m.log, "hold") },
		End:        func() { r.ended++ },
		modes:      modes(),
	}
	return r
}

func (r *rig) put(name, text string) {
	r.root[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
}

func (r *rig) boot(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r.Main(ctx)
	if r.ended != 1 {
		t.Errorf("the process ended %d times", r.ended)
	}
	return r.said.String()
}

// endsIn wants a last effect.
func (r *rig) endsIn(t *testing.T, how string) {
	t.Helper()
	if last := r.m.log[len(r.m.log)-1]; last != (machine.Reboot{How: how}).String() {
		t.Errorf("last effect: %s", last)
	}
}

// says wants texts on the console.
func says(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
}

func TestWithoutPlan(t *testing.T) {
	r := newRig("console=ttyS0")
	says(t, r.boot(t), "migrate-init: FAILED: plan /etc/migrate-init/plan.toml: not in this image, and without one this init has nothing to do",
		"nothing was committed: the next boot is the old system, unchanged; the target has no journal yet", "policy: reboot\r\n")
	if !strings.Contains(r.kmsg.String(), "FAILED: plan") {
		t.Errorf("the kernel log has no reason: %s", r.kmsg)
	}
	reports, err := stage.ReadConsoleReports(bytes.NewReader(r.said.Bytes()))
	if err != nil || len(reports) != 1 || !strings.HasPrefix(reports[0].Error, "plan /etc/migrate-init/plan.toml: not in this image") || reports[0].Cmdline != "console=ttyS0" {
		t.Errorf("the console's report: %+v, %v", reports, err)
	}
	if again, err := stage.ReadConsoleReports(bytes.NewReader(r.kmsg.Bytes())); err != nil || len(again) != 1 {
		t.Errorf("the kernel log's report: %v", err)
	}
	// The reason is the last that a screen shows.
	if s := r.said.String(); strings.Index(s, "FAILED: plan") < strings.Index(s, "END REPORT") {
		t.Error("the reason stands above the block")
	}
	// A panic must be a reset before anything can go wrong, the consoles included.
	want := []string{machine.Mkdir{Path: "/proc", Mode: 0o555}.String(), machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: "30"}.String()}
	if !slices.Equal(r.m.log[:2], want) || slices.Index(r.m.log, "listen") < 2 {
		t.Errorf("first effects: %q", r.m.log)
	}
	r.endsIn(t, "reboot")
	// The reset wipes the screen.
	if n := len(r.m.log); r.m.log[n-2] != "hold" {
		t.Errorf("last effects: %q", r.m.log)
	}
}

// The table of modes selects what runs; an unknown mode lists those that are known.
func TestModes(t *testing.T) {
	for _, c := range []struct {
		name, cmdline, said string
	}{
		{"the first by default", "quiet", "FAILED: first ran"},
		{"by name", "quiet migrate.mode=second", "FAILED: second ran"},
		{"unknown", "migrate.mode=dance", "FAILED: kernel parameter migrate.mode=dance: unknown mode; this image knows: first, second"},
		{"for the init after this one", "-- migrate.mode=second", "FAILED: first ran"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(c.cmdline)
			fails := func(why string) func(context.Context, *Init) error {
				return func(context.Context, *Init) error { return errors.New(why) }
			}
			r.modes = []mode{{"first", fails("first ran")}, {"second", fails("second ran")}}
			says(t, r.boot(t), c.said)
			r.endsIn(t, "reboot")
		})
	}
	if got := modes(); got[0].Name != "migrate" {
		t.Errorf("default mode: %s", got[0].Name)
	}
}

// A mode that fails leaves its outlook and what has to be released.
func TestModeFails(t *testing.T) {
	r := newRig("")
	r.modes = []mode{{"first", func(_ context.Context, p *Init) error {
		p.policy = plan.Policy{OnFailure: "shell"}
		p.job = job{outlook: func() string { return "the next boot is a test" }, release: func(context.Context) { r.m.log = append(r.m.log, "release") }}
		return errors.New("no disk")
	}}}
	says(t, r.boot(t), "FAILED: no disk", "the next boot is a test", "policy: a shell on every console; leaving one reboots", "shell: no such console", "policy: reboot")
	if n := len(r.m.log); !slices.Equal(r.m.log[n-4:n-1], []string{"shell", "release", "hold"}) {
		t.Errorf("last effects: %q", r.m.log)
	}
	r.endsIn(t, "reboot")
	// Whoever had the shell has seen the reason.
	r.ended, r.m.log = 0, nil
	r.Shell = func(context.Context) error { return nil }
	if r.boot(t); slices.Contains(r.m.log, "hold") {
		t.Errorf("effects: %q", r.m.log)
	}
}

func TestPanics(t *testing.T) {
	t.Run("in a mode", func(t *testing.T) {
		r := newRig("")
		var noted string
		r.modes = []mode{{"first", func(_ context.Context, p *Init) error {
			p.policy.OnFailure = "poweroff"
			p.job.journal = func(_ context.Context, text string) error { noted = text; return errors.New("journal: no space") }
			panic("index out of range")
		}}}
		says(t, r.boot(t), "panic: index out of range", "pid1_test.go", "journal: no space", "FAILED: panic: index out of range", "policy: poweroff")
		r.endsIn(t, "poweroff")
		if noted != "panic: index out of range" {
			t.Errorf("journal: %q", noted)
		}
	})
	t.Run("in the reaper", func(t *testing.T) {
		r := newRig("")
		gone := make(chan struct{})
		r.Reap = func(context.Context) error { defer close(gone); panic("reap") }
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.Reboot); ok {
				<-gone
			}
			return nil
		}
		r.boot(t)
	})
	t.Run("before the consoles", func(t *testing.T) {
		r := newRig("")
		r.Early = func() []machine.Effect { panic("early") }
		r.boot(t)
		r.endsIn(t, "reboot")
	})
	t.Run("while it releases", func(t *testing.T) {
		r := newRig("")
		r.modes = []mode{{"first", func(_ context.Context, p *Init) error {
			p.job.release = func(context.Context) { panic("nil map") }
			return errors.New("no disk")
		}}}
		says(t, r.boot(t), "cleanup: panic: nil map")
		r.endsIn(t, "reboot")
	})
	t.Run("in the policy", func(t *testing.T) {
		r := newRig("")
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.Reboot); ok {
				panic("even that")
			}
			return nil
		}
		says(t, r.boot(t), "panic: even that")
	})
}

// What fails early is reported once there is a console, and stops nothing.
func TestEarlyFailures(t *testing.T) {
	r := newRig("")
	r.m.hit = func(e machine.Effect) error {
		if _, ok := e.(machine.Reboot); ok {
			return nil
		}
		return fmt.Errorf("%s: no", e)
	}
	said := r.boot(t)
	if strings.Count(said, "early: ") != 4 || !strings.Contains(said, "policy: reboot") {
		t.Errorf("said:\n%s", said)
	}
}

// Without a console and the kernel log everything happens all the same.
func TestWithoutConsoles(t *testing.T) {
	r := newRig("")
	r.Listen = func() {}
	r.boot(t)
	r.endsIn(t, "reboot")
}

func TestHandsOver(t *testing.T) {
	for _, c := range []struct{ cmdline, init string }{
		{"quiet init=/lib/systemd/systemd -- single", "/lib/systemd/systemd"},
		{"quiet", "/sbin/init"},
		{"init=relative", "/sbin/init"},
	} {
		r := newRig("")
		r.cmdline = boot.ParseCmdline(c.cmdline)
		if _, err := (pid1Machine{r.Init}).Do(t.Context(), machine.SwitchRoot{NewRoot: "/mnt/target", Init: "/sbin/init"}); err != nil {
			t.Fatal(err)
		}
		s, ok := r.m.all[0].(machine.SwitchRoot)
		if !ok || s.Init != c.init || !slices.Equal(s.Args, []string{"single"}) || !slices.Equal(s.Env, []string{"HOME=/", "TERM=vt220"}) || s.NewRoot != "/mnt/target" {
			t.Errorf("%q: %+v", c.cmdline, r.m.all[0])
		}
	}
}

// A hook of the migrated system that waits forever ends in the policy, hours later; what makes and checks filesystems may
// take as long as it takes.
func TestBoundsForeignPrograms(t *testing.T) {
	r := newRig("")
	for _, e := range []machine.Exec{{Argv: []string{"update-initramfs"}, Root: "/mnt/target"}, {Argv: []string{"e2fsck"}}} {
		if _, err := (pid1Machine{r.Init}).Do(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if end, bound := r.m.last.Deadline(); bound != (e.Root != "") || bound && time.Until(end) > hookTime {
			t.Errorf("%s: bounded %v, to %s", e, bound, time.Until(end))
		}
	}
}
