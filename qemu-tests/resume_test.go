package qemutests

import (
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestResume: the power fails in prepare, in the copy and in verify, and GRUB starts the migration again by the block on the
// new disk, without the old system in between. After as many attempts as the plan allows, the old system boots.
func TestResume(t *testing.T) {
	r := emptyRig(t, lab.FastDebian())
	vm, _ := r.planned(cutTool(t))
	var n tally
	const early, inCopy, inVerify = "run_mke2fs+50ms", "checkpoint_of%2+", ":_verify:+2s"

	r.arm(vm, strings.Join([]string{early, early, early}, ","))
	for _, name := range []string{"first", "second", "third"} {
		r.cutMigration(lab.Config{Name: name + " attempt, cut in prepare", Disks: r.disks()}, cut{name: "prepare, " + name + " attempt", at: early})
	}
	vm, root := r.after(cut{name: "prepare, three times"}, &n)
	st := r.status(vm)
	if root != "old" || st.State != "cut short" || !strings.Contains(st.Reason, "it was the last of 3 attempts in a row") {
		t.Fatalf("after three attempts the %s system runs: %q because %q", root, st.State, st.Reason)
	}

	r.arm(vm, inCopy+","+inVerify)
	r.cutMigration(lab.Config{Name: "migration, cut in copy", Disks: r.disks()}, cut{name: "copy", at: inCopy})
	said := r.cutMigration(lab.Config{Name: "started again, cut in verify", Disks: r.disks()}, cut{name: "verify", at: inVerify})
	if !strings.Contains(said, "the copy of / was interrupted; resuming from its last checkpoint") {
		t.Error("the copy was not resumed; see console.log")
	}
	vm = r.start("started again")
	r.follow(vm)
	if said := vm.Console.Text(); !strings.Contains(said, "copy: done already") || !strings.Contains(said, "attempt 3 of 3") || strings.Contains(said, "is copied again") {
		t.Errorf("the third attempt did not continue after the copy; console ends:\n%s", vm.Console.Tail(4000))
	}
	r.ready(vm)
	r.wantRoot(vm, "new")
	st = r.status(vm)
	if st.State != "migrated" {
		t.Errorf("status says %q", st.State)
	}
	r.wantResumed(st)
	r.off(vm)
}
