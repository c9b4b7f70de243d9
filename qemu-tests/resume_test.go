package qemutests

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"migrate-init/qemu-tests/lab"
)

// TestResume: the power fails in prepare, in the copy and in verify, and GRUB starts the migration again by the block on the
// new disk, without the old system in between. After as many attempts as the plan allows, the old system boots. What was
// copied before the cut is copied again only as far as it came after the last checkpoint.
func TestResume(t *testing.T) {
	r := emptyRig(t, lab.FastDebian())
	vm, _ := r.planned(cutTool(t))
	var n tally
	const early, inCopy, inVerify = "run_mke2fs+50ms", "checkpoint_of%6+4s", ":_verify:+500ms"

	r.arm(vm, strings.Join([]string{early, early, early}, ","))
	for _, name := range []string{"first", "second", "third"} {
		r.cutMigration(lab.Config{Name: name + " attempt, cut in prepare", Disks: r.disks()}, cut{name: "prepare, " + name + " attempt", at: early})
	}
	vm, root := r.after(cut{name: "prepare, three times"}, &n)
	st := r.status(vm)
	if root != "old" || st.State != "cut short" || !strings.Contains(st.Reason, "it was the last of 3 attempts in a row") {
		t.Fatalf("after three attempts the %s system runs: %q because %q", root, st.State, st.Reason)
	}

	// A source so slow that the checkpoints, which come every five seconds, are seldom for what is copied between them: were
	// it faster, a copy as short as this one would end before many of them.
	r.must(vm, "cd /root && migrate-init cancel && mdadm --stop --scan && blkdiscard --force /dev/vdb && blockdev --rereadpt /dev/vdb && udevadm settle && migrate-init plan --to raid1 --disk /dev/vdb --engine extent && migrate-init check plan.toml && migrate-init build plan.toml -o migrate.img")
	r.arm(vm, inCopy+","+inVerify)
	slow := r.oldDisk()
	slow.BytesPerSecond = 5 << 20
	before := allocated(t, r.new)
	r.cutMigration(lab.Config{Name: "migration, cut in copy", Disks: []lab.Disk{slow, r.newDisk()}}, cut{name: "copy", at: inCopy})
	written := allocated(t, r.new) - before
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
	again, all := st.copiedTwice(t, written)
	r.say("measured: %d of %d bytes of the root were copied twice (%.1f %%)", again, all, 100*float64(again)/float64(all))
	if again < 0 || again*10 > all || all < 200<<20 {
		t.Errorf("%d of %d bytes were copied twice, want at most a tenth, of 200 MiB or more", again, all)
	}
	r.off(vm)
}

// copiedTwice is what of the root was copied by blocks again, of all its bytes, when its first attempt had written that many.
func (s status) copiedTwice(t *testing.T, written int64) (again, all int64) {
	t.Helper()
	for _, x := range s.Records {
		if strings.HasPrefix(x.Stage, "copy:") && x.Text == "/" && x.Event == "done" {
			there, err := strconv.ParseInt(x.Facts["resumed"], 10, 64)
			if err != nil {
				t.Fatalf("the copy of / was not resumed: %v", x.Facts)
			}
			rest, err := strconv.ParseInt(x.Facts["bytes"], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			again, all = written-there, there+rest
		}
	}
	return again, all
}

// allocated is how many bytes of a file its filesystem stores: of a disk's image, what was ever written.
func allocated(t *testing.T, file string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
