package qemutests

import (
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutFrom migrates every source system that has layers or another filesystem than ext4 to RAID1. The image is started
// from outside, so that whatever changes on a source disk before the commit is the migration's doing; after it, the old
// disks' own boot loader starts the new system.
func TestLayoutFrom(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	const room = 64 << 20 // what superblocks and alignment cost
	for _, c := range []struct {
		name  string
		sys   lab.System
		to    int
		words string
		root  string // the engine that copies it; "": whichever
	}{
		{"MD090", lab.MD090(), 2, "", ""},
		{"MD12", lab.MD12(), 2, "", ""},
		{"LVM", lab.LVM(), 1, "", ""},
		{"LVM2", lab.LVM2(), 2, "", ""},
		{"LUKS", lab.LUKS(), 1, "", ""},
		{"Xfs", lab.XFS(), 1, "", "extent"},
		{"Btrfs", lab.Btrfs(), 1, "", "tree"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var to []blank
			for range c.to {
				to = append(to, blank{c.sys.Size + room, lab.VirtioBlk})
			}
			r := layoutRig(t, c.sys, lab.VirtioBlk, to...)
			r.typed = c.sys.Layout == "luks"
			vm := r.oldSystem()
			r.schedule(vm, "--to raid1 "+r.toDisks()+" "+c.words)
			vm = r.byKernel(vm)
			if got := r.status(vm).engine(); c.root != "" && got != c.root {
				t.Errorf("the root was copied by %q, want %s", got, c.root)
			}
			r.sameFiles(vm)
			r.legs(vm)
			r.must(vm, "cat /etc/fstab /etc/mdadm/mdadm.conf; swapon --show")
			r.off(vm)
			r.off(r.only("old disks detached", r.to...))
			vm = r.comesUp("finish", "new")
			r.openOld(vm)
			r.finish(vm)
			for _, l := range r.legs(vm) {
				if l != "raid1 UU" {
					t.Errorf("after finish: %s", l)
				}
			}
			r.off(vm)
			for _, d := range r.to {
				r.off(r.only(d.Serial+" alone", d))
			}
			if c.to == 1 {
				for _, d := range r.from {
					r.off(r.only(d.Serial+" alone", d))
				}
			}
		})
	}
}
