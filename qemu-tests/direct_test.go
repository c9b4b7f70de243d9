package qemutests

import (
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLabDirectKernel boots a disk without its boot loader, as the tests of zero live writes do: with a kernel and an initrd from
// outside, nothing has to be written to the disk to choose them.
func TestLabDirectKernel(t *testing.T) {
	l, ctx, dir := open(t)
	ctx = soon(ctx, t)
	spec := lab.FastDebian()
	master, err := l.Disk(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	k, err := l.Kernel(ctx, spec.Root)
	if err != nil {
		t.Fatal(err)
	}
	old, spare := filepath.Join(dir, "old.raw"), filepath.Join(dir, "new.raw")
	if err := lab.Copy(old, master); err != nil {
		t.Fatal(err)
	}
	if err := lab.Blank(spare, spec.Size); err != nil {
		t.Fatal(err)
	}
	// The empty disk comes first: the root is found by its UUID, not by its place.
	vm := boot(ctx, t, l, lab.Config{Name: "direct", Dir: dir, Kernel: k.Image, Initrd: k.Initrd,
		Append: spec.Cmdline + " root=LABEL=root ro quiet", Disks: []lab.Disk{{File: spare, Serial: "new"}, {File: old, Serial: "old"}}})
	state, err := vm.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %.1f s", state, vm.Uptime().Seconds())
	root, err := vm.FindMount(ctx, "/")
	if err != nil || root.Source != "/dev/vdb2" {
		t.Errorf("root is %+v, %v", root, err)
	}
	line, err := vm.MustRun(ctx, "cat /proc/cmdline")
	if err != nil || strings.Contains(line, "BOOT_IMAGE") {
		t.Errorf("command line %q, %v", line, err)
	}
	if err := vm.Reboot(ctx); err != nil {
		t.Error(err)
	}
}
