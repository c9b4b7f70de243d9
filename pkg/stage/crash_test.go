package stage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/plan"
)

// end is what a migration leaves, without what tells how often it was tried.
func end(w *world, p *plan.Plan) fstest.MapFS {
	out := fstest.MapFS{}
	for _, n := range p.Target.Filesystems() {
		for name, f := range w.trees[n.Ref.ID()] {
			if name != "var/lib/migrate-init/report.txt" {
				out[n.Ref.ID()+"/"+name] = f
			}
		}
	}
	w.boot()
	d := w.dev("vdb")
	for _, b := range w.parts(d.disk) {
		if s, ok := superOf(b); ok {
			s.UTime = s.CTime
			out[b.name] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d %d %s %s %s %v", b.off, b.size, s.UUID, s.DeviceUUID, s.Name, s.Roles)}
			in := &bdev{size: s.Size, legs: []*bdev{b}, legOff: s.DataOffset}
			out[b.name+".fs"] = &fstest.MapFile{Data: []byte(w.fsOn(in))}
		}
	}
	core, err := readCore(d)
	out["core"] = &fstest.MapFile{Data: fmt.Append(nil, core.Prefix, err)}
	return out
}

// state is a world as a power cut would leave it.
type state struct {
	at    int
	what  string
	world *world
}

const cacheLost = ", and the page cache lost"

func (w *world) digest() string {
	var b strings.Builder
	for _, d := range w.disks {
		fmt.Fprintln(&b, d.whole)
	}
	for _, id := range slices.Sorted(maps.Keys(w.trees)) {
		for _, n := range slices.Sorted(maps.Keys(w.trees[id])) {
			fmt.Fprintf(&b, "%s %s %p\n", id, n, w.trees[id][n])
		}
	}
	return b.String()
}

// record runs f and keeps every different state that the world is in before a verb.
func record(w *world, run func()) []state {
	var out []state
	last := ""
	w.watch = func() {
		if d := w.digest(); d != last {
			what := ""
			if len(w.log) > 0 {
				what = w.log[len(w.log)-1]
			}
			out = append(out, state{w.n - 1, what, w.clone(w.t)})
			if l := w.lost(w.t); l != nil {
				out = append(out, state{w.n - 1, what + cacheLost, l})
			}
			last = d
		}
	}
	run()
	w.watch = nil
	return append(out, state{w.n, w.log[len(w.log)-1], w.clone(w.t)})
}

// sound fails unless what a power cut left boots: before the commit the old disk is untouched, after it the new system is whole.
func sound(t *testing.T, w *world, p *plan.Plan, source uint64, want fstest.MapFS) {
	t.Helper()
	if w.disks[0].whole != source {
		t.Errorf("source disk changed")
	}
	w.apart(t, p)
	if !w.committedFile(p) {
		return
	}
	if d := treeDiff(want, end(w.clone(t), p)); d != "" {
		t.Errorf("committed, and not whole: %s", d)
	}
}

// apart fails when something of the target could be taken for the old system: a filesystem or a swap of the source seen a
// second time, or one seen on a member beside its array.
func (w *world) apart(t *testing.T, p *plan.Plan) {
	t.Helper()
	c := w.clone(t)
	c.boot()
	for _, b := range c.parts(c.disks[1]) {
		if id := c.fsOn(b); id != "" {
			t.Errorf("filesystem %s is seen on %s itself", id, b.name)
		}
		if s, ok := superOf(b); ok {
			in := &bdev{size: s.Size, legs: []*bdev{b}, legOff: s.DataOffset}
			if id := c.fsOn(in); id == oldRoot || id == oldSrv {
				t.Errorf("source filesystem %s is seen in %s too", id, b.name)
			}
		}
	}
}

// engines are the plans that the crash tests carry out: all by files, and the root by blocks.
func engines() map[string]func(*plan.Intent) {
	return map[string]func(*plan.Intent){"tree": nil, "blocks": func(in *plan.Intent) { in.Engine = "" }}
}

// TestOfflinePowerCut cuts the power after every effect, and within those that can be torn, boots the image again, and
// finds the same end.
func TestOfflinePowerCut(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) { offlinePowerCut(t, change) })
	}
}

func offlinePowerCut(t *testing.T, change func(*plan.Intent)) {
	w := newWorld(t)
	p, text := planned(t, w, change)
	source := w.disks[0].whole
	start := w.clone(t)
	w.boot()
	var err error
	states := record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	effects := slices.Clone(w.log)
	want := end(w, p)
	commits, lost := 0, 0
	for i, s := range states {
		if strings.HasSuffix(s.what, cacheLost) {
			lost++
		}
		if i > 0 && s.world.committedFile(p) != states[i-1].world.committedFile(p) {
			commits++
			if !strings.HasPrefix(s.what, "rename ") {
				t.Errorf("the commit is %s", s.what)
			}
		}
	}
	if commits != 1 {
		t.Errorf("%d commit points", commits)
	}
	if lost == 0 {
		t.Error("no power cut took anything from the page cache")
	}
	for i, line := range effects {
		if torn := start.clone(t); strings.HasPrefix(line, "write ") || strings.HasPrefix(line, "run ") || strings.HasPrefix(line, "copy ") || strings.HasPrefix(line, "precheck ") {
			if err := torn.migrate(p, text, fault{at: i + 1, how: "torn"}); err == nil {
				t.Fatalf("verb %d was not torn", i+1)
			}
			states = append(states, state{i + 1, "torn: " + line, torn})
		}
	}
	t.Logf("%d states", len(states))
	for _, s := range states {
		t.Run(fmt.Sprint(s.at), func(t *testing.T) {
			w := s.world.clone(t)
			sound(t, w, p, source, want)
			committed := w.committedFile(p)
			if err := w.migrate(p, text, fault{}); err != nil {
				t.Fatalf("after %q: %v\n%s", s.what, err, strings.Join(w.told, "\n"))
			}
			if w.entered != TargetDir {
				t.Errorf("after %q: entered %q", s.what, w.entered)
			}
			if committed {
				handsOver(t, w)
			}
			if d := treeDiff(want, end(w, p)); d != "" {
				t.Errorf("after %q: %s", s.what, d)
			}
			if w.disks[0].whole != source {
				t.Error("source disk changed")
			}
		})
	}
}

// handsOver fails when a run changed anything on the target but its journal.
func handsOver(t *testing.T, w *world) {
	t.Helper()
	for _, line := range w.log {
		for _, bad := range []string{"run ", "copy ", "write file", "rewrite ", "rename ", "write partition", "write md", "remove "} {
			if strings.HasPrefix(line, bad) {
				t.Errorf("committed, and again: %s", line)
			}
		}
	}
}

// TestOfflineFailure lets every effect fail, once without and once with having been carried out; the next try succeeds.
func TestOfflineFailure(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) { offlineFailure(t, change) })
	}
}

func offlineFailure(t *testing.T, change func(*plan.Intent)) {
	w := newWorld(t)
	p, text := planned(t, w, change)
	source := w.disks[0].whole
	start := w.clone(t)
	if err := w.migrate(p, text, fault{}); err != nil {
		t.Fatal(err)
	}
	n := len(w.log)
	want := end(w, p)
	for _, how := range []string{"error", "late"} {
		for at := 1; at <= n; at++ {
			t.Run(fmt.Sprint(how, at), func(t *testing.T) {
				w := start.clone(t)
				err := w.migrate(p, text, fault{at: at, how: how})
				line := w.log[at-1]
				if err == nil && w.entered == "" {
					t.Fatalf("%s failed: nothing was said", line)
				}
				if w.entered == "" && len(w.mounts) > 1 {
					t.Errorf("%s failed: left mounted: %v", line, w.mounts)
				}
				if w.entered == "" && len(w.arrays) > 0 {
					t.Errorf("%s failed: left running: %v", line, w.arrays)
				}
				sound(t, w, p, source, want)
				committed := w.committedFile(p)
				if err := w.migrate(p, text, fault{}); err != nil {
					t.Fatalf("after %s failed: %v", line, err)
				}
				if committed {
					handsOver(t, w)
				}
				if d := treeDiff(want, end(w, p)); d != "" {
					t.Errorf("after %s failed: %s", line, d)
				}
			})
		}
	}
}

// TestOldSystemRunsBetween is the case that a resumed copy must not forget: between two tries the old system ran.
func TestOldSystemRunsBetween(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	w.boot()
	var err error
	states := record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		w := s.world
		if w.committedFile(p) {
			break
		}
		w.bootOld()
		w.trees[oldRoot]["home/u/mail"] = &fstest.MapFile{Data: []byte("came in meanwhile"), Mode: 0o600}
		delete(w.trees[oldRoot], "home/u/file")
		if err := w.migrate(p, text, fault{}); err != nil {
			t.Fatalf("cut after %q: %v\n%s", s.what, err, strings.Join(w.told, "\n"))
		}
		got := w.trees[p.Boot.Root]
		if got["home/u/mail"] == nil || got["home/u/file"] != nil {
			t.Errorf("cut after %q: the copy is of the first try", s.what)
		}
	}
}

// TestRolledBack: the image boots once more after a rollback. The copy is of before, so it is neither entered nor touched.
func TestRolledBack(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	effs, err := Rollback(p, w.view())
	if err != nil {
		t.Fatal(err)
	}
	if err := doAll(w, effs); err != nil {
		t.Fatal(err)
	}
	w.bootOld()
	err = w.migrate(p, text, fault{})
	if err == nil || w.entered != "" || !strings.Contains(err.Error(), "taken back") {
		t.Errorf("entered %q, %v", w.entered, err)
	}
	handsOver(t, w)
}
