package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// onSeveral is a Debian with so many empty disks, and the plan that moves it to a layout of them all.
func onSeveral(t *testing.T, layout string, news int) (*world, *plan.Plan, []byte) {
	t.Helper()
	w := newWorld(t)
	var disks []string
	for i := range news {
		name := "vd" + string(rune('b'+i))
		if i > 0 {
			w.Disks = append(w.Disks, sim.NewDisk(name, w.Disks[0].Size))
		}
		disks = append(disks, "/dev/"+name)
	}
	w.BootOld()
	p, text := planned(t, w, func(in *plan.Intent) { in.To, in.Disks = layout, disks })
	return w, p, text
}

// anyGone fails unless any one disk can be taken away: what is on the arrays is then read from the others.
func anyGone(t *testing.T, w *world, p *plan.Plan) {
	t.Helper()
	for out := range w.Disks {
		whole(t, w, p, out)
	}
}

// whole fails unless every array of the new system has all its members, but for the one on a disk that is taken out (-1: none).
func whole(t *testing.T, w *world, p *plan.Plan, out int) {
	t.Helper()
	w = w.clone(t)
	if out >= 0 {
		w.Disks = slices.Delete(w.Disks, out, out+1)
	}
	if err := w.bootNew(p); err != nil {
		t.Errorf("without disk %d: %v", out, err)
		return
	}
	f, err := w.Look(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Target.Filesystems() {
		a := f.Array(n.Lower().ID())
		if a == nil || a.Node == "" {
			t.Errorf("without disk %d: %s does not run", out, n.Called())
			continue
		}
		if got := w.FilesystemOn(w.Dev(a.Node)); got != n.Ref.ID() {
			t.Errorf("without disk %d: %s holds filesystem %q", out, n.Called(), got)
		}
		if want := min(out+1, 1); a.Degraded != want {
			t.Errorf("without disk %d: %s misses %d members, want %d", out, n.Called(), a.Degraded, want)
		}
	}
}

// TestLayoutFails lets every effect of whole transcripts fail: of a migration to degraded arrays, and of the finish that makes
// them whole. Before the commit the old disk is untouched; the next try ends where one without failures does.
func TestLayoutFails(t *testing.T) {
	for _, c := range []struct {
		layout string
		news   int
		until  string // the effects of the migration up to here; from the copy on, no effect depends on the level
	}{{"raid5", 2, ""}, {"raid10", 3, "copy "}} {
		t.Run(c.layout, func(t *testing.T) {
			w, p, text := onSeveral(t, c.layout, c.news)
			source, start := w.Disks[0].Whole, w.clone(t)
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
			}
			lines, migrated := slices.Clone(w.Log), w.clone(t)
			if w.Disks[0].Whole != source {
				t.Error("the old disk changed")
			}
			for at := 1; at <= len(lines); at++ {
				if c.until != "" && strings.HasPrefix(lines[at-1], c.until) {
					break
				}
				t.Run(fmt.Sprint("migrate", at), func(t *testing.T) {
					w := start.clone(t)
					err := w.migrate(p, text, sim.Fault{At: at, How: "error"})
					if err == nil && w.Entered == "" {
						t.Fatalf("%s failed: nothing was said", lines[at-1])
					}
					if w.Entered == "" && (len(w.Mounts) > 1 || len(w.Arrays) > 0) {
						t.Errorf("%s failed: left: %v, %v", lines[at-1], w.Mounts, w.Arrays)
					}
					if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered == "" || !w.committedFile(p) {
						t.Fatalf("after %s failed: %v", lines[at-1], err)
					}
					if w.Disks[0].Whole != source {
						t.Error("the old disk changed")
					}
				})
			}
			w = migrated.clone(t)
			if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
			}
			whole(t, w, p, -1)
			anyGone(t, w, p)
			lines = slices.Clone(w.Log)
			for at := 1; at <= len(lines); at++ {
				t.Run(fmt.Sprint("finish", at), func(t *testing.T) {
					w := migrated.clone(t)
					if err := w.finishRun(p, text, sim.Fault{At: at, How: "error"}, false); err == nil {
						t.Logf("%s failed, which nothing depends on", lines[at-1])
					}
					if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
						t.Fatalf("after %s failed: %v", lines[at-1], err)
					}
					whole(t, w, p, -1)
				})
			}
		})
	}
}
