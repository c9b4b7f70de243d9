package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// bare is the made-up machine whose kernel has loaded nothing yet.
func bare(t *testing.T, root string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, "sys/module")); err != nil {
		t.Fatal(err)
	}
}

// A controller that is gone, or a driver that its firmware refuses, is no reason to leave the disks alone.
func TestInitLoadsEveryDriver(t *testing.T) {
	r, p := newRig(t, "migrate.plan=PLAN", plan.Policy{}, true)
	bare(t, filepath.Join(r.dir, "root"))
	if !slices.Equal(p.Drivers, []string{"virtio_blk", "virtio_pci"}) {
		t.Fatalf("drivers of the made-up machine: %q", p.Drivers)
	}
	if err := put(filepath.Join(r.dir, "root"), imageWatchdogs, "nosuch_wdt\ncrc32c_generic\n", 0o644); err != nil {
		t.Fatal(err)
	}
	r.m.hit = func(e machine.Effect) error {
		if l, ok := e.(machine.LoadModule); ok && strings.Contains(l.Path, "virtio_blk") {
			return errors.New("no such device")
		}
		return nil
	}
	said := r.boot(t)
	if !strings.Contains(said, "driver virtio_blk: no such device") {
		t.Errorf("it was not said:\n%s", said)
	}
	for _, m := range []string{"crc32c_generic.ko", "virtio_pci.ko"} {
		if !slices.ContainsFunc(r.m.log, func(l string) bool { return strings.Contains(l, m) }) {
			t.Errorf("%s was not loaded: %q", m, r.m.log)
		}
	}
}
