package qemutests

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestRaid1Many is the main job on a machine with five filesystems: each becomes an array of its own, and the time between
// the work of the stages must not grow with their number. What it measured is in docs/benchmarks.md.
func TestRaid1Many(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	spec := lab.FastDebian()
	spec.Size, spec.TailMiB = 3<<30, 1000
	r := newRig(t, spec)
	var fstab strings.Builder
	mounts := []string{"/data", "/home", "/opt", "/var/lib/extra"}
	for i, at := range mounts {
		uuid := fmt.Sprintf("%d0000000-1111-4111-8111-111111111111", i+1)
		r.onHost("sgdisk", fmt.Sprintf("--new=%d:0:+200M", i+4), "--typecode=0:8300", r.old)
		parts, err := lab.Partitions(r.old)
		if err != nil {
			t.Fatal(err)
		}
		r.onHost("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-U", uuid, "-E", fmt.Sprintf("offset=%d", parts[len(parts)-1].Start), r.old, "200M")
		fmt.Fprintf(&fstab, "UUID=%s %s ext4 defaults 0 2\n", uuid, at)
	}
	vm := r.comesUp("old system", "old")
	r.install(vm)
	r.must(vm, "mkdir -p "+strings.Join(mounts, " ")+" && cat >>/etc/fstab <<'EOF'\n"+fstab.String()+"EOF\nsystemctl daemon-reload; mount -a && for d in "+
		strings.Join(mounts, " ")+"; do cp -a /srv/fixture $d/; done; sync; df")
	r.must(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img")
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
	r.reboot(vm)
	vm = r.start("migration")
	r.follow(vm)
	r.ready(vm)
	r.wantRoot(vm, "new")
	r.showTimes(r.status(vm))
	if got, want := r.legs(vm), len(mounts)+2; len(got) != want {
		t.Errorf("arrays: %v, want %d", got, want)
	}
	r.must(vm, "for d in "+strings.Join(mounts, " ")+"; do findmnt -no SOURCE,TARGET $d && [ $(find /srv/fixture | wc -l) = $(find $d/fixture | wc -l) ] || exit 1; done")
	r.off(vm)
	r.sameTree()
}

// onHost runs a program on this machine.
func (r *rig) onHost(name string, args ...string) {
	r.t.Helper()
	if out, err := exec.CommandContext(r.ctx, name, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
