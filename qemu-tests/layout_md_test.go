package qemutests

import (
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutFromMD moves a system whose filesystems are all on RAID1 of two disks to a third disk. The old disks must not
// change by a byte until the new system is entered, and finish must take them out of their arrays by itself.
func TestLayoutFromMD(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	for name, sys := range map[string]lab.System{"PlainBoot": lab.MDPlainBoot(), "1.2": lab.MD12(), "0.90": lab.MD090()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := layoutRig(t, sys, lab.VirtioBlk, blank{sys.Size + 64<<20, lab.VirtioBlk})
			vm := r.oldSystem()
			r.schedule(vm, "--to raid1 "+r.toDisks())
			vm = r.byKernel(vm)
			r.sameFiles(vm)
			// The new system must not have started the old arrays by itself.
			conf := r.must(vm, "cat /etc/mdadm/mdadm.conf /proc/mdstat")
			if !strings.Contains(conf, "ARRAY <ignore>") {
				t.Errorf("mdadm.conf does not say that the old arrays are to be ignored")
			}
			for _, l := range r.legs(vm) {
				if strings.Contains(l, "UU") {
					t.Errorf("an array of the old disks runs: %s", l)
				}
			}
			r.finish(vm)
			r.must(vm, "cat /proc/mdstat; lsblk -o NAME,TYPE,SIZE,FSTYPE,MOUNTPOINTS")
			r.off(vm)
			r.off(r.only("new disk alone", r.to...))
			r.off(r.only("first old disk alone", r.from[0]))
		})
	}
}
