package qemutests

import (
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// TestRaid1Extent is the main job by the other engine: the root's used blocks are copied, and only then it gets the
// planned identity and size. The old disk has room at its end, without which no copy by blocks fits its mirror.
func TestRaid1Extent(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	spec := lab.FastDebian()
	spec.TailMiB = 96
	r := newRig(t, spec)
	vm := r.comesUp("old system", "old")
	r.install(vm)
	r.must(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb --engine extent")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img")
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
	r.reboot(vm)
	down := time.Now()
	vm = r.start("migration")
	r.follow(vm)
	r.ready(vm)
	t.Logf("measured: down for %.0f s", time.Since(down).Seconds())
	r.wantRoot(vm, "new")
	r.wantLegs(vm, "U_")
	r.showTimes(r.status(vm))
	r.must(vm, "df -B1 /; dumpe2fs -h /dev/md127 /dev/md0 2>/dev/null | grep -i 'uuid\\|features\\|seed\\|label\\|name' || true")
	r.off(vm)
	r.sameTree()
	r.off(r.comesUp("old disk detached", "new", r.newDisk()))
}
