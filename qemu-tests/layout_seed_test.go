package qemutests

import (
	"os"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutSeed1 moves a server as they were installed for years: MBR with logical partitions, five filesystems' worth of
// mounts, bind mounts. At the end each of the two disks has a boot sector that starts the system without the other.
//
// make test goes as far as the new system: it is the quick scenario of disks that the lab lays out in a guest.
func TestLayoutSeed1(t *testing.T) {
	r := layoutRig(t, lab.Seed1(), lab.VirtioBlk, blank{lab.Seed1().Size + 64<<20, lab.VirtioBlk})
	vm := r.oldSystem()
	r.schedule(vm, "--to raid1 "+r.toDisks())
	vm = r.byKernel(vm)
	for _, at := range []string{"/home", "/srv"} {
		if got := r.must(vm, "findmnt -no SOURCE,FSTYPE "+at); !strings.Contains(got, "[/") {
			t.Errorf("%s is %q, want a bind mount", at, got)
		}
	}
	r.sameFiles(vm)
	if got := r.legs(vm); len(got) != 5 {
		t.Errorf("arrays: %v, want five", got)
	}
	r.off(vm)
	if !full() {
		return
	}
	r.off(r.only("old disk detached", r.to...))

	vm = r.comesUp("finish", "new")
	r.finish(vm)
	for _, l := range r.legs(vm) {
		if l != "raid1 UU" {
			t.Errorf("after finish: %s", l)
		}
	}
	r.off(vm)
	for _, d := range r.disks() {
		sector := make([]byte, 512)
		f, err := os.Open(d.File)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.ReadAt(sector, 0)
		if err != nil || f.Close() != nil || !strings.Contains(string(sector[:440]), "GRUB") {
			t.Errorf("the boot sector of %s is not GRUB's: %v", d.Serial, err)
		}
		r.off(r.only(d.Serial+" alone", d))
	}
}
