package stage

import (
	"fmt"
	"strings"
	"testing"

	"migrate-init/boot"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// grub does what the old GRUB does at a boot, and reports whether it starts the migration.
func (w *world) grub(p *plan.Plan) bool {
	if !w.armed(p) {
		return false
	}
	b := w.block(p)
	b.Armed = false
	w.writeBlock(p, b.Attempt, "")
	setenv(w, "next_entry", "")
	return true
}

// writeBlock writes the environment block as GRUB does: in place.
func (w *world) writeBlock(p *plan.Plan, attempt int, next string) {
	env := boot.NewGrubenv()
	if err := env.Set(boot.NextVariable, next); err != nil {
		w.TB.Fatal(err)
	}
	if err := env.Set(boot.AttemptVariable, fmt.Sprint(attempt)); err != nil {
		w.TB.Fatal(err)
	}
	w.Disks[1].Write(env.Bytes(), p.Target.Node(p.Boot.Block).Part.Start+boot.BlockAt)
	w.Changed()
}

// TestResumeAfterCut: wherever the power is cut before the commit, GRUB starts the migration again, and it ends as one that
// was never cut. The old system never runs in between, and no copy is taken back.
func TestResumeAfterCut(t *testing.T) {
	w, p, text := toSchedule(t)
	if err := schedule(w, p, text); err != nil {
		t.Fatal(err)
	}
	if !w.grub(p) {
		t.Fatal("GRUB does not start what was scheduled")
	}
	start := w.clone(t)
	w.Log, w.Verbs = nil, 0
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	if b := w.block(p); b.Armed || b.Attempt != 1 || !b.Whole {
		t.Errorf("after the migration: %+v", b)
	}
	first, last := 0, 0
	for i, line := range w.Log {
		switch {
		case strings.Contains(line, "boot block: attempt"):
			first = i + 1
		case strings.Contains(line, "boot block: the migration is not started again"):
			last = i + 1
		}
	}
	if first == 0 || last < first {
		t.Fatalf("armed by effect %d, disarmed by effect %d", first, last)
	}
	for _, line := range w.Log[:first-1] {
		if strings.HasPrefix(line, "write ") && !strings.HasPrefix(line, "write journal ") {
			t.Errorf("before the block is armed: %s", line)
		}
	}
	for at := first + 1; at < last; at += 5 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			w := start.clone(t)
			w.Log, w.Verbs = nil, 0
			_ = w.migrate(p, text, sim.Fault{At: at, How: "after"})
			line := w.Log[len(w.Log)-1]
			w.Fault, w.Dead = sim.Fault{}, nil
			if !w.grub(p) {
				t.Fatalf("cut after %q: GRUB does not start the migration again", line)
			}
			if err := w.migrate(p, text, sim.Fault{}); err != nil {
				t.Fatalf("cut after %q: %v", line, err)
			}
			if w.Entered == "" {
				t.Fatalf("cut after %q: the new system is not entered", line)
			}
			if b := w.block(p); b.Armed || b.Attempt != 2 {
				t.Errorf("cut after %q: %+v", line, b)
			}
			for _, told := range w.Told {
				if strings.Contains(told, "the source was in use") {
					t.Errorf("cut after %q: %s", line, told)
				}
			}
		})
	}
}

// TestAttempts: the migration starts as often as the policy says, and the next boot is the old system.
func TestAttempts(t *testing.T) {
	for _, most := range []int{0, 1, 2, 3} {
		w, p, text := toSchedule(t)
		p.Policy.Attempts = most
		if err := schedule(w, p, text); err != nil {
			t.Fatal(err)
		}
		started := 0
		for w.grub(p) {
			if started++; started > 5 {
				break
			}
			// Its attempt is noted first; then comes the cut.
			w.Log, w.Verbs = nil, 0
			_ = w.migrate(p, text, sim.Fault{At: 25, How: "before"})
			w.Fault, w.Dead = sim.Fault{}, nil
		}
		if want := max(1, most); started != want {
			t.Errorf("attempts = %d: started %d times", most, started)
		}
		if b := w.block(p); b.Attempt != started || b.Armed || !b.Whole {
			t.Errorf("attempts = %d: %+v", most, b)
		}
	}
}

// TestFailureDisarms: after a failure, other than a power cut, the old system boots.
func TestFailureDisarms(t *testing.T) {
	w, p, text := toSchedule(t)
	if err := schedule(w, p, text); err != nil {
		t.Fatal(err)
	}
	w.grub(p)
	start := w.clone(t)
	for at := 15; at < 120; at += 9 {
		w := start.clone(t)
		w.Log, w.Verbs = nil, 0
		if err := w.migrate(p, text, sim.Fault{At: at, How: "error"}); err == nil {
			continue
		}
		if w.armed(p) {
			t.Errorf("failed at effect %d (%s), and the next boot starts it again", at, w.Log[at-1])
		}
	}
}

// TestScheduleByBlock: where GRUB cannot write its own environment block, the one on the target starts the migration, GRUB's
// is not touched, and the snippet remembers there, too, that the new system was tried.
func TestScheduleByBlock(t *testing.T) {
	w, p, _ := toSchedule(t)
	p, text := onceBy(t, p, "block")
	before := *w.Trees[sim.OldRoot][grubenv]
	w.Log = nil
	if err := schedule(w, p, text); err != nil {
		t.Fatal(err)
	}
	if last := w.Log[len(w.Log)-1]; !strings.Contains(last, "boot block: the next boot starts the migration to /dev/vdb") {
		t.Errorf("the last effect: %s", last)
	}
	if string(w.Trees[sim.OldRoot][grubenv].Data) != string(before.Data) {
		t.Error("GRUB's own block was written")
	}
	for _, want := range []string{p.Boot.BlockFS, "--hint=hd1,gpt2", "save_env --file \"(${migrate_init_block})/grubenv\" migrate_init_tried"} {
		if !strings.Contains(string(w.custom()), want) {
			t.Errorf("%q is not in custom.cfg", want)
		}
	}
	if !w.grub(p) || w.grub(p) {
		t.Error("GRUB starts it other than once")
	}
	if err := w.migrate(p, text, sim.Fault{}); err != nil || w.Entered == "" {
		t.Errorf("entered %q, %v", w.Entered, err)
	}
}

// TestCancelKeepsTarget: what is on the target beside what schedule wrote stays, and so does the table around it.
func TestCancelKeepsTarget(t *testing.T) {
	for name, change := range map[string]func(w *world, p *plan.Plan, text []byte){
		"a swap area": func(w *world, p *plan.Plan, _ []byte) {
			n := p.Target.Parts(p.NewDisks()[0].Ref)[3]
			w.Disks[1].Write([]byte{1, 0, 0, 0, 0xff, 0, 0, 0}, n.Part.Start+1024)
			w.Disks[1].Write([]byte("SWAPSPACE2"), n.Part.Start+4096-10)
			w.Changed()
		},
		"another table": func(w *world, _ *plan.Plan, _ []byte) {
			d := w.Disks[1]
			d.Write(make([]byte, 34*512), 0)
			d.Write(make([]byte, 34*512), d.Size-34*512)
			mbr := make([]byte, 512)
			copy(mbr[440:], "\x01\x02\x03\x04")
			copy(mbr[446:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0})
			mbr[510], mbr[511] = 0x55, 0xaa
			d.Write(mbr, 0)
			w.Changed()
		},
		"a copy": func(w *world, p *plan.Plan, text []byte) {
			w.grub(p)
			_ = w.migrate(p, text, sim.Fault{At: 60, How: "before"})
			w.Fault, w.Dead = sim.Fault{}, nil
			if err := w.BootInstalled(sim.OldRoot); err != nil {
				w.TB.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, p, text := toSchedule(t)
			if err := schedule(w, p, text); err != nil {
				t.Fatal(err)
			}
			change(w, p, text)
			before := w.Disks[1].Whole
			if err := cancel(w); err != nil {
				t.Fatal(err)
			}
			if w.Disks[1].Whole != before {
				t.Error("the target disk was written")
			}
			if w.armed(p) {
				t.Error("cancelled, and armed")
			}
		})
	}
}
