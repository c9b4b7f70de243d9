package qemutests

import (
	"context"
	"regexp"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// failsToOld has a target disk that begins to fail in the middle of the copy.
func failsToOld(t *testing.T, s *stock) {
	r := take(t, s.scheduled(t))
	before, err := lab.ImageManifest(r.ctx, r.old, 2)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the journal that mkfs writes, in what the copy fills, and not at multiples of 128 MiB of the filesystem, where
	// mkfs puts copies of the superblock.
	const mib = 1 << 20 / 512
	bad := r.newDisk()
	bad.Faults = []lab.Fault{{First: 300*mib + 401, Last: 640 * mib, Step: 512, Writes: true}}
	vm := r.start("migration to a failing disk", r.oldDisk(), bad)
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Minute)
	defer cancel()
	m, err := vm.Console.Expect(ctx, `migrate-init: (FAILED: [^\r\n]*|handover: entering[^\r\n]*)[\r\n]`)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the console says: %s", m[1])
	if !regexp.MustCompile(`^FAILED: stage copy: .*(?i:input/output|I/O) error`).MatchString(m[1]) {
		t.Errorf("the migration says %q", m[1])
	}
	if e, err := vm.Wait(r.slow()); err != nil || e.Reason != "guest-reset" {
		t.Fatalf("after the failure the machine ended by %s, %v; the policy is to reboot", e, err)
	}

	after, err := lab.ImageManifest(r.ctx, r.old, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("old root: %d names before, %d after", len(before), len(after))
	for _, d := range manifest.Diff(before, after, nil) {
		// GRUB itself clears the one-shot entry.
		if d.Path != "boot/grub/grubenv" {
			t.Errorf("the old root changed: %s", d)
		}
	}
	vm = r.comesUp("after the failure", "old")
	st := r.status(vm)
	if st.State != "failed" || !regexp.MustCompile(`^stage copy: .*(?i:input/output|I/O) error`).MatchString(st.Reason) {
		t.Errorf("status says %q because %q", st.State, st.Reason)
	}
	r.must(vm, "migrate-init status")
	if !full() {
		r.off(vm)
		return
	}
	// The disk is well again (a cable): the same plan goes on.
	r.must(vm, "cd /root && migrate-init schedule --skip-rehearsal plan.toml --image migrate.img")
	r.reboot(vm)
	vm = r.start("the same plan again")
	r.follow(vm)
	r.ready(vm)
	r.wantRoot(vm, "new")
	r.showTimes(r.status(vm))
	r.off(vm)
	r.sameTree()
}
