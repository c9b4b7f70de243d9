package qemutests

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// happyPath is the whole transcript of the documentation, and then every way in which the machine must boot.
//
// The plan chooses the used blocks by itself; files have to be asked for.
func happyPath(t *testing.T, spec lab.DiskSpec, engine string) {
	r := newRig(t, spec)
	began := time.Now()
	vm := r.comesUp("old system", "old")
	r.install(vm)
	r.must(vm, "migrate-init inspect")
	ask := ""
	if engine == "tree" {
		ask = " --engine tree"
	}
	r.must(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb"+ask)
	r.must(vm, "cd /root && migrate-init check plan.toml")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img && ls -l migrate.img /usr/local/sbin/migrate-init")
	r.must(vm, "cd /root && migrate-init schedule --dry-run plan.toml --image migrate.img")
	start := time.Now()
	r.must(vm, "sha256sum /boot/initrd.img-* /boot/grub/grub.cfg >/root/before && cd /root && migrate-init schedule plan.toml --image migrate.img 2>&1")
	t.Logf("measured: schedule, with its rehearsal, took %.1f s", time.Since(start).Seconds())
	r.must(vm, "sha256sum -c /root/before && ls -l /var/lib/migrate-init/rehearsed && ! grep /run/migrate-init /proc/self/mountinfo")
	r.refused(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img", "scheduled already")
	r.refused(vm, "migrate-init finish", "does not run from the new array")
	r.refused(vm, "migrate-init rollback", "it is the old one already")
	if st := r.status(vm); st.State != "scheduled" {
		t.Errorf("status says %q", st.State)
	}
	r.reboot(vm)

	down := time.Now()
	vm = r.start("migration")
	r.follow(vm)
	entered := time.Since(down)
	r.rehearsed(vm)
	r.ready(vm)
	t.Logf("measured: down for %.0f s, of which %.0f s until the new system was entered", time.Since(down).Seconds(), entered.Seconds())
	r.wantRoot(vm, "new")
	r.wantLegs(vm, "U_")
	r.must(vm, "swapon --show; cat /etc/fstab /etc/mdadm/mdadm.conf; cat /proc/cmdline")
	st := r.status(vm)
	if st.State != "migrated" || !st.Migrated {
		t.Errorf("status says %q", st.State)
	}
	r.showTimes(st)
	if by := st.engine(); by != engine {
		t.Errorf("the root was copied by the engine %q, want %q", by, engine)
	}
	r.must(vm, "migrate-init status; cat /var/lib/migrate-init/report.txt")
	r.off(vm)
	r.sameTree()

	// The old disk's boot loader obeys the commit; the new disk's own needs no old disk.
	r.off(r.comesUp("by the old disk's GRUB", "new"))
	r.off(r.comesUp("old disk detached", "new", r.newDisk()))

	vm = r.comesUp("finish", "new")
	r.must(vm, "migrate-init finish --dry-run")
	start = time.Now()
	r.must(vm, "migrate-init finish 2>&1")
	t.Logf("measured: finish took %.1f s", time.Since(start).Seconds())
	r.wantLegs(vm, "UU")
	if st := r.status(vm); st.State != "finished" {
		t.Errorf("status says %q", st.State)
	}
	r.refused(vm, "migrate-init rollback", "no old system to go back to")
	r.off(vm)

	r.eachAlone()
	vm = r.comesUp("both disks", "new")
	r.wantLegs(vm, "UU")
	r.must(vm, "cat /proc/mdstat")
	r.off(vm)
	t.Logf("measured: one disk became a whole mirror [UU], with every boot of this test, in %.0f s", time.Since(began).Seconds())
}

// rehearsed insists that the migration installed what schedule's rehearsal made, and made none of it again.
func (r *rig) rehearsed(vm *lab.VM) {
	r.t.Helper()
	console := vm.Console.Text()
	for _, want := range []string{"/boot/initrd.img-", "/boot/grub/grub.cfg"} {
		if !regexp.MustCompile(regexp.QuoteMeta("rebuild: "+want) + `[^\n]*: installed as made before the reboot`).MatchString(console) {
			r.t.Errorf("the migration did not install the %s of the rehearsal; see console.log", want)
		}
	}
	for _, not := range []string{"made again now", "update-initramfs", "update-grub"} {
		if strings.Contains(console, not) {
			r.t.Errorf("the migration says %q", not)
		}
	}
}

// eachAlone boots each disk without the other, on copies: an array that ran without its mate has to be resynced for the next.
func (r *rig) eachAlone() {
	r.t.Helper()
	for _, d := range r.disks() {
		r.alone(d)
	}
}

func (r *rig) alone(d lab.Disk) {
	r.t.Helper()
	copied := lab.Disk{File: r.dir + "/alone.raw", Serial: d.Serial}
	r.copyDisk(copied.File, d.File)
	vm := r.comesUp(d.Serial+" disk alone", "new", copied)
	r.wantAloneLegs(vm)
	r.off(vm)
}

// wantAloneLegs wants both arrays on one leg each, whichever it is.
func (r *rig) wantAloneLegs(vm *lab.VM) {
	r.t.Helper()
	for _, l := range r.legs(vm) {
		if l != "raid1 U_" && l != "raid1 _U" {
			r.t.Errorf("array of a lone disk: %s", l)
		}
	}
}
