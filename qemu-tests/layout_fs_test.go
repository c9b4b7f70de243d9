package qemutests

import (
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutToXfs moves an ext4 root, /boot included, to an xfs on RAID1, file by file. What xfs cannot hold is said before the
// reboot. GRUB and the initrds of the new system start it from the new disk alone.
func TestLayoutToXfs(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	r := layoutRig(t, lab.LayeredDebian(), lab.VirtioBlk, blank{3 << 30, lab.VirtioBlk})
	vm := r.comesUp("old system", "old")
	r.install(vm)
	const words = "--to raid1 --fs /=xfs "
	r.must(vm, "cd /root && migrate-init plan "+words+r.toDisks())
	if r.must(vm, "test -b /srv/fixture/kinds/block && echo there || true") != "" {
		r.refused(vm, "cd /root && migrate-init check --files plan.toml", "device")
		r.must(vm, "rm /srv/fixture/kinds/block # xfs has 18 bits for a minor number")
	}
	r.before = r.files(vm)
	r.schedule(vm, words+r.toDisks())
	vm = r.byKernel(vm)
	if got := strings.TrimSpace(r.must(vm, "findmnt -no FSTYPE /; grep ' / ' /etc/fstab")); !strings.HasPrefix(got, "xfs\n") || !strings.Contains(got, " xfs ") || strings.Contains(got, "errors=") {
		t.Errorf("the new root: %s", got)
	}
	r.sameFiles(vm)
	r.off(vm)
	r.off(r.only("old disk detached", r.to...))
}
