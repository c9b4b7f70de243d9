package qemutests

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// cut is one power cut at an exact effect.
type cut struct {
	name string
	at   string // where the test build of the tool cuts the power; see pkg/cut
	// quick cuts are in make test too.
	quick bool
	// then is what the migration says when it is started again at once: no old system writes to its disk in between, and what
	// is done stays done. Empty: the machine comes up by itself.
	then string
}

// What a migration that is started again says of what is done.
const (
	copied = "copy: done already"
	found  = "check: the commit was made in an earlier boot"
)

// stageCuts are the power cuts of the migration, in its order: one machine goes through all of them.
func stageCuts() []cut {
	const commit = "rename_/mnt/target/migrate-init/committed"
	return []cut{
		{"prepare", "boot_block:_attempt", false, ""},
		{"prepare, block", "boot_block:_attempt+", false, ""},
		{"prepare, mkfs", "run_mke2fs+50ms", false, ""},
		{"copy", "checkpoint_of+", false, ""},
		{"copy again", "checkpoint_of%2+", true, "copy: the copy of / was interrupted; resuming from its last checkpoint"},
		{"verify", ":_verify:+2s", false, ""},
		{"rewrite", "rewrite_file_/mnt/target/etc/fstab", false, copied},
		{"rewrite, later", "migrate-init-confirm.service+", false, ""},
		{"rebuild", "update-initramfs_-u+8s", true, copied},
		{"rebuild, grub-install", "grub-install_--target+1s", false, ""},
		{"prove", "prove_begin+500ms", false, ""},
		{"commit", "commit_begin", false, ""},
		{"commit, before the rename", commit, true, ""},
		// GRUB does not replay the journal of ext4: until the flush that follows the rename it may boot either system.
		{"commit, after the rename", commit + "+", false, found},
		{"commit, before its record", "commit_done", true, found},
		{"commit, done", "commit_done+", false, ""},
	}
}

// finishCuts are those of finish. Until the resync has ended only the new disk holds everything.
func finishCuts() []cut {
	return []cut{
		{"boot sector", "write_boot_sector", false, ""},
		{"boot sector, written", "write_boot_sector+", false, ""},
		{"table", "write_partition_table+", false, ""},
		{"resync", "ADD_NEW_DISK+1s", true, ""},
		{"before grub-install", "grub-install_--target", false, ""},
		{"grub-install", "grub-install_--target+2s", false, ""},
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
// The image and the tool are the test build.
func powerCut(t *testing.T) {
	r := emptyRig(t, lab.FastDebian())
	vm, _ := r.planned(cutTool(t))
	// One attempt: each cut ends in the old system. TestResume has more.
	r.quiet(vm, `cd /root && sed -i 's/^\( *attempts *=\).*/\1 1/' plan.toml && grep -q 'attempts *= 1$' plan.toml && migrate-init build plan.toml -o migrate.img`)
	var n tally
	r.cutStages(vm, &n)
	r.sameTree()
	r.cutHandover(&n)
	r.cutFinish(&n)
	t.Logf("power cuts: the old system came up %d times, the new %d times, neither %d times", n.old, n.new, n.neither)
	if n.neither != 0 {
		t.Errorf("%d states in which neither system boots", n.neither)
	}
}

// cutTool builds the tool that cuts the power at an effect. The shipped one must have nothing of that.
func cutTool(t *testing.T) string {
	t.Helper()
	names := []string{"migrate.cut", "MIGRATE_INIT_CUT"}
	shipped, out := tool(t), built(t, "-tags", "cuttest")
	for file, want := range map[string]bool{shipped: false, out: true} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if bytes.Contains(b, []byte(name)) != want {
				t.Errorf("%s is in %s: %v, want %v", name, file, !want, want)
			}
		}
	}
	return out
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

// arm schedules the migration, to be cut, and switches the machine off. The parameter stands in the snippet of schedule,
// which the next schedule writes again.
func (r *rig) arm(vm *lab.VM, at string) {
	r.t.Helper()
	// Without a rehearsal, so that some scenario makes the initrds during the migration: HappyPath installs those made before.
	r.must(vm, "cd /root && migrate-init schedule --skip-rehearsal plan.toml --image migrate.img")
	r.quiet(vm, `sed -i 's|^\([[:space:]]*linux [^ ]*\)|\1 migrate.cut=`+at+`|' /boot/grub/custom.cfg && grep -q migrate.cut= /boot/grub/custom.cfg`)
	r.off(vm)
}

// cutStages migrates again and again from the old system that runs as vm, cut at every point, until the new one comes up.
func (r *rig) cutStages(vm *lab.VM, n *tally) {
	r.t.Helper()
	cuts := chosen(stageCuts())
	r.arm(vm, cuts[0].at)
	kernel, image, words := r.scheduledBoot()
	then := ""
	for i, c := range cuts {
		config := lab.Config{Name: "migration, cut in " + c.name, Disks: r.disks()}
		if then != "" {
			config.Kernel, config.Initrd, config.Append = kernel, image, words+" migrate.cut="+c.at
		}
		console := r.cutMigration(config, c)
		if then != "" && !strings.Contains(console, "migrate-init: "+then) {
			r.t.Errorf("started again at once, to be cut in %s, the migration did not say %q; see console.log", c.name, then)
		}
		resumed := strings.Contains(then, "checkpoint")
		last := i+1 == len(cuts)
		if then = c.then; then != "" && !last {
			continue
		}
		vm, root := r.after(c, n)
		st := r.status(vm)
		begun := stagesBegun(console)
		switch {
		case last && root == "new" && st.State == "migrated":
			r.wantLegs(vm, "U_")
			r.showTimes(st)
			r.off(vm)
			return
		case last || root == "new":
			r.t.Fatalf("after the cut in %s the %s system runs, and status says %q", c.name, root, st.State)
		case st.State == "not begun" && begun[len(begun)-1] == "prepare":
		case st.State == "cut short" && partOf(begun).MatchString(st.Reason):
		default:
			r.t.Errorf("after the cut in %s, status in the old system says %q because %q; the consoles saw %v", c.name, st.State, st.Reason, begun)
		}
		if resumed || !full() {
			r.wantResumed(st)
		}
		r.arm(vm, cuts[i+1].at)
	}
}

// cutMigration boots the migration, waits until the power is cut in it, and returns what the console said.
func (r *rig) cutMigration(config lab.Config, c cut) string {
	r.t.Helper()
	vm := r.boot(config)
	r.wantCut(vm, c)
	console := vm.Console.Text()
	said := migrationLines(console)
	r.say("cut in %s (%s), after %.1f s; the last that was said: %s", c.name, c.at, vm.Uptime().Seconds(), said[max(0, len(said)-1):])
	return console
}

// wantCut waits until the guest has cut its power, which ends it as a reset.
func (r *rig) wantCut(vm *lab.VM, c cut) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 12*time.Minute)
	defer cancel()
	m, err := vm.Console.Expect(ctx, `migrate-init: (cut (?:before|after|\S+ after) [^\r\n]*|FAILED: [^\r\n]*|handover: entering)`)
	if err != nil || !strings.HasPrefix(m[1], "cut ") {
		r.t.Fatalf("to be cut in %s (%s): %q, %v; console ends:\n%s", c.name, c.at, m, err, vm.Console.Tail(4000))
	}
	end, err := vm.Wait(ctx)
	if err != nil || end.Reason != "guest-reset" {
		r.t.Fatalf("cut in %s: the machine ended as %s, %v", c.name, end, err)
	}
	r.say("%s: %s", c.name, m[1])
}

// wantResumed wants a part of the copy that took over what an earlier boot had copied, and that was verified afterwards.
func (r *rig) wantResumed(st status) {
	r.t.Helper()
	resumed, verified := "", false
	for _, x := range st.Records {
		if part, ok := strings.CutPrefix(x.Stage, "copy:"); ok && x.Event == "done" && x.Facts["resumed"] != "" && x.Facts["resumed"] != "0" {
			resumed, verified = part, false
			r.say("%s: %s names were there already, of %s files and %s directories", x.Text, x.Facts["resumed"], x.Facts["files"], x.Facts["dirs"])
		}
		verified = verified || x.Stage == "verify:"+resumed && x.Event == "done"
	}
	if resumed == "" {
		r.t.Error("no copy in the journal went on from where an earlier boot was cut")
	}
	if full() {
		return // the cut was in verify
	}
	if !verified {
		r.t.Errorf("copy %s went on, and was not verified afterwards", resumed)
	}
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
	names := append([]string{"make", "set", "look"}, begun[max(0, len(begun)-2):]...) // the first three: steps of one volume
	return regexp.MustCompile(`^the machine stopped (during|after) (\S+: )?(` + strings.Join(names, "|") + `)\b`)
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
	r.refused(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img", "already been carried out")
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
	// The tool that the migrated system has is the test build.
	go func() { _, _ = vm.Run(r.slow(), "MIGRATE_INIT_CUT="+c.at+" "+finish) }()
	r.wantCut(vm, c)
	whole := strings.Contains(c.at, "grub-install")
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
