package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// did is a machine that notes what it is asked for; hit may panic or fail.
type did struct {
	log  []string
	all  []machine.Effect
	last context.Context // of the last effect
	hit  func(machine.Effect) error
}

func (m *did) Do(ctx context.Context, e machine.Effect) (machine.Output, error) {
	m.last = ctx
	m.log = append(m.log, e.String())
	m.all = append(m.all, e)
	if m.hit != nil {
		return machine.Output{}, m.hit(e)
	}
	return machine.Output{}, nil
}

// rig is an init on the made-up machine, with everything noted.
type rig struct {
	*initd
	dir   string // of the made-up machine
	m     *did
	said  *bytes.Buffer // by a console
	kmsg  *bytes.Buffer
	ended int
}

// planFor makes a plan on the made-up machine in dir.
func planFor(t *testing.T, dir string, policy plan.Policy) (*plan.Plan, []byte) {
	t.Helper()
	a := madeUp(dir)
	f, err := a.look(t.Context(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	p, found, err := plan.New(plan.Intent{To: "raid1", Disks: []string{"/dev/vdb"}, Policy: policy, Now: time.Unix(1700000000, 0), Rand: a.rand}, f)
	if err != nil {
		t.Fatal(err, found)
	}
	text, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p, text
}

func newRig(t *testing.T, cmdline string, policy plan.Policy, withPlan bool) (*rig, *plan.Plan) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "world")
	if err := buildWorld(dir); err != nil {
		t.Fatal(err)
	}
	p, text := planFor(t, dir, policy)
	root := filepath.Join(dir, "root")
	if withPlan {
		if err := put(root, imagePlan, string(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(root, "proc/cmdline", strings.ReplaceAll(cmdline, "PLAN", p.ID), 0o644); err != nil {
		t.Fatal(err)
	}
	a := madeUp(dir)
	a.wait = func(_ context.Context, _ time.Duration, cond func() (bool, error)) error {
		if ok, err := cond(); ok || err != nil {
			return err
		}
		return &machine.TimeoutError{After: time.Second}
	}
	r := &rig{dir: dir, m: &did{}, said: &bytes.Buffer{}, kmsg: &bytes.Buffer{}}
	v := &voice{now: a.now}
	r.initd = &initd{app: a, m: r.m, v: v, args: []string{"single"}, env: []string{"HOME=/", "TERM=vt220"},
		early:  func() []machine.Effect { return []machine.Effect{machine.Mkdir{Path: "/proc", Mode: 0o555}} },
		reap:   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		listen: func() { r.m.log = append(r.m.log, "listen"); v.hear(r.said, nil); v.kmsg = r.kmsg },
		shell:  func(context.Context) error { r.m.log = append(r.m.log, "shell"); return errors.New("no such console") },
		linger: func(context.Context) { r.m.log = append(r.m.log, "linger") },
		end:    func() { r.ended++ }}
	return r, p
}

func (r *rig) boot(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r.main(ctx)
	if r.ended != 1 {
		t.Errorf("the process ended %d times", r.ended)
	}
	return r.said.String()
}

func (r *rig) last() string { return r.m.log[len(r.m.log)-1] }

func TestInitWithoutPlan(t *testing.T) {
	r, _ := newRig(t, "console=ttyS0", plan.Policy{}, false)
	said := r.boot(t)
	for _, want := range []string{"migrate-init: FAILED: plan /etc/migrate-init/plan.toml: not in this image, and without one this init has nothing to do", "nothing was committed: the next boot is the old system, unchanged; the target has no journal yet", "policy: reboot\r\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
	if !strings.Contains(r.kmsg.String(), "FAILED: plan") {
		t.Errorf("the kernel's log has no reason: %s", r.kmsg)
	}
	// A panic must be a reset before anything can go wrong, the consoles included.
	want := []string{machine.Mkdir{Path: "/proc", Mode: 0o555}.String(), machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: "30"}.String()}
	if !slices.Equal(r.m.log[:2], want) || slices.Index(r.m.log, "listen") < 2 {
		t.Errorf("first effects: %q", r.m.log)
	}
	if r.last() != (machine.Reboot{How: "reboot"}).String() {
		t.Errorf("last effect: %s", r.last())
	}
	// On a screen the reason would be gone with the reset.
	if n := len(r.m.log); r.m.log[n-2] != "linger" {
		t.Errorf("last effects: %q", r.m.log)
	}
}

func TestInitRefuses(t *testing.T) {
	for _, c := range []struct {
		name, cmdline, said string
	}{
		{"another plan", "migrate.mode=migrate migrate.plan=00000000-0000-4000-8000-000000000000", "the kernel command line wants plan 00000000-0000-4000-8000-000000000000; this image was built for another"},
		{"another mode", "migrate.mode=dance migrate.plan=PLAN", "kernel parameter migrate.mode=dance: not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRig(t, c.cmdline, plan.Policy{OnFailure: "poweroff"}, true)
			if said := r.boot(t); !strings.Contains(said, "FAILED: ") || !strings.Contains(said, c.said) {
				t.Errorf("said:\n%s", said)
			}
			if r.last() != (machine.Reboot{How: "poweroff"}).String() {
				t.Errorf("last effect: %s", r.last())
			}
		})
	}
}

// The plan's own panic time takes the place of the first one, and a stage that fails ends in the policy.
func TestInitStageFails(t *testing.T) {
	r, _ := newRig(t, "migrate.plan=PLAN", plan.Policy{OnFailure: "shell", Panic: 77}, true)
	if err := os.WriteFile(filepath.Join(r.dir, "root", busOf(0), "block/vda/serial"), []byte("OTHER\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	said := r.boot(t)
	for _, want := range []string{"FAILED: stage reveal: waiting for the planned disks", "policy: a shell on every console; leaving one reboots", "shell: no such console", "policy: reboot"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
	if !slices.Contains(r.m.log, machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: "77"}.String()) {
		t.Errorf("effects: %q", r.m.log)
	}
	if at := slices.Index(r.m.log, "shell"); at < 0 || !slices.Contains(r.m.log[at:], "linger") || r.last() != (machine.Reboot{How: "reboot"}).String() {
		t.Errorf("effects: %q", r.m.log)
	}
	// Who had the shell has seen the reason.
	r, _ = newRig(t, "migrate.plan=other", plan.Policy{OnFailure: "shell"}, true)
	r.shell = func(context.Context) error { return nil }
	if r.boot(t); slices.Contains(r.m.log, "linger") {
		t.Errorf("effects: %q", r.m.log)
	}
}

func TestInitPanics(t *testing.T) {
	t.Run("in a stage", func(t *testing.T) {
		r, _ := newRig(t, "migrate.plan=PLAN", plan.Policy{OnFailure: "poweroff"}, true)
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.SetReadOnly); ok {
				panic("index out of range")
			}
			return nil
		}
		said := r.boot(t)
		for _, want := range []string{"panic: index out of range", "init_test.go", "FAILED: panic: index out of range", "policy: poweroff"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q was not said:\n%s", want, said)
			}
		}
		if r.last() != (machine.Reboot{How: "poweroff"}).String() {
			t.Errorf("last effect: %s", r.last())
		}
	})
	t.Run("in the reaper", func(t *testing.T) {
		r, _ := newRig(t, "", plan.Policy{}, false)
		gone := make(chan struct{})
		r.reap = func(context.Context) error { defer close(gone); panic("reap") }
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.Reboot); ok {
				<-gone
			}
			return nil
		}
		r.boot(t)
	})
	t.Run("before the consoles", func(t *testing.T) {
		r, _ := newRig(t, "", plan.Policy{}, true)
		r.early = func() []machine.Effect { panic("early") }
		r.boot(t)
		if r.last() != (machine.Reboot{How: "reboot"}).String() {
			t.Errorf("last effect: %s", r.last())
		}
	})
	t.Run("while it lets go", func(t *testing.T) {
		r, _ := newRig(t, "migrate.plan=PLAN", plan.Policy{OnFailure: "poweroff"}, true)
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.SetReadOnly); !ok {
				return nil
			}
			r.world = func() survey.World { panic("nil map") } // what is let go is looked for
			return errors.New("no such device")
		}
		if said := r.boot(t); !strings.Contains(said, "abandon: panic: nil map") || r.last() != (machine.Reboot{How: "poweroff"}).String() {
			t.Errorf("last effect: %s, said:\n%s", r.last(), said)
		}
	})
	t.Run("in the policy", func(t *testing.T) {
		r, _ := newRig(t, "", plan.Policy{}, false)
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.Reboot); ok {
				panic("even that")
			}
			return nil
		}
		if said := r.boot(t); !strings.Contains(said, "panic: even that") {
			t.Errorf("said:\n%s", said)
		}
	})
}

// What fails early is told once there is somebody to tell, and stops nothing.
func TestInitEarlyFailures(t *testing.T) {
	r, _ := newRig(t, "", plan.Policy{}, false)
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

// Neither a console nor the kernel's log: nobody hears it, and it happens all the same.
func TestInitUnheard(t *testing.T) {
	r, _ := newRig(t, "", plan.Policy{}, false)
	r.listen = func() {}
	r.boot(t)
	if r.last() != (machine.Reboot{How: "reboot"}).String() {
		t.Errorf("last effect: %s", r.last())
	}
}

func TestIsInit(t *testing.T) {
	if !isInit(1, "/init") || isInit(1, "/usr/sbin/migrate-init") || isInit(2, "/init") {
		t.Error("an init is what the kernel started as /init, and nothing else")
	}
}

func TestInitHandsOver(t *testing.T) {
	for _, c := range []struct{ cmdline, init string }{
		{"quiet init=/lib/systemd/systemd -- single", "/lib/systemd/systemd"},
		{"quiet", "/sbin/init"},
		{"init=relative", "/sbin/init"},
	} {
		r, _ := newRig(t, c.cmdline, plan.Policy{}, false)
		m := entering{r.initd, boot.ParseCmdline(c.cmdline)}
		if _, err := m.Do(t.Context(), machine.SwitchRoot{NewRoot: "/mnt/target", Init: "/sbin/init"}); err != nil {
			t.Fatal(err)
		}
		s, ok := r.m.all[0].(machine.SwitchRoot)
		if !ok || s.Init != c.init || !slices.Equal(s.Args, []string{"single"}) || !slices.Equal(s.Env, []string{"HOME=/", "TERM=vt220"}) || s.NewRoot != "/mnt/target" {
			t.Errorf("%q: %+v", c.cmdline, r.m.all[0])
		}
	}
}

// A hook of the migrated system that waits for ever ends in the policy, hours later; what makes and checks filesystems may take what
// it takes.
func TestInitBoundsForeignPrograms(t *testing.T) {
	r, _ := newRig(t, "", plan.Policy{}, false)
	m := entering{r.initd, boot.ParseCmdline("")}
	for _, e := range []machine.Exec{{Argv: []string{"update-initramfs"}, Root: "/mnt/target"}, {Argv: []string{"e2fsck"}}} {
		if _, err := m.Do(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if end, bound := r.m.last.Deadline(); bound != (e.Root != "") || bound && time.Until(end) > hookTime {
			t.Errorf("%s: bounded %v, to %s", e, bound, time.Until(end))
		}
	}
}
