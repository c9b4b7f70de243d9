package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

const (
	customCfg = "boot/grub/custom.cfg"
	grubenv   = "boot/grub/grubenv"
)

func schedule(w *world, p *plan.Plan, text []byte) error {
	f, err := w.Look(context.Background(), survey.Whole)
	if err != nil {
		return err
	}
	pf := Preflight{Loaders: loader.Known(), Plan: p, When: plan.Live, Facts: f, Root: w.View(), Sys: w.View(), Machine: w}
	if err := pf.Ask(context.Background()).Err(); err != nil {
		return err
	}
	steps, err := Schedule(loader.Known(), p, f, w.View(), text, "/root/migrate.img", nil, w.Open)
	if err != nil {
		return err
	}
	return w.run(p, text, f, steps)
}

// journal reads a plan's journal, where there is one.
func (w *world) journal(p *plan.Plan, f *plan.Facts) (Records, error) {
	d, err := f.Volume(p, p.Journal)
	if err != nil || d == nil {
		return nil, err
	}
	rs, err := ReadJournal(w.Dev(d.Name), p.ID, d.Size)
	if errors.Is(err, ErrNoJournal) {
		err = nil
	}
	return rs, err
}

// run carries out the steps of schedule.
func (w *world) run(p *plan.Plan, text []byte, f *plan.Facts, steps Steps) error {
	e := w.env(p, text)
	e.Facts = f
	return steps.Run(context.Background(), e)
}

func cancel(w *world) error {
	st, err := ReadScheduled(loader.Known(), w.View())
	if err != nil || st == nil {
		return fmt.Errorf("scheduled: %v, %w", st, err)
	}
	f, err := w.Look(context.Background(), survey.Whole)
	if err != nil {
		return err
	}
	var rs Records
	text, err := fs.ReadFile(w.View(), "var/lib/migrate-init/plan.toml")
	if err != nil {
		text = nil
	}
	p, err := plan.Read(bytes.NewReader(text))
	if err != nil || p.ID != st.Plan {
		p = nil
	} else if rs, err = w.journal(p, f); err != nil {
		return err
	}
	effs, stays, err := Cancel(loader.Known(), st, w.View(), p, f, rs, w.Open)
	if err != nil {
		return err
	}
	w.Told = append(w.Told, stays)
	return doAll(w, effs)
}

// env edits the environment block as grub-editenv or GRUB would.
func setenv(w *world, kv ...string) {
	tree := w.Trees[sim.OldRoot]
	g, err := boot.ParseGrubenv(tree[grubenv].Data)
	if err != nil {
		w.TB.Fatal(err)
	}
	for i := 0; i < len(kv); i += 2 {
		if kv[i+1] == "" {
			g.Unset(kv[i])
		} else if err := g.Set(kv[i], kv[i+1]); err != nil {
			w.TB.Fatal(err)
		}
	}
	tree[grubenv] = &fstest.MapFile{Data: g.Bytes(), Mode: tree[grubenv].Mode}
}

// toSchedule is the old system with a plan and an image.
func toSchedule(t *testing.T) (*world, *plan.Plan, []byte) {
	w := newWorld(t)
	maps.Copy(w.Trees[sim.OldRoot], sim.Files(map[string]string{"root/migrate.img": "image", "var/lib/x": ""}))
	p, b := planned(t, w, nil)
	return w, p, b
}

func TestCancelRestores(t *testing.T) {
	custom := func(s string) func(*world) {
		return func(w *world) { w.Trees[sim.OldRoot][customCfg] = &fstest.MapFile{Data: []byte(s), Mode: 0o600} }
	}
	for name, prepare := range map[string]func(*world){
		"none":                            func(*world) {},
		"custom":                          custom("menuentry 'mine' {\n\ttrue\n}\n"),
		"custom, no end":                  custom("menuentry 'mine' {\n\ttrue\n}"),
		"custom is empty":                 custom(""),
		"environment":                     func(w *world) { setenv(w, "saved_entry", "gnulinux-simple", "recordfail", "1") },
		"a one-shot of the administrator": func(w *world) { setenv(w, "next_entry", "memtest") },
		"migrated before": func(w *world) {
			maps.Copy(w.Trees[sim.OldRoot], sim.Files(map[string]string{"var/lib/migrate-init/plan.toml": "that plan", "var/lib/migrate-init/report.txt": "that report"}))
		},
		"odd environment block": func(w *world) {
			f := w.Trees[sim.OldRoot][grubenv]
			b := []byte("# GRUB Environment Block\n# a comment\nz=1\na=2\n")
			w.Trees[sim.OldRoot][grubenv] = &fstest.MapFile{Data: append(b, strings.Repeat("#", 1024-len(b))...), Mode: f.Mode}
		},
	} {
		for _, then := range []struct {
			name string
			do   func(*testing.T, *world, *plan.Plan, []byte)
		}{
			{"at once", func(*testing.T, *world, *plan.Plan, []byte) {}},
			{"after GRUB ran it", func(_ *testing.T, w *world, p *plan.Plan, _ []byte) { setenv(w, "next_entry", "") }},
			{"after GRUB tried the new system", func(_ *testing.T, w *world, p *plan.Plan, _ []byte) {
				setenv(w, "next_entry", "", boot.TriedVariable, p.ID)
			}},
			{"scheduled twice", func(t *testing.T, w *world, p *plan.Plan, b []byte) {
				if err := schedule(w, p, b); err != nil {
					t.Fatal(err)
				}
			}},
			{"scheduled again after GRUB ran it", func(t *testing.T, w *world, p *plan.Plan, b []byte) {
				setenv(w, "next_entry", "")
				if err := schedule(w, p, b); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			t.Run(name+"/"+then.name, func(t *testing.T) {
				w, p, b := toSchedule(t)
				prepare(w)
				before, disk := maps.Clone(w.Trees[sim.OldRoot]), w.Disks[1].Whole
				if err := schedule(w, p, b); err != nil {
					t.Fatal(err)
				}
				g, _ := boot.ParseGrubenv(w.Trees[sim.OldRoot][grubenv].Data)
				if v, _ := g.Get("next_entry"); v != boot.MigrateEntryID(p.ID) {
					t.Errorf("next_entry is %q", v)
				}
				then.do(t, w, p, b)
				if err := cancel(w); err != nil {
					t.Fatal(err)
				}
				if d := sim.Diff(before, w.Trees[sim.OldRoot]); d != "" {
					t.Error(d)
				}
				if w.Disks[1].Whole != disk {
					t.Error("the target disk is not as it was")
				}
			})
		}
	}
}

// TestCancelKeepsOthers: what a third party wrote meanwhile stays, and what schedule wrote goes.
func TestCancelKeepsOthers(t *testing.T) {
	w, p, b := toSchedule(t)
	if err := schedule(w, p, b); err != nil {
		t.Fatal(err)
	}
	tree := w.Trees[sim.OldRoot]
	tree[customCfg] = &fstest.MapFile{Data: append([]byte("# before\n"), append(tree[customCfg].Data, "# after\n"...)...), Mode: 0o600}
	setenv(w, "saved_entry", "x")
	if err := cancel(w); err != nil {
		t.Fatal(err)
	}
	if got := string(tree[customCfg].Data); got != "# before\n# after\n" {
		t.Errorf("custom.cfg: %q", got)
	}
	g, err := boot.ParseGrubenv(tree[grubenv].Data)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := g.Get("saved_entry"); v != "x" || len(g.Keys()) != 1 {
		t.Errorf("environment: %v", g.Keys())
	}
}

// TestScheduleFailure: whatever effect of schedule fails or is the last before a power cut, nothing is armed before the
// last one, and cancel brings back what was; so does cancel that was itself cut short.
func TestScheduleFailure(t *testing.T) {
	for _, once := range []string{"next_entry", "block"} {
		t.Run(once, func(t *testing.T) { scheduleFailure(t, once) })
	}
}

// onceBy is a plan whose boot loader starts the migration by another mechanism.
func onceBy(t *testing.T, p *plan.Plan, once string) (*plan.Plan, []byte) {
	t.Helper()
	q := *p
	q.Boot.Own = maps.Clone(p.Boot.Own)
	q.Boot.Own["once"] = once
	text, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &q, text
}

// armed reports whether the next boot starts the migration.
func (w *world) armed(p *plan.Plan) bool {
	env, err := boot.ParseGrubenv(w.Trees[sim.OldRoot][grubenv].Data)
	if err != nil {
		w.TB.Fatal(err)
	}
	next, _ := env.Get("next_entry")
	id, err := boot.SnippetPlan(w.custom())
	if err != nil {
		w.TB.Fatal(err)
	}
	return next == boot.MigrateEntryID(p.ID) || id == p.ID && w.block(p).Armed
}

func (w *world) custom() []byte {
	if f := w.Trees[sim.OldRoot][customCfg]; f != nil {
		return f.Data
	}
	return nil
}

// block is the block on the target.
func (w *world) block(p *plan.Plan) loader.Block {
	l, err := loader.Known().Of(p)
	if err != nil {
		w.TB.Fatal(err)
	}
	n := p.Target.Node(p.Boot.Block)
	b, err := l.Block.Read(p, io.NewSectionReader(w.Disks[1], n.Part.Start, n.Size))
	if err != nil {
		w.TB.Fatal(err)
	}
	return b
}

// pagesOf lists where a disk is not zero.
func pagesOf(d *sim.Disk) (out []int64) {
	for at := range d.Pages() {
		out = append(out, at)
	}
	return out
}

func scheduleFailure(t *testing.T, once string) {
	toSchedule := func(t *testing.T) (*world, *plan.Plan, []byte) {
		w, p, _ := toSchedule(t)
		p, b := onceBy(t, p, once)
		return w, p, b
	}
	w, p, b := toSchedule(t)
	before := maps.Clone(w.Trees[sim.OldRoot])
	empty := w.Disks[1].Whole
	w.Log, w.Verbs = nil, 0
	if err := schedule(w, p, b); err != nil {
		t.Fatal(err)
	}
	n := len(w.Log)
	if !w.armed(p) {
		t.Fatal("scheduled, and not armed")
	}
	if err := cancel(w); err != nil {
		t.Fatal(err)
	}
	all := len(w.Log)
	for _, how := range []string{"error", "late", "before", "torn", "after"} {
		for at := 1; at <= all; at++ {
			w, p, b := toSchedule(t)
			w.Log, w.Verbs, w.Fault = nil, 0, sim.Fault{At: at, How: how}
			err := schedule(w, p, b)
			if w.armed(p) && at < n {
				t.Errorf("%s at %d: armed", how, at)
			}
			if at > n {
				if err != nil {
					t.Fatal(err)
				}
				if err := cancel(w); err == nil {
					t.Fatalf("%s at %d: cancel said nothing", how, at)
				}
			}
			w.Fault, w.Dead = sim.Fault{}, nil
			if st, err := ReadScheduled(loader.Known(), w.View()); err != nil {
				t.Fatal(err)
			} else if st != nil {
				if err := cancel(w); err != nil {
					t.Fatalf("%s at %d: %v", how, at, err)
				}
			}
			// An empty directory may stay where the first or the last effect was cut.
			if err := doAll(w, []machine.Effect{machine.Remove{Path: StateDir}}); err != nil {
				t.Errorf("%s at %d, then cancel: %v", how, at, err)
			}
			if d := sim.Diff(before, w.Trees[sim.OldRoot]); d != "" {
				t.Errorf("%s at %d, then cancel: %s", how, at, d)
			}
			if w.Disks[1].Whole != empty {
				t.Errorf("%s at %d, then cancel: the target disk is not as it was: %v %q", how, at, pagesOf(w.Disks[1]), w.Told)
			}
		}
	}
}

// TestCancelStuck: a file that someone removed or broke meanwhile keeps nothing armed unsaid.
func TestCancelStuck(t *testing.T) {
	w, p, b := toSchedule(t)
	if err := schedule(w, p, b); err != nil {
		t.Fatal(err)
	}
	tree := w.Trees[sim.OldRoot]
	env, custom := *tree[grubenv], *tree[customCfg]
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"environment": {func() { tree[grubenv] = &fstest.MapFile{Data: []byte("x")} }, "grub-editenv /boot/grub/grubenv unset next_entry"},
		"snippet": {func() {
			tree[customCfg] = &fstest.MapFile{Data: custom.Data[:len(custom.Data)-10], Mode: custom.Mode}
		}, "may still be armed; remove the lines of migrate-init there by hand"},
	} {
		c.change()
		w.Log = nil
		if err := cancel(w); err == nil || !strings.Contains(err.Error(), c.want) || len(w.Log) > 0 {
			t.Errorf("%s: %v, did %v", name, err, w.Log)
		}
		tree[grubenv], tree[customCfg] = &env, &custom
	}
	delete(tree, grubenv)
	if err := cancel(w); err != nil {
		t.Fatal(err)
	}
	if st, err := ReadScheduled(loader.Known(), w.View()); st != nil || err != nil || tree[customCfg] != nil {
		t.Errorf("left: %v, %v, %v", st, err, tree[customCfg])
	}
}

func TestScheduleOther(t *testing.T) {
	w, p, b := toSchedule(t)
	if err := schedule(w, p, b); err != nil {
		t.Fatal(err)
	}
	setenv(w, "next_entry", "")
	q := *p
	q.ID = "ffffffff-0000-4000-8000-000000000000"
	if err := schedule(w, &q, b); err == nil || !strings.Contains(err.Error(), "migrate-init cancel") {
		t.Errorf("another plan over a scheduled one: %v", err)
	}
}

func TestReadScheduled(t *testing.T) {
	if st, err := ReadScheduled(loader.Known(), fstest.MapFS{}); st != nil || err != nil {
		t.Errorf("%v, %v", st, err)
	}
	if _, err := ReadScheduled(loader.Known(), fstest.MapFS{strings.TrimPrefix(ScheduleFile, "/"): {Data: []byte("{")}}); err == nil {
		t.Error("a cut file was accepted")
	}
	if _, err := ReadScheduled(loader.Known(), fstest.MapFS{strings.TrimPrefix(ScheduleFile, "/"): {Data: []byte(`{"plan":"x"}`)}}); err == nil || !strings.Contains(err.Error(), "with the version that scheduled") {
		t.Errorf("a record without a boot loader: %v", err)
	}
}

// TestCancelOldRecord: a schedule that the version before pkg/loader made, whose record holds GRUB's fields among its own.
func TestCancelOldRecord(t *testing.T) {
	for name, custom := range map[string][]byte{"none": nil, "empty": {}, "own": []byte("set x=1\n")} {
		t.Run(name, func(t *testing.T) {
			w, p, b := toSchedule(t)
			tree := w.Trees[sim.OldRoot]
			if custom != nil {
				tree[customCfg] = &fstest.MapFile{Data: custom, Mode: 0o600}
			}
			before := maps.Clone(tree)
			old, err := json.Marshal(map[string]any{"plan": p.ID, "boot": "b", "custom": custom, "grubenv": tree[grubenv].Data, "kernel": ScheduledKernel(p), "image": ScheduledImage(p),
				"custom_path": "/" + customCfg, "env_path": "/" + grubenv, "made_dir": "1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := schedule(w, p, b); err != nil {
				t.Fatal(err)
			}
			tree[strings.TrimPrefix(ScheduleFile, "/")] = &fstest.MapFile{Data: old, Mode: 0o600}
			if err := cancel(w); err != nil {
				t.Fatal(err)
			}
			if d := sim.Diff(before, tree); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestScheduleRefuses: what would only be found after the copy, or never, is refused while the old system runs.
func TestScheduleRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		want   []string
	}{
		"no module": {func(m fstest.MapFS) { delete(m, "boot/grub/i386-pc/mdraid1x.mod") },
			[]string{"/boot/grub/i386-pc/mdraid1x.mod: missing", "; grub-install /dev/vda"}},
		"an empty module": {func(m fstest.MapFS) { m["boot/grub/i386-pc/diskfilter.mod"] = &fstest.MapFile{} }, []string{"diskfilter.mod: missing"}},
		"no modules": {func(m fstest.MapFS) {
			for n := range m {
				if strings.HasSuffix(n, ".mod") {
					delete(m, n)
				}
			}
		}, []string{"boot loader /boot/grub: no directory", "grub-install"}},
		"a setting that stays": {func(m fstest.MapFS) {
			m["etc/grub.d/40_custom"] = &fstest.MapFile{Data: []byte("#!/bin/sh\necho linux /vmlinuz root=/dev/vda2\n"), Mode: 0o755}
		}, []string{"/etc/grub.d/40_custom: still names /dev/vda2", "name the filesystem by UUID"}},
		"a value of the shell": {func(m fstest.MapFS) {
			m["etc/default/grub"] = &fstest.MapFile{Data: []byte("GRUB_CMDLINE_LINUX=\"$A root=/dev/vda2\"\n")}
		}, []string{"/etc/default/grub", "names /dev/vda2"}},
		"no program may run there": {func(m fstest.MapFS) {
			m["etc/fstab"] = &fstest.MapFile{Data: append(m["etc/fstab"].Data, "UUID=99999999-9999-4999-8999-999999999999 /var/ ext4 nodev,noexec 0 2\n"...)}
		}, []string{"/etc/fstab: line", "/var/ is mounted noexec", "until finish"}},
		"mdadm.conf": {func(m fstest.MapFS) {
			m["etc/mdadm"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			m["etc/mdadm/mdadm.conf"] = &fstest.MapFile{Data: []byte("ARRAY /dev/md9 devices=/dev/vd*\n")}
		}, []string{"/etc/mdadm/mdadm.conf: line 1", "name that array by its UUID"}},
		"fstab without root": {func(m fstest.MapFS) {
			f := m["etc/fstab"]
			m["etc/fstab"] = &fstest.MapFile{Data: []byte(strings.Replace(string(f.Data), "UUID="+sim.OldRoot+" /", "#", 1))}
		}, []string{"/etc/fstab: /"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, p, b := toSchedule(t)
			c.change(w.Trees[sim.OldRoot])
			err := schedule(w, p, b)
			if err == nil {
				t.Fatal("scheduled")
			}
			for _, s := range c.want {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q is not in: %v", s, err)
				}
			}
		})
	}
}
