package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/copy"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// env is what the stages get.
func (w *world) env(p *plan.Plan, text []byte) *Env {
	var engine copy.Copier = copier{w}
	for _, c := range p.Copies() {
		if c.Engine == plan.EngineExtent {
			engine = finalizing{copier{w}}
		}
	}
	return &Env{Plan: p, PlanText: text, Loaders: loader.Known(), Machine: w, Look: w.Look, Copier: engine, Self: "/init", Open: w.Open, Inside: w.Inside, Clock: w.Clock, Wait: w.Wait, Load: w.Load, Pause: w.Pause, Status: w.Status,
		Tell: func(e Event) { w.Told = append(w.Told, e.Stage+": "+e.Text) },
	}
}

// planned makes the plan that an administrator would.
func planned(t testing.TB, w *world, change func(*plan.Intent)) (*plan.Plan, []byte) {
	t.Helper()
	f, err := w.Look(context.Background(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Problems) > 0 {
		t.Fatalf("problems: %v", f.Problems)
	}
	in := plan.Intent{To: "raid1", Engine: plan.EngineTree, Disks: []string{"/dev/vdb"}, Now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Rand: &seeded{}}
	if change != nil {
		change(&in)
	}
	p, _, err := plan.New(in, f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = plan.Read(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return p, text
}

// seeded is a source of the same "random" bytes at every run.
type seeded struct{ n uint64 }

func (s *seeded) Read(p []byte) (int, error) {
	for i := range p {
		h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, s.n))
		p[i] = h[0]
		s.n++
	}
	return len(p), nil
}

// migrate boots the image and runs the stages as PID 1 does; a failure ends in Abandon.
func (w *world) migrate(p *plan.Plan, text []byte, f sim.Fault) error {
	w.Boot()
	w.Fault = f
	e := w.env(p, text)
	err := Run(context.Background(), e)
	if err != nil {
		e.Abandon(context.Background())
	}
	return err
}

// committedFile is what GRUB would see of the commit.
func (w *world) committedFile(p *plan.Plan) bool {
	for _, n := range p.Target.Filesystems() {
		if n.Lower() == p.Boot.Volume && w.Trees[n.Ref.ID()] != nil {
			return w.Trees[n.Ref.ID()][strings.TrimPrefix(boot.CommittedFile(p.ID), "/")] != nil
		}
	}
	return false
}

// world is the made-up machine, and what only stages do to it.
type world struct{ *sim.Machine }

// newWorld is a Debian on vda, and an empty vdb, with the old system running.
func newWorld(t testing.TB) *world {
	m := sim.Debian(t)
	m.Rules = rules()
	return &world{m}
}

func (w *world) clone(t testing.TB) *world { return &world{w.Machine.Clone(t)} }
