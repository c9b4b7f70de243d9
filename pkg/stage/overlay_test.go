package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// soiled is a world whose power failed while the old system ran: the root's journal has yet to be replayed.
func soiled(t testing.TB, change func(*plan.Intent)) (*world, *plan.Plan, []byte) {
	t.Helper()
	w := newWorld(t)
	p, text := planned(t, w, change)
	w.Boot()
	sim.Soil(w.holder(t, sim.OldRoot))
	return w, p, text
}

// holder is the device with a filesystem.
func (w *world) holder(t testing.TB, id string) *sim.Device {
	t.Helper()
	for _, b := range w.Devices {
		if b.Number > 0 && w.FilesystemOn(b) == id {
			return b
		}
	}
	t.Fatalf("no device has filesystem %s", id)
	return nil
}

// nothingLeft fails when an overlay, or what it is made of, is still there.
func (w *world) nothingLeft(t *testing.T) {
	t.Helper()
	for _, b := range w.Devices {
		if strings.HasPrefix(b.Name, "dm-") || strings.HasPrefix(b.Name, "loop") {
			t.Errorf("%s is left", b.Name)
		}
	}
	for _, m := range w.Mounts {
		if m.Dir == StoreDir || strings.HasPrefix(m.Dir, "/mnt/replay") {
			t.Errorf("%s is left mounted", m.Dir)
		}
	}
}

func (w *world) told(text string) bool {
	return strings.Contains(strings.Join(w.Told, "\n"), text)
}

// TestDirtySource: a journal that was not replayed is replayed in memory, by either engine, and the disk stays as it is.
func TestDirtySource(t *testing.T) {
	for name, change := range engines() {
		t.Run(name, func(t *testing.T) {
			w, p, text := soiled(t, change)
			before := w.Disks[0].Whole
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
			}
			if w.Disks[0].Whole != before {
				t.Error("source disk changed")
			}
			if w.Entered != TargetDir || !w.committedFile(p) {
				t.Errorf("entered %q, committed %v", w.Entered, w.committedFile(p))
			}
			if w.Trees[p.Boot.Root]["home/u/file"] == nil {
				t.Error("a file is missing in the copy")
			}
			w.nothingLeft(t)
			for _, want := range []string{"/dev/vda2 is read through a snapshot in memory", "its journal is replayed in memory", "overlay of /dev/vda2: 4 KiB of"} {
				if !w.told(want) {
					t.Errorf("not told: %q in\n%s", want, strings.Join(w.Told, "\n"))
				}
			}
			if name != "tree" {
				return
			}
			var lines []string
			for _, l := range w.Log {
				if strings.Contains(l, "dm-0") || strings.Contains(l, "loop") || strings.Contains(l, plan.OverlayPrefix) || strings.Contains(l, StoreDir) || strings.Contains(l, "vda2") || strings.Contains(l, sim.OldRoot) || strings.Contains(l, "/mnt/replay") {
					lines = append(lines, l)
				}
			}
			golden(t, "overlay", &txtar.Archive{Comment: []byte("What is done with a source whose journal is replayed in memory.\n"),
				Files: []txtar.File{{Name: "effects", Data: []byte(strings.Join(lines, "\n") + "\n")}}})
		})
	}
}

// TestOverlayFailure lets every effect fail that makes, uses or releases an overlay, once without and once with having been
// carried out. Nothing is left of it, the disk is as it was, and the next try succeeds.
func TestOverlayFailure(t *testing.T) {
	w, p, text := soiled(t, nil)
	before, start := w.Disks[0].Whole, w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	log := w.Log
	tried := 0
	for at, line := range log {
		ours := strings.Contains(line, "dm-0") || strings.Contains(line, "loop") || strings.Contains(line, plan.OverlayPrefix) || strings.Contains(line, StoreDir) || strings.Contains(line, "/mnt/replay")
		if !ours || strings.HasPrefix(line, "copy ") || strings.HasPrefix(line, "verify ") {
			continue
		}
		tried++
		for _, how := range []string{"error", "late"} {
			t.Run(fmt.Sprint(how, at+1), func(t *testing.T) {
				w := start.clone(t)
				err := w.migrate(p, text, sim.Fault{At: at + 1, How: how})
				if err == nil || w.Entered != "" {
					t.Fatalf("%s failed: entered %q, %v", line, w.Entered, err)
				}
				w.nothingLeft(t)
				if w.Disks[0].Whole != before {
					t.Error("source disk changed")
				}
				if err := w.migrate(p, text, sim.Fault{}); err != nil {
					t.Fatalf("after %s failed: %v", line, err)
				}
				w.nothingLeft(t)
				if w.Disks[0].Whole != before {
					t.Error("source disk changed")
				}
			})
		}
	}
	if tried < 10 {
		t.Errorf("only %d effects are of the overlay:\n%s", tried, strings.Join(log, "\n"))
	}
}

// TestDirtySourcePowerCut: the journal is replayed again at every boot, and the copy of the boot before still counts.
func TestDirtySourcePowerCut(t *testing.T) {
	w, p, text := soiled(t, nil)
	w.Trees[sim.OldRoot]["home/u/second"] = w.Trees[sim.OldRoot]["home/u/file"]
	before := w.Disks[0].Whole
	w.Boot()
	var err error
	states := record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range states {
		if i%7 != 0 {
			continue
		}
		w := s.world
		copied := w.allCopied(p, text)
		if err := w.migrate(p, text, sim.Fault{}); err != nil {
			t.Fatalf("after %q: %v\n%s", s.what, err, strings.Join(w.Told, "\n"))
		}
		if w.Disks[0].Whole != before {
			t.Errorf("after %q: source disk changed", s.what)
		}
		if w.told("the source was in use") {
			t.Errorf("after %q: the copy is taken back:\n%s", s.what, strings.Join(w.Told, "\n"))
		}
		for _, l := range w.Log {
			if copied && strings.HasPrefix(l, "copy /mnt") {
				t.Errorf("after %q: copied again: %s", s.what, l)
			}
		}
	}
}

// allCopied reports whether the journal on the target says that everything is copied.
func (w *world) allCopied(p *plan.Plan, text []byte) bool {
	c := w.clone(w.TB)
	c.Boot()
	e := c.env(p, text)
	return runReveal(context.Background(), e) == nil && e.records.Done("copy")
}

// TestDirtySourceThatStaysSo: where the replay finds errors, or does not help, the old system is the one to repair it.
func TestDirtySourceThatStaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		replay sim.Replay
		want   string
	}{
		"errors":    {sim.Replay{Errors: true}, "the kernel recorded errors"},
		"no change": {sim.Replay{Stays: true}, "not clean: needs_recovery"},
		"too much":  {sim.Replay{Writes: 512 * sim.MiB}, "its room in memory is used up"},
	} {
		t.Run(name, func(t *testing.T) {
			w, p, text := soiled(t, nil)
			before := w.Disks[0].Whole
			w.Replays = map[string]sim.Replay{sim.OldRoot: c.replay}
			err := w.migrate(p, text, sim.Fault{})
			if err == nil || !strings.Contains(err.Error(), c.want) || w.Entered != "" {
				t.Errorf("entered %q, %v, want %q", w.Entered, err, c.want)
			}
			w.nothingLeft(t)
			if w.Disks[0].Whole != before {
				t.Error("source disk changed")
			}
			for _, l := range w.Log {
				if strings.Contains(l, "vdb") {
					t.Errorf("the target is written: %s", l)
				}
			}
		})
	}
}

// TestStoreFillsLater: what an overlay says after its store was full is not true, so a copy that went on over errors is not
// one.
func TestStoreFillsLater(t *testing.T) {
	for _, stage := range []string{"copy ", "verify "} {
		t.Run(strings.TrimSpace(stage), func(t *testing.T) {
			w, p, text := soiled(t, nil)
			w.Boot()
			e := w.env(p, text)
			w.Watch = func(int) {
				if n := len(w.Log); n > 0 && strings.HasPrefix(w.Log[n-1], stage) {
					w.FillStores()
				}
			}
			err := Run(context.Background(), e)
			w.Watch = nil
			if err == nil || w.Entered != "" || !strings.Contains(err.Error(), "its room in memory is used up") {
				t.Errorf("entered %q, %v", w.Entered, err)
			}
			if w.committedFile(p) {
				t.Error("it was committed")
			}
			e.Abandon(context.Background())
			w.nothingLeft(t)
		})
	}
}

// TestWithoutDeviceMapper: an image without the modules refuses as it did before there were overlays.
func TestWithoutDeviceMapper(t *testing.T) {
	w, p, text := soiled(t, nil)
	w.Boot()
	e := w.env(p, text)
	load := e.Load
	e.Load = func(ctx context.Context, names ...string) error {
		if names[0] == "loop" {
			return errors.New("module dm_snapshot: not in this image")
		}
		return load(ctx, names...)
	}
	err := Run(context.Background(), e)
	if err == nil || w.Entered != "" || !strings.Contains(err.Error(), "not clean") || !w.told("module dm_snapshot: not in this image") {
		t.Errorf("entered %q, %v\n%s", w.Entered, err, strings.Join(w.Told, "\n"))
	}
	p.Overlays = []plan.Overlay{{On: p.Source.MountedAt("/").Lower(), Size: 16 * sim.MiB}}
	w.Boot()
	e2 := w.env(p, text)
	e2.Load = e.Load
	if err := Run(context.Background(), e2); err == nil || !strings.Contains(err.Error(), "snapshots in memory") || w.Entered != "" {
		t.Errorf("a planned overlay cannot be made: %v", err)
	}
}

// TestPlannedOverlay: a source that the plan covers is read through its overlay, also when it is clean.
func TestPlannedOverlay(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	p.Overlays = []plan.Overlay{{On: p.Source.MountedAt("/").Lower(), Size: 16 * sim.MiB}}
	before := w.Disks[0].Whole
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if w.Disks[0].Whole != before || w.Entered != TargetDir {
		t.Errorf("source disk changed: %v, entered %q", w.Disks[0].Whole != before, w.Entered)
	}
	if !strings.Contains(strings.Join(w.Log, "\n"), "mount /dev/dm-0 on "+sourceDir(sim.OldRoot)) {
		t.Error("the source was not read through its overlay")
	}
	w.nothingLeft(t)
}

func TestStoreStatus(t *testing.T) {
	for text, want := range map[string]store{
		"16/128 0":     {used: 8192, size: 65536},
		"Invalid":      {failed: "Invalid"},
		"Overflow":     {failed: "Overflow"},
		"":             {failed: ""},
		"x/128 0":      {failed: "x/128 0"},
		"Unknown":      {failed: "Unknown"},
		"Merge failed": {failed: "Merge failed"},
	} {
		var s store
		if s.read(text); s != want {
			t.Errorf("%q: got %+v", text, s)
		}
	}
}

// silent notes failures in place of the test's own.
type silent struct {
	testing.TB
	failures []string
}

func (s *silent) Errorf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

// TestSourcesAreGuardedBelowMappings: the made-up machine, which every transcript above runs on, fails a test whose effects
// could write to a source through a mapping, and takes an overlay for what it is.
func TestSourcesAreGuardedBelowMappings(t *testing.T) {
	for name, c := range map[string]struct {
		typ, params string
		readOnly    bool
		caught      bool
	}{
		"overlay":          {"snapshot", "/dev/vda2 /dev/loop0 N 8", false, false},
		"linear":           {"linear", "/dev/vda2 0", false, true},
		"by number":        {"linear", "254:2 0", false, true},
		"second stripe":    {"striped", "2 8 /dev/vdb 0 /dev/vda2 0", false, true},
		"container":        {"crypt", "aes-xts-plain64 00 0 /dev/vda2 0", false, true},
		"store on source":  {"snapshot", "/dev/vdb /dev/vda2 N 8", false, true},
		"read-only linear": {"linear", "/dev/vda2 0", true, false},
		"of the target":    {"linear", "/dev/vdb 0", false, false},
	} {
		w := newWorld(t)
		w.Boot()
		s := &silent{TB: t}
		w.TB = s
		e := w.env(&plan.Plan{}, nil)
		ctx := context.Background()
		err := errors.Join(e.Load(ctx, "loop", "dm_mod", "dm_snapshot", "dm_crypt"),
			e.do(ctx, machine.Mkdir{Path: StoreDir, Mode: 0o755}, machine.Mount{Source: "tmpfs", Target: StoreDir, Type: "tmpfs"},
				machine.Loop{Dev: "/dev/loop0", File: StoreDir + "/x", Size: sim.MiB},
				machine.Mapping{Name: "x", ReadOnly: c.readOnly, Table: []machine.MappingTarget{{Length: 1 << 20, Type: c.typ, Params: c.params}}}))
		if err != nil || (len(s.failures) > 0) != c.caught {
			t.Errorf("%s: caught %q, %v", name, s.failures, err)
		}
		s.failures = nil
		if err := w.Write(w.Dev("dm-0"), []byte("x"), 0, "a write"); (len(s.failures) > 0) != (c.caught || c.readOnly) {
			t.Errorf("%s: a write: caught %q, %v", name, s.failures, err)
		}
	}
}
