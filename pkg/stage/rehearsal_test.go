package stage

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// rehearse makes a rehearsal as schedule does, with mounts of its own, and hands its result to then.
func rehearse(w *world, p *plan.Plan, text []byte, then func(*Kept) error) error {
	f, err := w.Look(context.Background(), survey.Whole)
	if err != nil {
		return err
	}
	e := w.env(p, text)
	e.Facts, e.Root = f, w.View()
	mounts := slices.Clone(w.Mounts)
	made, err := Rehearsal(context.Background(), e, "")
	if err == nil {
		err = then(made)
	}
	w.Mounts = mounts
	w.Changed()
	return err
}

// scheduleRehearsed is schedule with what a rehearsal makes.
func scheduleRehearsed(w *world, p *plan.Plan, text []byte) error {
	err := rehearse(w, p, text, func(made *Kept) error {
		f, err := w.Look(context.Background(), survey.Whole)
		if err != nil {
			return err
		}
		steps, err := Schedule(loader.Known(), p, f, w.View(), text, "/root/migrate.img", made, w.Open)
		if err != nil {
			return err
		}
		return w.run(p, text, f, steps)
	})
	if w.Dead == nil {
		if rerr := doAll(w, []machine.Effect{machine.Remove{Path: RehearsalDir}}); err == nil {
			err = rerr
		}
	}
	return err
}

// TestRehearsal: the new system's initrd and menu are made and proved, and the running system stays as it is.
func TestRehearsal(t *testing.T) {
	w, p, text := toSchedule(t)
	before := maps.Clone(w.Trees[sim.OldRoot])
	err := rehearse(w, p, text, func(made *Kept) error {
		if made.Size() == 0 || len(made.record.Parts) != 2 {
			t.Errorf("made: %d bytes, %d parts", made.Size(), len(made.record.Parts))
		}
		for _, name := range []string{"/boot/vmlinuz-" + sim.Release, "/etc/fstab", "/etc/mdadm/mdadm.conf", "/etc/initramfs-tools/hooks/migrate-init", "/var/lib/dpkg/status"} {
			if made.record.Parts[0].Reads[name] == "" {
				t.Errorf("initrds: %s is not one of the files that they depend on: %v", name, made.record.Parts[0].Reads)
			}
		}
		if made.record.Parts[1].Reads["/etc/default/grub"] == "" {
			t.Errorf("menu: it depends on %v", made.record.Parts[1].Reads)
		}
		if len(made.record.Parts[0].Inside) == 0 {
			t.Error("nothing in the initrd is a copy of something in the system")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	if err := doAll(w, []machine.Effect{machine.Remove{Path: RehearsalDir}}); err != nil {
		t.Fatal(err)
	}
	if d := sim.Diff(before, w.Trees[sim.OldRoot]); d != "" {
		t.Error(d)
	}
}

// TestRehearsedMigration: what was made before the reboot is installed, the generator does not run again, and the new system is the same
// as without a rehearsal. Where something changed, that part is made again.
func TestRehearsedMigration(t *testing.T) {
	w, p, text := toSchedule(t)
	plain := w.clone(t)
	if err := plain.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	want := end(plain, p)
	if err := scheduleRehearsed(w, p, text); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
	}
	ran := func(w *world) string {
		var out []string
		for _, l := range w.Log {
			if strings.HasPrefix(l, "run ") {
				for _, name := range []string{"update-initramfs", "grub-install", "update-grub"} {
					if strings.Contains(l, name) {
						out = append(out, name)
					}
				}
			}
		}
		return strings.Join(out, " ")
	}
	keptIn := strings.TrimPrefix(KeptDir, "/")
	for name, c := range map[string]struct {
		change func(tree fstest.MapFS)
		ran    string
		told   string
	}{
		"nothing changed": {func(fstest.MapFS) {}, "grub-install", "installed as made before the reboot"},
		"a package": {func(m fstest.MapFS) {
			m["var/lib/dpkg/status"] = &fstest.MapFile{Data: append(slices.Clone(m["var/lib/dpkg/status"].Data), "Package: x\n\n"...), Mode: 0o644}
		}, "update-initramfs update-grub grub-install", "/var/lib/dpkg/status has changed"},
		"a hook": {func(m fstest.MapFS) {
			m["etc/initramfs-tools/hooks/mine"] = &fstest.MapFile{Data: []byte("#!/bin/sh\n"), Mode: 0o755}
		}, "update-initramfs grub-install", "/etc/initramfs-tools/hooks/mine is new"},
		"a setting of the menu": {func(m fstest.MapFS) {
			m["etc/default/grub"] = &fstest.MapFile{Data: append(slices.Clone(m["etc/default/grub"].Data), "GRUB_TIMEOUT=1\n"...), Mode: 0o644}
		}, "update-grub grub-install", "/etc/default/grub has changed"},
		"an initrd is damaged": {func(m fstest.MapFS) {
			f := m[keptIn+"/initrds-0"]
			m[keptIn+"/initrds-0"] = &fstest.MapFile{Data: append([]byte{1}, f.Data[1:]...), Mode: f.Mode}
		}, "update-initramfs grub-install", "initrds-0 is not as it was kept"},
		"an initrd is gone": {func(m fstest.MapFS) { delete(m, keptIn+"/initrds-0") }, "update-initramfs grub-install", "initrds-0"},
		"the record is torn": {func(m fstest.MapFS) {
			f := m[keptIn+"/record.json"]
			m[keptIn+"/record.json"] = &fstest.MapFile{Data: f.Data[:len(f.Data)/2], Mode: f.Mode}
		}, "update-initramfs update-grub grub-install", "record.json"},
		"the record is gone": {func(m fstest.MapFS) { delete(m, keptIn+"/record.json") }, "update-initramfs update-grub grub-install", "nothing was made before the reboot"},
		"another plan's": {func(m fstest.MapFS) {
			f := m[keptIn+"/record.json"]
			m[keptIn+"/record.json"] = &fstest.MapFile{Data: []byte(strings.Replace(string(f.Data), p.ID, "ffffffff-0000-4000-8000-000000000000", 1)), Mode: f.Mode}
		}, "update-initramfs update-grub grub-install", "it is of plan ffffffff"},
		"a kernel": {func(m fstest.MapFS) {
			m["boot/vmlinuz-6.1.0-41-amd64"] = &fstest.MapFile{Data: sim.KernelImage("6.1.0-41-amd64")}
		}, "update-initramfs update-grub grub-install", "/boot/vmlinuz-6.1.0-41-amd64 is new"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.clone(t)
			c.change(w.Trees[sim.OldRoot])
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.Told, "\n"))
			}
			if got := ran(w); got != c.ran {
				t.Errorf("ran %q, want %q\n%s", got, c.ran, strings.Join(w.Told, "\n"))
			}
			if !strings.Contains(strings.Join(w.Told, "\n"), c.told) {
				t.Errorf("not told: %q\n%s", c.told, strings.Join(w.Told, "\n"))
			}
			for id, tree := range w.Trees {
				for n := range tree {
					if id != sim.OldRoot && strings.HasPrefix(n, keptIn) {
						t.Errorf("left in the new system: %s", n)
					}
				}
			}
			if name == "nothing changed" {
				if d := sim.Diff(want, end(w, p)); d != "" {
					t.Errorf("not the system that is made without a rehearsal: %s", d)
				}
			}
		})
	}
}

// TestRehearsalFails: what would fail in the migration fails now, with a reason and what to do, and nothing is written.
func TestRehearsalFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"no memory": {func(w *world) {
			w.Trees[sim.OldRoot]["boot/initrd.img-"+sim.Release] = &fstest.MapFile{Data: make([]byte, 160<<20), Mode: 0o644}
		}, []string{"memory: the rehearsal of the migration needs", "--skip-rehearsal"}},
		"the generator": {func(w *world) {
			w.Trees[sim.OldRoot]["etc/initramfs-tools/fails"] = &fstest.MapFile{Data: []byte("hook x failed\n")}
		},
			[]string{"update-initramfs", "hook x failed", "run it here"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, p, text := toSchedule(t)
			c.change(w)
			before := maps.Clone(w.Trees[sim.OldRoot])
			err := scheduleRehearsed(w, p, text)
			if err == nil {
				t.Fatal("scheduled")
			}
			for _, s := range c.want {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q is not in: %v", s, err)
				}
			}
			if d := sim.Diff(before, w.Trees[sim.OldRoot]); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRehearsalFailure: whatever effect of a rehearsal and of schedule fails or is the last before a power cut, nothing is armed before the last one, and
// cancel brings back what was.
func TestRehearsalFailure(t *testing.T) {
	w, p, text := toSchedule(t)
	before := maps.Clone(w.Trees[sim.OldRoot])
	w.Log, w.Verbs = nil, 0
	if err := scheduleRehearsed(w, p, text); err != nil {
		t.Fatal(err)
	}
	n := w.Verbs - 1 // the last one removes the directory in /run
	for _, how := range []string{"error", "late", "before", "torn", "after"} {
		for at := 1; at <= n; at++ {
			w, p, text := toSchedule(t)
			w.Log, w.Verbs, w.Fault = nil, 0, sim.Fault{At: at, How: how}
			// A menu that cannot be made now is made in the migration.
			if err := scheduleRehearsed(w, p, text); err == nil && !strings.Contains(w.Log[at-1], "update-grub") {
				t.Fatalf("%s at %d: said nothing: %s", how, at, w.Log[at-1])
			}
			cut := w.Dead != nil
			w.Fault, w.Dead = sim.Fault{}, nil
			st, err := ReadScheduled(loader.Known(), w.View())
			if err != nil {
				t.Fatal(err)
			}
			if st != nil {
				if err := cancel(w); err != nil {
					t.Fatalf("%s at %d: %v", how, at, err)
				}
			}
			if cut { // memory is gone, and with it /run
				for name := range w.Trees[sim.OldRoot] {
					if strings.HasPrefix("/"+name, RehearsalDir) {
						delete(w.Trees[sim.OldRoot], name)
					}
				}
			}
			if err := doAll(w, []machine.Effect{machine.Remove{Path: StateDir}}); err != nil {
				t.Errorf("%s at %d, then cancel: %v", how, at, err)
			}
			if d := sim.Diff(before, w.Trees[sim.OldRoot]); d != "" {
				t.Errorf("%s at %d, then cancel: %s", how, at, d)
			}
		}
	}
}

// TestRehearsedPowerCut cuts the power after every effect of a migration that installs what was made before, boots the image again, and finds the same end.
func TestRehearsedPowerCut(t *testing.T) {
	w, p, text := toSchedule(t)
	if err := scheduleRehearsed(w, p, text); err != nil {
		t.Fatal(err)
	}
	source := w.Disks[0].Whole
	start := w.clone(t)
	w.Boot()
	var err error
	states := record(w, func() { err = Run(context.Background(), w.env(p, text)) })
	if err != nil {
		t.Fatal(err)
	}
	want := end(w, p)
	tried := 0
	for _, s := range states {
		if !strings.Contains(s.what, path.Base(KeptDir)) && !strings.Contains(s.what, "initrd") && !strings.Contains(s.what, "grub") {
			continue
		}
		tried++
		t.Run(fmt.Sprint(s.at), func(t *testing.T) {
			sound(t, s.world.clone(t), p, source, want)
			again := s.world
			if err := again.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("%s: %v", s.what, err)
			}
			if d := sim.Diff(want, end(again, p)); d != "" {
				t.Errorf("%s: %s", s.what, d)
			}
		})
	}
	if tried < 4 {
		t.Errorf("only %d cuts", tried)
	}
	// The same with every effect failing.
	clean := start.clone(t)
	if err := clean.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	for at, line := range slices.Clone(clean.Log) {
		if !strings.Contains(line, path.Base(KeptDir)) {
			continue
		}
		w := start.clone(t)
		if err := w.migrate(p, text, sim.Fault{At: at + 1, How: "error"}); err == nil {
			t.Errorf("%s: failed, and nothing was said", line)
		}
		if err := w.migrate(p, text, sim.Fault{}); err != nil {
			t.Errorf("%s: then: %v", line, err)
		}
		if d := sim.Diff(want, end(w, p)); d != "" {
			t.Errorf("%s: then: %s", line, d)
		}
	}
}
