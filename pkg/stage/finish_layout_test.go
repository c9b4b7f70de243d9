package stage

import (
	"context"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// A kept disk is not asked for: finish looks at it no more than at any other disk, and rolls nothing back once it is done.
func TestFinishKeeps(t *testing.T) {
	w, p, _ := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	f, err := w.Look(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	kept := *p
	kept.Final = p.Target
	rs := Records{{Stage: commit, Event: Begin}, {Stage: commit, Event: Done}}
	if err := Finishable(&kept, f, rs, false); err != nil {
		t.Errorf("refused: %v", err)
	}
	var disks []plan.Device
	for _, d := range f.Devices {
		if d.Name != "vda" && d.Parent != "vda" {
			disks = append(disks, d)
		}
	}
	without := *f
	without.Devices = disks
	if err := Finishable(&kept, &without, rs, false); err != nil {
		t.Errorf("refused without the old disk: %v", err)
	}
	if err := Finishable(p, &without, rs, false); err == nil {
		t.Error("a disk that joins may be missing")
	}
	if err := Rollbackable(&kept, rs); err != nil {
		t.Errorf("no way back before finish: %v", err)
	}
	if err := Rollbackable(&kept, append(rs, Record{Stage: clean, Event: Begin})); err == nil || !strings.Contains(err.Error(), "/dev/vda") {
		t.Errorf("rolled back after finish: %v", err)
	}
	effs, err := grub(t, p).Leftovers(&kept, w.View())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range effs {
		if strings.Contains(x.String(), "committed") {
			t.Errorf("the old disk's GRUB asks for it: %s", x)
		}
	}
}

// Limits of resyncs are raised for the plan's arrays alone, and given back after a failure too: by the next run, if need be.
func TestSyncSpeed(t *testing.T) {
	w, p, text := migrated(t)
	done := func(f sim.Fault, speed int64) error {
		if err := w.bootNew(p); err != nil {
			t.Fatal(err)
		}
		w.Fault, w.Verbs, w.Log = f, 0, nil
		e := w.env(p, text)
		e.SyncSpeed = speed
		return Finish(context.Background(), e)
	}
	raised := func() []string {
		var out []string
		for _, line := range w.Log {
			if strings.Contains(line, "/md/sync_speed_m") {
				out = append(out, line)
			}
		}
		return out
	}
	start := w.clone(t)
	if err := done(sim.Fault{}, 200<<20); err != nil {
		t.Fatal(err)
	}
	all := raised()
	if n := len(all); n != 4*len(p.Final.Arrays()) || !strings.Contains(all[1], "204800") || !strings.Contains(all[n-1], "system") {
		t.Fatalf("limits: %q", all)
	}
	at := 0
	for i, line := range w.Log {
		if strings.Contains(line, "sync_speed_min") && at == 0 {
			at = i + 1
		}
	}
	w = start.clone(t)
	if err := done(sim.Fault{At: at + 1, How: "before"}, 200<<20); err == nil {
		t.Fatal("no power cut")
	}
	if err := done(sim.Fault{}, 0); err != nil {
		t.Fatal(err)
	}
	if again := raised(); len(again) != 2*len(p.Final.Arrays()) || !strings.Contains(again[0], "system") {
		t.Errorf("after a power cut: %q", again)
	}
}

func TestBound(t *testing.T) {
	for rate, want := range map[int64]string{0: "", 1 << 20: "other programs", 50 << 20: "as fast as the disks", 195 << 20: "--sync-speed max lifts"} {
		if got := bound(&plan.Array{SyncRate: rate, SpeedMin: 1 << 20, SpeedMax: 200 << 20}); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%d: %q, want %q", rate, got, want)
		}
	}
}

// Two new disks and an old one that is kept: finish writes no byte of it, and what is left on the new system lets the old disk's
// boot loader go on handing over to it.
func TestFinishAllNew(t *testing.T) {
	w, p, text := onSeveral(t, "raid1", 2)
	source := w.Disks[0].Whole
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if w.Disks[0].Whole != source {
		t.Error("the old disk changed")
	}
	for _, line := range w.Log {
		if strings.Contains(line, "/dev/vda") {
			t.Errorf("finish touches the old disk: %s", line)
		}
	}
	if !w.committedFile(p) {
		t.Error("the commit is gone, which the old disk's boot loader asks for")
	}
	whole(t, w, p, -1)
	for out := 1; out < len(w.Disks); out++ {
		whole(t, w, p, out)
	}
}
