package qemutests

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// raidLayout is one disk that becomes an array of several, and what is pulled out afterwards.
type raidLayout struct {
	words string // of plan, without the disks
	news  int
	size  int64 // of each new disk

	before, after string // the arrays as /proc/mdstat draws them, before and after finish
	pull          [][]string
	cut           bool // the power fails while the new system writes
	untouched     bool // finish leaves the old disk as it is, to the byte
}

// moves carries a system to the layout, looks at it before and after finish, and boots it without each set of disks.
func (c raidLayout) moves(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	t.Parallel()
	var to []blank
	for range c.news {
		to = append(to, blank{c.size, lab.VirtioBlk})
	}
	r := layoutRig(t, lab.LayeredDebian(), lab.VirtioBlk, to...)
	vm := r.oldSystem()
	r.schedule(vm, c.words+" "+r.toDisks())
	vm = r.cleanly(vm)
	r.wantAll(vm, c.before)
	r.sameFiles(vm)
	if c.cut {
		// The kernel starts a degraded array with parity that was not stopped cleanly only because it is told to.
		r.must(vm, "cat /proc/cmdline; (while :; do dd if=/dev/urandom of=/root/written bs=64k count=64 conv=fsync 2>/dev/null; done) >/dev/null 2>&1 & sleep 5")
		if err := vm.Cut(); err != nil {
			t.Fatal(err)
		}
		vm = r.comesUp("after a power cut", "new")
		r.wantAll(vm, c.before)
	}
	r.off(vm)
	// Without the old disk the new ones boot by themselves. That disk is not written, so it is taken for what it was.
	r.off(r.only("old disk detached", r.to...))
	hashes := r.hashes(r.from)
	vm = r.comesUp("finish", "new")
	r.finish(vm)
	r.wantAll(vm, c.after)
	r.must(vm, "cat /proc/mdstat; for m in /dev/md/*; do mdadm --detail $m; done; cat /proc/sys/dev/raid/speed_limit_*; lsblk -o NAME,SIZE,TYPE,MOUNTPOINTS")
	// Parity and copies agree: the kernel's own check finds nothing.
	for _, n := range strings.Fields(r.must(vm, "for a in /sys/block/md*/md; do mdadm --action=check /dev/$(basename $(dirname $a)); done; for m in /dev/md*; do [ -b $m ] && mdadm --wait $m; done; cat /sys/block/md*/md/mismatch_cnt")) {
		if n != "0" {
			t.Errorf("the kernel's check of an array counts %s sectors that do not agree", n)
		}
	}
	r.off(vm)
	if c.untouched {
		r.unchanged(hashes)
		r.off(r.only("new disks alone", r.to...))
	}
	for _, gone := range c.pull {
		left := slices.DeleteFunc(slices.Clone(r.disks()), func(d lab.Disk) bool { return slices.Contains(gone, d.Serial) })
		r.off(r.only("pulled", left...))
	}
}

// cleanly is byKernel without a power cut at its end: the new system, started from outside, shuts down by itself.
func (r *rig) cleanly(vm *lab.VM) *lab.VM {
	r.t.Helper()
	vm, hashes := r.fromOutside(vm)
	r.follow(vm)
	r.ready(vm)
	r.wantRoot(vm, "new")
	r.off(vm)
	r.unchanged(hashes)
	return r.comesUp("new system, by the boot loader", "new")
}

// wantAll insists that every array is drawn so.
func (r *rig) wantAll(vm *lab.VM, legs string) {
	r.t.Helper()
	got := r.legs(vm)
	if len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != legs }) {
		r.t.Errorf("arrays: %v, want %s", got, legs)
	}
}

func TestLayoutRaid5(t *testing.T) {
	raidLayout{words: "--to raid5", news: 2, size: 1280 << 20, before: "raid5 UU_", after: "raid5 UUU", cut: true, pull: [][]string{{"old1"}, {"new1"}, {"new2"}}}.moves(t)
}

// RAID6 of three new disks and the old one: the kernel starts none that misses one member only, so two wait for finish.
func TestLayoutRaid6(t *testing.T) {
	raidLayout{words: "--to raid6", news: 3, size: 1280 << 20, before: "raid6 UU__", after: "raid6 UUUU", cut: true, pull: [][]string{{"new1", "new2"}, {"old1", "new3"}}}.moves(t)
}

// The kernel would start it without one of each pair; GRUB reads it with one disk missing.
func TestLayoutRaid10(t *testing.T) {
	raidLayout{words: "--to raid10", news: 3, size: 1280 << 20, before: "raid10 UUU_", after: "raid10 UUUU", pull: [][]string{{"new1"}, {"old1"}}}.moves(t)
}

// Two new disks, and the old one stays what it was.
func TestLayoutAllNew(t *testing.T) {
	raidLayout{words: "--to raid1", news: 2, size: 2200 << 20, before: "raid1 UU", after: "raid1 UU", untouched: true, pull: [][]string{{"new1"}, {"new2"}}}.moves(t)
}
