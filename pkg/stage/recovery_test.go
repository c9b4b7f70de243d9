package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/sim"
)

// TestFinishWaitsForRecovery: finish tells how far the recovery of every array is, and embeds no boot loader before the last is done.
func TestFinishWaitsForRecovery(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	w.Log = nil
	e := w.env(p, text)
	seen := map[string][]int64{} // bytes done, by array
	var whole []string
	e.Tell = func(ev Event) {
		if ev.Progress != nil {
			if ev.Progress.TotalBytes > 0 && (ev.Progress.Rate <= 0 || ev.Progress.ETA <= 0) {
				t.Errorf("%s: %+v", ev.Text, *ev.Progress)
			}
			seen[ev.Text] = append(seen[ev.Text], ev.Progress.Bytes)
		}
		if strings.HasSuffix(ev.Text, " is whole") {
			whole = append(whole, ev.Text)
			if slices.ContainsFunc(w.Log, func(line string) bool { return strings.HasPrefix(line, "run grub-install") }) {
				t.Errorf("%s, after grub-install", ev.Text)
			}
		}
	}
	if err := Finish(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(p.Target.Arrays()) || len(whole) != len(p.Target.Arrays()) {
		t.Errorf("told of %v, whole: %v", seen, whole)
	}
	for what, bytes := range seen {
		if !slices.IsSorted(bytes) || bytes[0] == bytes[len(bytes)-1] {
			t.Errorf("%s: no progress: %v", what, bytes)
		}
	}
}

// TestFinishWakesArrays: the power goes while the arrays recover. After it the swap's array, which nothing writes to, is
// read-auto, and its recovery goes on only once finish has made it writable.
func TestFinishWakesArrays(t *testing.T) {
	start, p, text := migrated(t)
	woken := 0
	for after := 1; ; after++ {
		w := start.clone(t)
		if err := w.bootNew(p); err != nil {
			t.Fatal(err)
		}
		e, n := w.env(p, text), 0
		e.Pause = func(ctx context.Context) error {
			if n++; n == after {
				w.Dead = sim.ErrCut
			}
			return w.Pause(ctx)
		}
		if err := Finish(context.Background(), e); err == nil {
			break
		}
		if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
			t.Fatalf("cut after %d moments of the recovery: %v\n%s", after, err, strings.Join(w.Told, "\n"))
		}
		woken += count(w.Log, "ioctl RESTART_ARRAY_RW")
		for name, a := range w.Arrays {
			if len(a.Members) != 2 || a.Degraded() > 0 {
				t.Errorf("cut after %d moments of the recovery: array %s has %d members, %d missing", after, name, len(a.Members), a.Degraded())
			}
		}
		boots(t, w, p, "vda")
	}
	if woken == 0 {
		t.Error("no array had to be woken")
	}
}

// TestOfflineCallFails lets everything fail that a migration asks of the machine beside effects: a device that does not open, a
// directory that cannot be read, a module that does not load. It is said, nothing is left running, and the next try succeeds.
func TestOfflineCallFails(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, text := planned(t, w, change)
			source := w.Disks[0].Whole
			start := w.clone(t)
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatal(err)
			}
			calls := w.Calls
			want := end(w, p)
			for _, kind := range []string{"open ", "read below ", "load "} {
				if count(calls, kind) == 0 {
					t.Errorf("nothing of %q is asked", kind)
				}
			}
			for at := 1; at <= len(calls); at++ {
				t.Run(fmt.Sprint(at), func(t *testing.T) {
					w := start.clone(t)
					err := w.migrate(p, text, sim.Fault{At: at, How: "call"})
					line := calls[at-1]
					if (err == nil) != (w.Entered != "") {
						t.Fatalf("%s failed: entered %q, %v", line, w.Entered, err)
					}
					if err != nil && (len(w.Mounts) > 1 || len(w.Arrays) > 0) {
						t.Errorf("%s failed: left mounted %v, running %v", line, w.Mounts, w.Arrays)
					}
					sound(t, w, p, source, want)
					if err := w.migrate(p, text, sim.Fault{}); err != nil {
						t.Fatalf("after %s failed: %v", line, err)
					}
					if d := sim.Diff(want, end(w, p)); d != "" {
						t.Errorf("after %s failed: %s", line, d)
					}
				})
			}
		})
	}
}
