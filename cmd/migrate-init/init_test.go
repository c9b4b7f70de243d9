package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/pid1"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// did is a machine that notes what it is asked for; hit may panic or fail.
type did struct {
	log []string
	hit func(machine.Effect) error
}

func (m *did) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	m.log = append(m.log, e.String())
	if m.hit != nil {
		return machine.Output{}, m.hit(e)
	}
	return machine.Output{}, nil
}

// rig is a PID 1 on the made-up machine, with everything noted.
type rig struct {
	*pid1.Init
	app  *app
	dir  string // of the made-up machine
	m    *did
	said *bytes.Buffer // by a console
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

// imagePlan and imageWatchdogs are where an image has what PID 1 reads.
const (
	imagePlan      = "/etc/migrate-init/plan.toml"
	imageWatchdogs = "/etc/migrate-init/watchdogs"
)

func newRig(t *testing.T, cmdline string, policy plan.Policy, withPlan bool) (*rig, *plan.Plan) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "world")
	if err := buildWorld(t, dir); err != nil {
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
	r := &rig{app: a, dir: dir, m: &did{}, said: &bytes.Buffer{}}
	r.Init = a.asPID1(pid1.New(&pid1.Consoles{Now: a.now, Progress: progressLine}))
	r.Machine = r.m
	r.Early = func() []machine.Effect { return nil }
	r.Reap = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	r.Listen = func() { r.Consoles.Add(r.said, nil) }
	r.Shell = func(context.Context) error { return errors.New("no such console") }
	r.HoldScreen = func(context.Context) {}
	r.End = func() {}
	return r, p
}

func (r *rig) boot(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r.Main(ctx)
	return r.said.String()
}

func (r *rig) last() string { return r.m.log[len(r.m.log)-1] }

func TestInitRefuses(t *testing.T) {
	for _, c := range []struct {
		name, cmdline, said string
	}{
		{"another plan", "migrate.mode=migrate migrate.plan=00000000-0000-4000-8000-000000000000", "the kernel command line wants plan 00000000-0000-4000-8000-000000000000; this image was built for another"},
		{"another mode", "migrate.mode=dance migrate.plan=PLAN", "kernel parameter migrate.mode=dance: unknown mode; this image knows: migrate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRig(t, c.cmdline, plan.Policy{OnFailure: "poweroff"}, true)
			if said := r.boot(t); !strings.Contains(said, "FAILED: ") || !strings.Contains(said, c.said) {
				t.Errorf("said:\n%s", said)
			}
			if r.last() != (machine.Reboot{How: "poweroff"}).String() {
				t.Errorf("last effect: %s", r.last())
			}
			log := filepath.Join(t.TempDir(), "console.log")
			if err := os.WriteFile(log, r.said.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := r.app.run(t.Context(), []string{"report", "--decode", log}, &out, &errs); code != 0 || !strings.Contains(out.String(), "error: ") || !strings.Contains(out.String(), c.said) {
				t.Errorf("report --decode: exit code %d, %s%s", code, errs.String(), out.String())
			}
		})
	}
}

// The plan's own panic time takes the place of the first one, and a stage that fails ends in the policy.
func TestInitStageFails(t *testing.T) {
	r, _ := newRig(t, "migrate.plan=PLAN", plan.Policy{OnFailure: "shell", Panic: 77}, true)
	otherDisk(t, r)
	said := r.boot(t)
	for _, want := range []string{"FAILED: stage reveal: waiting for the planned disks", "policy: a shell on every console; leaving one reboots", "shell: no such console", "policy: reboot"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q was not said:\n%s", want, said)
		}
	}
	if !slices.Contains(r.m.log, machine.WriteSys{Path: "/proc/sys/kernel/panic", Value: "77"}.String()) {
		t.Errorf("effects: %q", r.m.log)
	}
	if r.last() != (machine.Reboot{How: "reboot"}).String() {
		t.Errorf("last effect: %s", r.last())
	}
}

// otherDisk replaces the planned source disk by another one.
func otherDisk(t *testing.T, r *rig) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "root/sys/class/block/vda/serial"), []byte("OTHER\n"), 0o644); err != nil {
		t.Fatal(err)
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
		if said := r.boot(t); !strings.Contains(said, "FAILED: panic: index out of range") || r.last() != (machine.Reboot{How: "poweroff"}).String() {
			t.Errorf("last effect: %s, said:\n%s", r.last(), said)
		}
	})
	t.Run("while it lets go", func(t *testing.T) {
		r, _ := newRig(t, "migrate.plan=PLAN", plan.Policy{OnFailure: "poweroff"}, true)
		r.m.hit = func(e machine.Effect) error {
			if _, ok := e.(machine.SetReadOnly); !ok {
				return nil
			}
			r.app.world = func() survey.World { panic("nil map") } // what is let go is looked for
			return errors.New("no such device")
		}
		if said := r.boot(t); !strings.Contains(said, "cleanup: panic: nil map") || r.last() != (machine.Reboot{How: "poweroff"}).String() {
			t.Errorf("last effect: %s, said:\n%s", r.last(), said)
		}
	})
}

func TestIsInit(t *testing.T) {
	if !isInit(1, "/init") || isInit(1, "/usr/sbin/migrate-init") || isInit(2, "/init") {
		t.Error("an init is what the kernel started as /init, and nothing else")
	}
}
