package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// bootNew runs the migrated system.
func (w *world) bootNew(p *plan.Plan) error { return w.BootInstalled(p.Boot.Root) }

// finishRun boots the new system and runs finish there.
func (w *world) finishRun(p *plan.Plan, text []byte, f sim.Fault, discard bool) error {
	if err := w.bootNew(p); err != nil {
		return err
	}
	w.Fault, w.Verbs, w.Log = f, 0, nil
	e := w.env(p, text)
	e.Discard = discard
	return Finish(context.Background(), e)
}

// boots fails unless a disk's boot sector leads to a core image that is whole, and whose files are where it looks.
func boots(t *testing.T, w *world, p *plan.Plan, name string) {
	t.Helper()
	w = w.clone(t)
	w.Boot()
	core, err := loader.ReadCore(w.Dev(name))
	if err != nil {
		t.Errorf("%s does not boot: %v", name, err)
		return
	}
	vol := "mduuid/" + strings.NewReplacer("md:", "", ":", "", "-", "").Replace(string(p.Boot.Volume))
	switch {
	case core.Prefix == "("+vol+")/boot/grub":
		if len(core.Missing("part_gpt", "mdraid1x", "ext2")) > 0 {
			t.Errorf("%s does not boot: its core image has only %v", name, core.Modules)
		}
		if err := w.bootNew(p); err != nil {
			t.Errorf("%s does not boot: %v", name, err)
		}
	case name == "vda" && core.Prefix == "(,gpt2)/boot/grub":
		if w.FilesystemOn(w.Dev("vda2")) != sim.OldRoot {
			t.Errorf("%s does not boot: its core image is the old one, and the old filesystem is gone", name)
		}
	default:
		t.Errorf("%s does not boot: prefix %s", name, core.Prefix)
	}
}

func migrated(t *testing.T) (*world, *plan.Plan, []byte) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	return w, p, text
}

// finished is what finish leaves: both disks' members, the trees, and what each disk boots.
func finished(w *world, p *plan.Plan) fstest.MapFS {
	out := end(w, p)
	d := w.Dev("vda")
	for _, b := range w.Parts(d.Disk) {
		what := fmt.Sprintf("%d %d", b.Offset, b.Size)
		if s, ok := sim.SuperOf(b); ok {
			what += fmt.Sprintf(" %s %s %s %v", s.UUID, s.DeviceUUID, s.Role(), s.Roles)
			var peer md.Superblock
			for _, q := range w.Parts(w.Dev("vdb").Disk) {
				if x, ok := sim.SuperOf(q); ok && x.UUID == s.UUID {
					peer = x
				}
			}
			what += fmt.Sprint(" same events ", peer.Events == s.Events)
		}
		out["vda/"+b.Name] = &fstest.MapFile{Data: []byte(what)}
	}
	table, err := gpt.Read(d, d.Size, 512)
	out["vda/table"] = &fstest.MapFile{Data: fmt.Append(nil, table.ID, table.Damage, err)}
	core, err := loader.ReadCore(d)
	out["vda/core"] = &fstest.MapFile{Data: fmt.Append(nil, core.Prefix, err)}
	return out
}

func TestFinish(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	log := strings.Join(w.Log, "\n") + "\n"
	golden(t, "finish", &txtar.Archive{Comment: []byte("Every effect of finish in the migrated system, with what it says it writes.\n"), Files: []txtar.File{{Name: "effects", Data: []byte(log)}}})
	boots(t, w, p, "vda")
	boots(t, w, p, "vdb")
	for _, n := range p.Target.Arrays() {
		for _, a := range w.Arrays {
			if a.UUID == n.Ref.ID() && len(a.Members) != 2 {
				t.Errorf("array %s has %d members", n.MD.Name, len(a.Members))
			}
		}
	}
	for _, name := range []string{"migrate-init", "etc/default/grub.d/migrate-init.cfg", "etc/systemd/system/migrate-init-confirm.service"} {
		if w.Trees[p.Boot.Root][name] != nil {
			t.Errorf("%s is left", name)
		}
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Errorf("finish once more: %v", err)
	}
}

// A finish that is run once more and fails is not a finished one, until it comes to its end again.
func TestFinishedAgain(t *testing.T) {
	_, p, _ := migrated(t)
	var rs Records
	for _, c := range []struct {
		stage, event string
		want         bool
	}{{commit, Done, false}, {takeover, Begin, false}, {clean, Begin, false}, {clean, Done, true}, {takeover, Begin, false}, {takeover, Failed, false},
		{takeover, Begin, false}, {takeover, Done, false}, {resync, Failed, false}, {clean, Done, true}} {
		rs = append(rs, Record{Stage: c.stage, Event: c.event})
		if got := Finished(p, rs); got != c.want {
			t.Errorf("after %s %s: finished %v", c.stage, c.event, got)
		}
	}
}

// An old disk whose table cannot be read any more after the review is left alone.
func TestTakeoverLooksAgain(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	e, looks := w.env(p, text), 0
	e.Look = func(ctx context.Context, depth survey.Depth) (*plan.Facts, error) {
		f, err := w.Look(ctx, depth)
		if looks++; err != nil || looks == 1 {
			return f, err
		}
		torn := *f
		torn.Devices = slices.Clone(f.Devices)
		torn.Dev("vda").Table = nil
		return &torn, nil
	}
	w.Log = nil
	if err := Finish(t.Context(), e); err == nil || !strings.Contains(err.Error(), "/dev/vda: its partition table") {
		t.Error(err)
	}
	for _, line := range w.Log {
		if strings.HasPrefix(line, "write ") && !strings.HasPrefix(line, "write journal record") {
			t.Errorf("refused, and yet: %s", line)
		}
	}
}

// TestFinishPowerCut: at every instant each disk boots, and finish run again ends the same.
func TestFinishPowerCut(t *testing.T) {
	w, p, text := migrated(t)
	start := w.clone(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	w.Log = nil
	var err error
	states := record(w, func() { err = Finish(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	effects := slices.Clone(w.Log)
	want := finished(w, p)
	for i, line := range effects {
		if torn := start.clone(t); strings.HasPrefix(line, "write ") || strings.HasPrefix(line, "run ") {
			if err := torn.finishRun(p, text, sim.Fault{At: i + 1, How: "torn"}, false); err == nil {
				t.Fatalf("verb %d was not torn", i+1)
			}
			states = append(states, state{i + 1, "torn: " + line, torn})
		}
	}
	for _, s := range states {
		t.Run(fmt.Sprint(s.at), func(t *testing.T) {
			w := s.world.clone(t)
			boots(t, w, p, "vda")
			boots(t, w, p, "vdb")
			w.oneAnswer(t, p)
			if _, err := previewed(w.clone(t), p, text); err != nil {
				t.Errorf("after %q: preview: %v", s.what, err)
			}
			if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
				t.Fatalf("after %q: %v\n%s", s.what, err, strings.Join(w.Told, "\n"))
			}
			if d := sim.Diff(want, finished(w, p)); d != "" {
				t.Errorf("after %q: %s", s.what, d)
			}
		})
		if t.Failed() && testing.Short() {
			return
		}
	}
}

// TestFinishFailure lets every effect of finish fail; the system goes on, and finish again, without a reboot, ends the same.
func TestFinishFailure(t *testing.T) {
	w, p, text := migrated(t)
	start := w.clone(t)
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Fatal(err)
	}
	n := len(w.Log)
	want := finished(w, p)
	for _, how := range []string{"error", "late"} {
		for at := 1; at <= n; at++ {
			w := start.clone(t)
			err := w.finishRun(p, text, sim.Fault{At: at, How: how}, false)
			line := w.Log[at-1]
			if err == nil && !strings.HasPrefix(line, "ioctl ADD_NEW_DISK") {
				t.Errorf("%s failed: nothing was said", line)
			}
			boots(t, w, p, "vda")
			boots(t, w, p, "vdb")
			w.Fault = sim.Fault{}
			if err := Finish(context.Background(), w.env(p, text)); err != nil {
				t.Errorf("after %s failed (%s): %v", line, how, err)
				continue
			}
			if d := sim.Diff(want, finished(w, p)); d != "" {
				t.Errorf("after %s failed (%s): %s", line, how, d)
			}
		}
	}
}

// TestFinishAfterLostRecord: the power went between the commit and its record, and the old boot loader entered the new system.
func TestFinishAfterLostRecord(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	start := w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(w.Log, func(s string) bool { return strings.HasPrefix(s, "rename ") }) + 1
	w = start
	if err := w.migrate(p, text, sim.Fault{At: at, How: "after"}); err == nil || !w.committedFile(p) {
		t.Fatalf("%v, committed %v", err, w.committedFile(p))
	}
	shown, err := previewed(w.clone(t), p, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Error(err)
	}
	for what, lines := range map[string][]string{"shown": shown, "done": w.Log} {
		if !strings.Contains(lines[0], "write journal record") || !strings.Contains(lines[0], ": commit done") {
			t.Errorf("%s first: %s", what, lines[0])
		}
	}
}

// TestFinishInTheSameBoot: no reboot since the migration, whose locks on the old disk still hold.
func TestFinishInTheSameBoot(t *testing.T) {
	w, p, text := migrated(t)
	if err := w.bootNew(p); err != nil {
		t.Fatal(err)
	}
	for _, b := range w.Devices {
		b.ReadOnly = b.Disk != nil && b.Disk.Source
	}
	if err := Finish(context.Background(), w.env(p, text)); err != nil {
		t.Error(err)
	}
	boots(t, w, p, "vda")
}

func TestFinishAfterRollback(t *testing.T) {
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
	if w.committedFile(p) {
		t.Error("still committed")
	}
	if err := w.finishRun(p, text, sim.Fault{}, false); err != nil {
		t.Error(err)
	}
}

func doAll(w *world, effs []machine.Effect) error {
	for _, e := range effs {
		if _, err := w.Do(context.Background(), e); err != nil {
			return err
		}
	}
	return nil
}

func TestFinishRefuses(t *testing.T) {
	w, p, text := migrated(t)
	for name, c := range map[string]struct {
		want    string
		discard bool
		change  func(w *world) error
	}{
		"old system":  {"does not run from the new array", false, func(w *world) error { w.BootOld(); return nil }},
		"old changed": {"it changed since it was copied", false, func(w *world) error { w.BootOld(); return w.bootNew(p) }},
		"discard":     {"", true, func(w *world) error { w.BootOld(); return w.bootNew(p) }},
		"repartioned": {"partition table is no longer", false, func(w *world) error {
			w.Disks[0].Write(make([]byte, 1024), 0)
			w.Disks[0].Write(make([]byte, 512), w.Disks[0].Size-512)
			return w.bootNew(p)
		}},
		"in use": {"is in use: /old", false, func(w *world) error {
			err := w.bootNew(p)
			w.Mounts = append(w.Mounts, sim.Mount{Src: "/dev/vda2", Dir: "/old", Type: "ext4", ReadOnly: true, Tree: w.Trees[sim.OldRoot]})
			return err
		}},
		"reformatted": {"/dev/vda2 carries ext4 99999999-", false, func(w *world) error { w.reuse(2*sim.MiB, 500*sim.MiB); return w.bootNew(p) }},
		"a filesystem is gone": {"it is no longer on its partition aaaaaaaa-0000-4000-8000-000000000002", false, func(w *world) error {
			w.Disks[0].Write(make([]byte, 8192), 2*sim.MiB)
			return w.bootNew(p)
		}},
		"swap in other use":    {"/dev/vda4 carries ext4 99999999-", false, func(w *world) error { w.reuse(702*sim.MiB, 100*sim.MiB); return w.bootNew(p) }},
		"reformatted, discard": {"", true, func(w *world) error { w.reuse(2*sim.MiB, 500*sim.MiB); return w.bootNew(p) }},
		"new disk's core image": {"install it again", false, func(w *world) error {
			w.Disks[1].Write(sim.GRUBCore(2048, "(hd0,gpt2)/boot/grub", "part_gpt", "mdraid1x", "ext2"), sim.MiB)
			return w.bootNew(p)
		}},
		"new disk's boot sector": {"install it again", false, func(w *world) error {
			w.Disks[1].Write(make([]byte, 440), 0)
			return w.bootNew(p)
		}},
		"root is read-only": {"its root is mounted read-only", false, func(w *world) error {
			err := w.bootNew(p)
			for i := range w.Mounts {
				w.Mounts[i].ReadOnly = w.Mounts[i].ReadOnly || w.Mounts[i].Dir == "/"
			}
			return err
		}},
		"an array does not run": {"srv: ", false, func(w *world) error {
			err := w.bootNew(p)
			w.Mounts = slices.DeleteFunc(w.Mounts, func(m sim.Mount) bool { return m.Dir == "/srv" })
			for name, a := range w.Arrays {
				for _, n := range p.Target.Arrays() {
					if strings.HasSuffix(n.MD.Name, "srv") && a.UUID == n.Ref.ID() {
						w.Devices = slices.DeleteFunc(w.Devices, func(b *sim.Device) bool { return b.Name == name })
						delete(w.Arrays, name)
					}
				}
			}
			return err
		}},
		"disk is gone": {"no disk with serial", false, func(w *world) error { w.Disks = w.Disks[1:]; return w.bootNew(p) }},
		"no commit":    {"it has no commit", false, func(w *world) error { w.Disks[1].Write(make([]byte, 1<<20), 2*sim.MiB+4096); return w.bootNew(p) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.clone(t)
			if err := c.change(w); err != nil {
				t.Fatal(err)
			}
			w.Verbs, w.Log = 0, nil
			err := Finish(context.Background(), discarding(w.env(p, text), c.discard))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(w.Log) > 0 {
				t.Errorf("refused, and yet: %v", w.Log)
			}
		})
	}
}

func discarding(e *Env, discard bool) *Env {
	e.Discard = discard
	return e
}
