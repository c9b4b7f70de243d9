package qemutests

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// cut is one power cut: when the machine has said a line, and this much later.
type cut struct {
	name, line string
	delay      time.Duration
	quick      bool // in make test too
	direct     bool // the migration is started again at once: no old system writes to its disk in between, and what is done stays done
}

// stageCuts are the power cuts of the migration, in its order: one machine goes through all of them.
func stageCuts() []cut {
	return []cut{
		{"prepare", `prepare: begins`, 0, false, false},
		{"prepare, table", `prepare: partition table`, 100 * time.Millisecond, false, false},
		{"prepare, arrays", `prepare: (ext4|swap) `, 50 * time.Millisecond, false, false},
		{"copy", `copy: /, `, 1500 * time.Millisecond, true, false},
		{"copy again", `copy: /, `, 4 * time.Second, false, false},
		{"verify", `verify: begins`, 2 * time.Second, false, false},
		{"rewrite", `rewrite: begins`, 200 * time.Millisecond, false, true},
		{"rewrite, later", `rewrite: begins`, 400 * time.Millisecond, false, false},
		{"rebuild", `rebuild: begins`, 8 * time.Second, true, true},
		{"rebuild, grub-install", `rebuild: [^\r\n]*grub-install`, time.Second, false, false},
		{"prove", `prove: begins`, 500 * time.Millisecond, false, false},
		{"commit", `commit: begins`, 0, false, false},
		{"commit, later", `commit: begins`, 400 * time.Millisecond, true, false},
		{"commit, done", `commit: done`, 0, true, false},
	}
}

// finishCuts are those of finish. Until the resync has ended only the new disk holds everything.
func finishCuts() []cut {
	return []cut{
		{"boot sector", `boot sector of`, 10 * time.Millisecond, false, false},
		{"table", `partition table`, 50 * time.Millisecond, false, false},
		{"resync", `resync of`, time.Second, true, false},
		{"before grub-install", `grub-install`, 0, false, false},
		{"grub-install", `grub-install`, 2 * time.Second, false, false},
	}
}

func chosen(cuts []cut) []cut {
	if full() {
		return cuts
	}
	var out []cut
	for _, c := range cuts {
		if c.quick {
			out = append(out, c)
		}
	}
	return out
}

// tally counts what came up after the cuts.
type tally struct{ old, new, neither int }

// powerCut cuts the power in every stage. After each cut the machine must come up by itself, as the old system or the new.
func powerCut(t *testing.T, s *stock) {
	r := take(t, s.scheduled(t))
	var n tally
	committed := r.cutStages(&n)
	if !committed {
		vm := r.start("the migration, at last")
		r.follow(vm)
		r.ready(vm)
		r.wantRoot(vm, "new")
		r.wantLegs(vm, "U_")
		r.showTimes(r.status(vm))
		r.off(vm)
	}
	r.sameTree()
	r.cutHandover(&n)
	r.cutFinish(&n)
	t.Logf("power cuts: the old system came up %d times, the new %d times, neither %d times", n.old, n.new, n.neither)
	if n.neither != 0 {
		t.Errorf("%d states in which neither system boots", n.neither)
	}
}

// after boots a machine whose power was cut and tells which system came up.
func (r *rig) after(c cut, n *tally) (*lab.VM, string) {
	r.t.Helper()
	vm := r.start("after the cut in " + c.name)
	state, err := vm.Ready(r.slow())
	if err != nil {
		n.neither++
		r.t.Fatalf("after the cut in %s: neither system came up: %v", c.name, err)
	}
	root := r.root(vm)
	r.say("after the cut in %s: the %s system is %s, %.1f s", c.name, root, state, vm.Uptime().Seconds())
	switch root {
	case "old":
		n.old++
	case "new":
		n.new++
	default:
		n.neither++
		r.t.Fatalf("after the cut in %s: root is on %s", c.name, root)
	}
	if state != "running" {
		out, _ := vm.MustRun(r.ctx, "systemctl --failed --no-legend")
		r.t.Errorf("after the cut in %s: systemd is %s: %s", c.name, state, out)
	}
	return vm, root
}

// cutStages arms the migration again and again and returns whether it was committed in the end.
func (r *rig) cutStages(n *tally) bool {
	r.t.Helper()
	kernel, image, words := r.scheduledBoot()
	direct := false
	for _, c := range chosen(stageCuts()) {
		config := lab.Config{Name: "migration, cut in " + c.name, Disks: r.disks()}
		if direct {
			config.Kernel, config.Initrd, config.Append = kernel, image, words
		}
		vm := r.boot(config)
		ctx, cancel := context.WithTimeout(r.ctx, 25*time.Minute)
		m, err := vm.Console.Expect(ctx, `migrate-init: (`+c.line+`|FAILED|handover: entering)`)
		cancel()
		if err != nil || !regexp.MustCompile(c.line).MatchString(m[1]) {
			r.t.Fatalf("migration, to be cut in %s: %q, %v", c.name, m, err)
		}
		time.Sleep(c.delay)
		if err := vm.Cut(); err != nil {
			r.t.Fatal(err)
		}
		said := migrationLines(vm.Console.Tail(3000))
		begun := stagesBegun(vm.Console.Text())
		r.say("cut in %s, after %.1f s; the last that was said: %s", c.name, vm.Uptime().Seconds(), said[max(0, len(said)-1):])
		if direct && !strings.Contains(vm.Console.Text(), "migrate-init: copy: done already") {
			r.t.Errorf("started again at once, the migration did not go on from its journal; see console.log")
		}
		if direct = c.direct; direct {
			continue
		}
		vm, root := r.after(c, n)
		st := r.status(vm)
		switch {
		case root == "new" && slices.Contains(begun, "commit") && st.State == "migrated":
			r.off(vm)
			return true
		case root == "new":
			r.t.Fatalf("after the cut in %s the new system runs, and status says %q", c.name, st.State)
		case st.State == "not begun" && begun[len(begun)-1] == "prepare":
		case st.State == "cut short" && partOf(begun).MatchString(st.Reason):
		default:
			r.t.Errorf("after the cut in %s, status in the old system says %q because %q; the consoles saw %v", c.name, st.State, st.Reason, begun)
		}
		r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
		r.off(vm)
	}
	return false
}

// stagesBegun are the stages that a console saw begin.
func stagesBegun(console string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`migrate-init: (\w+): begins`).FindAllStringSubmatch(console, -1) {
		out = append(out, m[1])
	}
	return out
}

// partOf matches the reason of a migration that stopped in the last stage that it told of, or before it could note that
// in its journal.
func partOf(begun []string) *regexp.Regexp {
	names := append([]string{"mkfs", "settle"}, begun[max(0, len(begun)-2):]...)
	return regexp.MustCompile("^stage (" + strings.Join(names, "|") + `)\b`)
}

func migrationLines(console string) []string {
	return regexp.MustCompile(`migrate-init: [^\r\n]*`).FindAllString(console, -1)
}

// cutHandover tries the new system and cuts it before it confirms that it runs: the next boot is the old one, and the
// new one can be chosen again.
func (r *rig) cutHandover(n *tally) {
	r.t.Helper()
	if !full() {
		return
	}
	// As the commit left it: not confirmed, not tried.
	vm := r.comesUp("new system, to be rolled back", "new")
	r.must(vm, "rm /migrate-init/confirmed-*; sync")
	if err := vm.Cut(); err != nil {
		r.t.Fatal(err)
	}
	vm = r.start("first try of the new system")
	if _, err := vm.Console.Expect(r.slow(), `Loading initial ramdisk`); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := vm.Cut(); err != nil {
		r.t.Fatal(err)
	}
	vm, root := r.after(cut{name: "the first boot of the new system"}, n)
	st := r.status(vm)
	if root != "old" || st.State != "old system after a commit" {
		r.t.Fatalf("an unconfirmed new system was cut: the %s system came up and says %q", root, st.State)
	}
	r.refused(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img", "committed already")
	// The entry of the boot menu, chosen as one does without a keyboard.
	r.must(vm, "grub-reboot migrate-init-new-"+st.Plan)
	r.off(vm)
	r.off(r.comesUp("the new system, chosen from the menu", "new"))
	r.off(r.comesUp("the new system, confirmed", "new"))
}

// cutFinish cuts finish at its own points, each on a copy of the migrated machine, and has it go on in the boot that
// follows.
func (r *rig) cutFinish(n *tally) {
	r.t.Helper()
	for _, c := range chosen(finishCuts()) {
		w := *r
		w.old, w.new = filepath.Join(r.dir, "old-finish.raw"), filepath.Join(r.dir, "new-finish.raw")
		w.copyDisk(w.old, r.old)
		w.copyDisk(w.new, r.new)
		w.cutFinishAt(c, n)
	}
}

func (r *rig) cutFinishAt(c cut, n *tally) {
	r.t.Helper()
	vm := r.comesUp("finish", "new")
	finish := "migrate-init finish 2>&1"
	if full() {
		// The old system ran after the commit, in cutHandover.
		r.refused(vm, "migrate-init finish", "it changed since it was copied")
		finish = "migrate-init finish --discard-changes 2>&1"
	}
	if c.name == "resync" {
		// This disk is whole again within one look at the machine.
		r.quiet(vm, "echo 20000 >/proc/sys/dev/raid/speed_limit_max")
	}
	seen := &spotter{want: regexp.MustCompile(c.line), found: make(chan struct{})}
	ended := make(chan error, 1)
	ctx := r.slow()
	go func() {
		_, err := vm.RunTo(ctx, finish, seen)
		ended <- err
	}()
	select {
	case <-seen.found:
		time.Sleep(c.delay)
	case err := <-ended:
		r.t.Fatalf("finish, to be cut at %s, ended (%v) and said:\n%s", c.name, err, seen.text)
	}
	if err := vm.Cut(); err != nil {
		r.t.Fatal(err)
	}
	<-ended
	r.say("finish was cut at %s; it had said:\n%s", c.name, seen.text)
	whole := strings.Contains(c.line, "grub-install")
	c.name = "finish, " + c.name
	r.aloneAfter(r.newDisk(), c, n)
	if whole {
		r.aloneAfter(r.oldDisk(), c, n)
	}
	vm, root := r.after(c, n)
	if root != "new" {
		r.t.Fatalf("after the cut in %s the %s system came up", c.name, root)
	}
	r.legs(vm)
	if st := r.status(vm); st.State != "finishing" {
		r.t.Errorf("after the cut in %s, status says %q", c.name, st.State)
	}
	r.refused(vm, "migrate-init rollback", "no old system to go back to")
	r.must(vm, finish)
	r.wantLegs(vm, "UU")
	if st := r.status(vm); st.State != "finished" {
		r.t.Errorf("status says %q", st.State)
	}
	r.off(vm)
	// HappyPath boots the new disk alone; the old one is what finish works on.
	if full() {
		r.alone(r.oldDisk())
	}
}

// aloneAfter boots a copy of one disk as the cut left it.
func (r *rig) aloneAfter(d lab.Disk, c cut, n *tally) {
	r.t.Helper()
	if !full() {
		return
	}
	copied := lab.Disk{File: r.dir + "/alone.raw", Serial: d.Serial}
	r.copyDisk(copied.File, d.File)
	vm := r.start(d.Serial+" disk alone, after the cut in "+c.name, copied)
	state, err := vm.Ready(r.slow())
	if err != nil || r.root(vm) != "new" {
		n.neither++
		r.t.Fatalf("the %s disk alone, after the cut in %s: %s, %v", d.Serial, c.name, state, err)
	}
	n.new++
	r.off(vm)
}

// spotter says when a line that matches has come by.
type spotter struct {
	want  *regexp.Regexp
	text  []byte
	found chan struct{}
	done  bool
}

// Write implements io.Writer.
func (s *spotter) Write(b []byte) (int, error) {
	s.text = append(s.text, b...)
	if !s.done && s.want.Match(s.text) {
		s.done = true
		close(s.found)
	}
	return len(b), nil
}
