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

// The driver of PCI Express ports cannot be a module, so it is in no table; sysfs names it on the way to most NVMe disks.
func TestLoaderPassesOverWhatIsBuiltIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "world")
	if err := buildWorld(dir); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	bare(t, root)
	for name, text := range map[string]string{
		"sys/module/pcieportdrv/uevent": "",
		"proc/cmdline":                  "quiet virtio_blk.queue_depth=64 virtio-pci.force_legacy=1 -- virtio_blk.none=1\n",
	} {
		if err := put(root, name, text, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	m := &did{}
	load := madeUp(dir).loader(m)
	if err := load(t.Context(), "virtio_blk", "pcieportdrv", "virtio_pci"); err != nil {
		t.Fatal(err)
	}
	mods := "/lib/modules/" + release + "/kernel/drivers/"
	var want []string
	for _, e := range []machine.LoadModule{
		{Path: mods + "virtio/virtio.ko"}, {Path: mods + "block/virtio_blk.ko", Options: "queue_depth=64"}, {Path: mods + "virtio/virtio_pci.ko", Options: "force_legacy=1"},
	} {
		want = append(want, e.String())
	}
	if !slices.Equal(m.log, want) {
		t.Errorf("loaded %q, want %q", m.log, want)
	}
	if err := load(t.Context(), "nosuch"); err == nil || !strings.Contains(err.Error(), "module nosuch: not found") {
		t.Errorf("a module that is nowhere: %v", err)
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
