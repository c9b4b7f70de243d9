package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/probe"
	"migrate-init/pkg/sim"
)

// end is what a migration leaves, without what tells how often it was tried.
func end(w *world, p *plan.Plan) fstest.MapFS {
	out := fstest.MapFS{}
	for _, n := range p.Target.Filesystems() {
		for name, f := range w.Trees[n.Ref.ID()] {
			if name != "var/lib/migrate-init/report.txt" {
				out[n.Ref.ID()+"/"+name] = f
			}
		}
	}
	w.Boot()
	d := w.Dev("vdb")
	for _, b := range w.Parts(d.Disk) {
		out[b.Name+".seen"] = &fstest.MapFile{Data: seenIn(b)}
		if s, ok := sim.SuperOf(b); ok {
			s.UTime = s.CTime
			out[b.Name] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d %d %s %s %s %v", b.Offset, b.Size, s.UUID, s.DeviceUUID, s.Name, s.Roles)}
			in := &sim.Device{Size: s.Size, Legs: []*sim.Device{b}, LegOffset: s.DataOffset}
			out[b.Name+".fs"] = &fstest.MapFile{Data: []byte(w.FilesystemOn(in))}
		}
	}
	core, err := loader.ReadCore(d)
	out["core"] = &fstest.MapFile{Data: fmt.Append(nil, core.Prefix, err)}
	return out
}

// seenIn lists what a probe of a partition finds: a remnant of what was there before must not be among it.
func seenIn(b *sim.Device) []byte {
	res, err := probe.Partition(b, b.Size)
	out := fmt.Append(nil, err)
	for _, s := range res.Signatures {
		out = fmt.Appendf(out, " %s %s %v", s.Type, s.UUID, s.Ghost)
	}
	return out
}

// state is a world as a power cut would leave it.
type state struct {
	at    int
	what  string
	world *world
}

// record keeps every different state that the world is in before a verb.
func record(w *world, run func()) []state {
	var out []state
	for _, s := range w.Record(run) {
		out = append(out, state{s.At, s.What, &world{s.Machine}})
	}
	return out
}

// sound fails unless what a power cut left boots: before the commit the old disk is untouched, after it the new system is whole.
func sound(t *testing.T, w *world, p *plan.Plan, source uint64, want fstest.MapFS) {
	t.Helper()
	if w.Disks[0].Whole != source {
		t.Errorf("source disk changed")
	}
	w.apart(t, p)
	w.startsSomething(t, p)
	if !w.committedFile(p) {
		return
	}
	if d := sim.Diff(want, end(w.clone(t), p)); d != "" {
		t.Errorf("committed, and not whole: %s", d)
	}
}

// apart fails when something of the target could be taken for the old system: a filesystem or a swap of the source seen a
// second time, or one seen on a member beside its array.
func (w *world) apart(t *testing.T, p *plan.Plan) {
	t.Helper()
	c := w.clone(t)
	c.Boot()
	for _, b := range c.Parts(c.Disks[1]) {
		if id := c.FilesystemOn(b); id != "" && id != scratch && id != p.Boot.BlockFS {
			t.Errorf("filesystem %s is seen on %s itself", id, b.Name)
		}
		if s, ok := sim.SuperOf(b); ok {
			in := &sim.Device{Size: s.Size, Legs: []*sim.Device{b}, LegOffset: s.DataOffset}
			if id := c.FilesystemOn(in); id == sim.OldRoot || id == sim.OldSrv {
				t.Errorf("source filesystem %s is seen in %s too", id, b.Name)
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
		t.Run(name, func(t *testing.T) { offlinePowerCut(t, change, nil) })
	}
	t.Run("wipe", func(t *testing.T) { offlinePowerCut(t, wiping, used(t)) })
}

func offlinePowerCut(t *testing.T, change func(*plan.Intent), before func(*world)) {
	w := newWorld(t)
	if before != nil {
		before(w)
		w.BootOld()
	}
	p, text := planned(t, w, change)
	source := w.Disks[0].Whole
	start := w.clone(t)
	w.Boot()
	var err error
	states := record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	effects := slices.Clone(w.Log)
	want := end(w, p)
	commits, lost := 0, 0
	for i, s := range states {
		if strings.HasSuffix(s.what, sim.CacheLost) {
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
			if err := torn.migrate(p, text, sim.Fault{At: i + 1, How: "torn"}); err == nil {
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
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("after %q: %v\n%s", s.what, err, strings.Join(w.Told, "\n"))
			}
			if w.Entered != TargetDir {
				t.Errorf("after %q: entered %q", s.what, w.Entered)
			}
			if committed {
				handsOver(t, w)
			}
			if d := sim.Diff(want, end(w, p)); d != "" {
				t.Errorf("after %q: %s", s.what, d)
			}
			if w.Disks[0].Whole != source {
				t.Error("source disk changed")
			}
		})
	}
}

// handsOver fails when a run changed anything on the target but its journal.
func handsOver(t *testing.T, w *world) {
	t.Helper()
	for _, line := range w.Log {
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
	source := w.Disks[0].Whole
	start := w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	n := len(w.Log)
	want := end(w, p)
	for _, how := range []string{"error", "late"} {
		for at := 1; at <= n; at++ {
			t.Run(fmt.Sprint(how, at), func(t *testing.T) {
				w := start.clone(t)
				err := w.migrate(p, text, sim.Fault{At: at, How: how})
				line := w.Log[at-1]
				if err == nil && w.Entered == "" {
					t.Fatalf("%s failed: nothing was said", line)
				}
				if w.Entered == "" && len(w.Mounts) > 1 {
					t.Errorf("%s failed: left mounted: %v", line, w.Mounts)
				}
				if w.Entered == "" && len(w.Arrays) > 0 {
					t.Errorf("%s failed: left running: %v", line, w.Arrays)
				}
				sound(t, w, p, source, want)
				committed := w.committedFile(p)
				if err := w.migrate(p, text, sim.Fault{}); err != nil {
					t.Fatalf("after %s failed: %v", line, err)
				}
				if committed {
					handsOver(t, w)
				}
				if d := sim.Diff(want, end(w, p)); d != "" {
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
	w.Boot()
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
		w.BootOld()
		w.Trees[sim.OldRoot]["home/u/mail"] = &fstest.MapFile{Data: []byte("came in meanwhile"), Mode: 0o600}
		delete(w.Trees[sim.OldRoot], "home/u/file")
		if err := w.migrate(p, text, sim.Fault{}); err != nil {
			t.Fatalf("cut after %q: %v\n%s", s.what, err, strings.Join(w.Told, "\n"))
		}
		got := w.Trees[p.Boot.Root]
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
	effs, err := grub(t, p).Rollback(p, w.View())
	if err != nil {
		t.Fatal(err)
	}
	if err := doAll(w, effs); err != nil {
		t.Fatal(err)
	}
	w.BootOld()
	err = w.migrate(p, text, sim.Fault{})
	if err == nil || w.Entered != "" || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("entered %q, %v", w.Entered, err)
	}
	handsOver(t, w)
}
