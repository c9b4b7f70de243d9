package stage

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/machine"
)

// effectLog is a machine that only logs what it is asked for.
type effectLog []string

func (l *effectLog) Do(_ context.Context, e machine.Effect) (machine.Output, error) {
	*l = append(*l, e.String())
	return machine.Output{}, nil
}

// The driver of PCI Express ports cannot be a module, so it is in no table; sysfs names it on the way to most NVMe disks.
func TestModulesSkipBuiltIns(t *testing.T) {
	const mods = "lib/modules/6.1.0-18-amd64/"
	root := fstest.MapFS{}
	for name, text := range map[string]string{
		"proc/sys/kernel/osrelease":     "6.1.0-18-amd64\n",
		"proc/cmdline":                  "quiet virtio_blk.queue_depth=64 virtio-pci.force_legacy=1 -- virtio_blk.none=1\n",
		"sys/module/pcieportdrv/uevent": "",
		mods + "modules.dep":            "k/virtio_blk.ko: k/virtio.ko\nk/virtio_pci.ko: k/virtio.ko\nk/virtio.ko:\n",
	} {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	log := &effectLog{}
	load := Modules(root, log)
	if err := load(t.Context(), "virtio_blk", "pcieportdrv", "virtio_pci"); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range []machine.LoadModule{
		{Path: "/" + mods + "k/virtio.ko"}, {Path: "/" + mods + "k/virtio_blk.ko", Options: "queue_depth=64"},
		{Path: "/" + mods + "k/virtio_pci.ko", Options: "force_legacy=1"},
	} {
		want = append(want, e.String())
	}
	if !slices.Equal(*log, want) {
		t.Errorf("loaded %q, want %q", *log, want)
	}
	if err := load(t.Context(), "nosuch"); err == nil || !strings.Contains(err.Error(), "module nosuch: not found") {
		t.Errorf("a module that does not exist: %v", err)
	}
}
