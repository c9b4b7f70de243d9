package qemutests

import (
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutSataNvme: the source disk is on SATA, the target on NVMe, with Debian's generic kernel: no driver that the image
// needs is built in, and none is the same as of the other disk. The twin has both disks on virtio-scsi.
func TestLayoutSataNvme(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	for _, c := range []struct {
		name     string
		spec     lab.DiskSpec
		from, to lab.Bus
		modules  []string // of the image
	}{
		{"AHCI to NVMe", lab.GenericDebian(), lab.AHCI, lab.NVMe, []string{"ahci", "nvme", "sd_mod"}},
		{"virtio-scsi", lab.LayeredDebian(), lab.VirtioSCSI, lab.VirtioSCSI, []string{"virtio_scsi", "sd_mod"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := layoutRig(t, c.spec, c.from, blank{c.spec.Size, c.to})
			vm := r.oldSystem()
			r.schedule(vm, "--to raid1 "+r.toDisks())
			vm = r.byGRUB(vm)
			console := r.must(vm, "lsmod")
			for _, m := range c.modules {
				if !strings.Contains(console, m) {
					t.Errorf("the driver %s is not loaded", m)
				}
			}
			r.wantLegs(vm, "U_")
			r.sameFiles(vm)
			r.off(vm)
			r.off(r.only("old disk detached", r.to...))
			vm = r.comesUp("finish", "new")
			r.finish(vm)
			r.wantLegs(vm, "UU")
			r.off(vm)
			r.off(r.only("old disk alone", r.from...))
			r.off(r.only("new disk alone", r.to...))
		})
	}
}
