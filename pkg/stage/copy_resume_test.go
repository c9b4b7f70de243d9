package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// stepwise is a copier that copies one name a step and makes a checkpoint after every fourth: how many names are copied.
// It goes on from one.
type stepwise struct {
	finalizing
	saved   []saved
	resumed map[string]int // by the new filesystem's UUID: the names that were there already
}

type saved struct {
	verb  int // the checkpoint's own
	uuid  string
	names int
}

// Copy implements copy.Copier.
func (c *stepwise) Copy(_ context.Context, j copy.Job) (copy.Counts, error) {
	from, to, err := c.w.Sides(pairOf(j))
	if err != nil {
		return copy.Counts{}, err
	}
	names, at := slices.Sorted(maps.Keys(from)), 0
	switch {
	case j.Resume != nil:
		if err := json.Unmarshal(j.Resume, &at); err != nil {
			return copy.Counts{}, err
		}
		c.resumed[j.NewUUID] = at
	case j.Engine == plan.EngineExtent:
		clear(to)
	case len(to) > 0:
		return copy.Counts{}, fmt.Errorf("copy to %s: not empty", j.To)
	}
	for i, n := range names[:at] {
		if to[n] == nil {
			return copy.Counts{}, fmt.Errorf("copy to %s: a checkpoint says %d names, and %d is missing: %s", j.ToDev, at, i, n)
		}
	}
	for i := at; i < len(names); i++ {
		how, then := c.w.Verb(fmt.Sprintf("copy name %d to %s", i, j.ToDev), []string{j.ToDev})
		if how == 0 {
			return copy.Counts{}, then
		}
		f := *from[names[i]]
		to[names[i]] = &f
		if then != nil {
			return copy.Counts{}, then
		}
		if i%4 == 3 {
			if err := j.Checkpoint(i + 1); err != nil {
				return copy.Counts{}, err
			}
			c.saved = append(c.saved, saved{c.w.Verbs, j.NewUUID, i + 1})
		}
	}
	c.w.Filled(pairOf(j))
	return copy.Counts{Files: int64(len(names)), Resumed: int64(at), Bytes: 1}, nil
}

func resuming(w *world, p *plan.Plan, text []byte) (*Env, *stepwise) {
	e := w.env(p, text)
	c := &stepwise{finalizing: finalizing{copier{w}}, resumed: map[string]int{}}
	e.Copier = c
	return e, c
}

// TestResume cuts the power at every step of the copies. The next boot of the image, with nothing in between, goes on from
// the last checkpoint and reaches the same end. Where the old system ran in between, the copy starts again.
func TestResume(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) { resume(t, change) })
	}
}

func resume(t *testing.T, change func(*plan.Intent)) {
	w := newWorld(t)
	p, text := planned(t, w, change)
	source := w.Disks[0].Whole
	w.Boot()
	e, first := resuming(w, p, text)
	var err error
	states := record(w, func() { err = Run(t.Context(), e) })
	if err != nil {
		t.Fatal(err)
	}
	if len(first.saved) < 4 || len(first.resumed) > 0 {
		t.Fatalf("%d checkpoints, resumed %v: the test shows nothing", len(first.saved), first.resumed)
	}
	want, cuts := end(w, p), 0
	for _, s := range states {
		if !strings.HasPrefix(s.what, "copy name ") && !strings.Contains(s.what, "write checkpoint of copy:") || strings.HasSuffix(s.what, sim.CacheLost) {
			continue
		}
		cuts++
		expect, done := map[string]int{}, s.world.copied(t, p)
		for _, c := range first.saved {
			if c.verb <= s.at {
				clear(expect) // one checkpoint is kept, that of the copy under way
				expect[c.uuid] = c.names
			}
		}
		maps.DeleteFunc(expect, func(uuid string, _ int) bool { return done[uuid] })
		for _, between := range []bool{false, true} {
			if between && cuts%5 != 0 {
				continue
			}
			w := s.world.clone(t)
			if between {
				w.BootOld()
				clear(expect)
			}
			w.Boot()
			e, c := resuming(w, p, text)
			if err := Run(t.Context(), e); err != nil || w.Entered != TargetDir {
				t.Fatalf("after %q, old system between %v: entered %q, %v\n%s", s.what, between, w.Entered, err, strings.Join(w.Told, "\n"))
			}
			if !maps.Equal(c.resumed, expect) {
				t.Errorf("after %q, old system between %v: resumed %v, want %v", s.what, between, c.resumed, expect)
			}
			if told := slices.ContainsFunc(w.Told, func(l string) bool { return strings.Contains(l, "resuming from its last checkpoint") }); told != (len(expect) > 0) {
				t.Errorf("after %q: told %v:\n%s", s.what, told, strings.Join(w.Told, "\n"))
			}
			again := slices.ContainsFunc(w.Told, func(l string) bool { return strings.Contains(l, "was interrupted; starting again") })
			if want := len(expect) == 0; !between && strings.HasPrefix(s.what, "copy name ") && again != want {
				t.Errorf("after %q: says that a copy starts again: %v, want %v:\n%s", s.what, again, want, strings.Join(w.Told, "\n"))
			}
			if facts := e.Records().Report(p); strings.Contains(facts, "resumed: ") != (len(expect) > 0) {
				t.Errorf("after %q: the report:\n%s", s.what, facts)
			}
			if d := sim.Diff(want, end(w, p)); d != "" {
				t.Errorf("after %q, old system between %v: %s", s.what, between, d)
			}
			if !between && w.Disks[0].Whole != source {
				t.Error("source disk changed")
			}
		}
	}
	if cuts < 10 {
		t.Errorf("%d cuts", cuts)
	}
}

// copied are the filesystems whose copy the journal says is done.
func (w *world) copied(t *testing.T, p *plan.Plan) map[string]bool {
	c := w.clone(t)
	c.Boot()
	e := c.env(p, nil)
	if err := e.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.openJournal(); err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, n := range p.Target.Filesystems() {
		out[n.Ref.ID()] = e.Records().Done("copy:" + n.Ref.ID())
	}
	return out
}
