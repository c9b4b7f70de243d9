package qemutests

import (
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestZfsLab shows the lab's ZFS in the small guest, which has no udev: a mirror on partitions is made, exported, and imported with
// what was written to it.
func TestZfsLab(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full)")
	}
	l, ctx, dir := openWith(t, lab.ZFS())
	config, err := l.MiniInitramfs(ctx, dir, lab.Mini{
		Recipe:  lab.ZFS(),
		Modules: []string{"zfs"},
		Tools:   []string{"/sbin/zpool", "/sbin/zfs", "/sbin/sfdisk"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"a", "b"} {
		file := filepath.Join(dir, n+".raw")
		if err := lab.Blank(file, 512<<20); err != nil {
			t.Fatal(err)
		}
		config.Disks = append(config.Disks, lab.Disk{File: file, Serial: n})
	}
	vm := boot(ctx, t, l, config)
	if _, err := vm.Up(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	run := func(script string) string {
		t.Helper()
		r, err := vm.Run(soon(ctx, t), "set -e; "+script)
		if err != nil || r.Code != 0 {
			t.Fatalf("%s: %v, exit code %d\n%s", script, err, r.Code, r.Out)
		}
		t.Logf("%5.1f s: %s", r.Seconds, script)
		return strings.TrimSpace(r.Out)
	}
	for _, d := range []string{"/dev/vda", "/dev/vdb"} {
		run("printf 'label: gpt\nsize=500MiB\n' | sfdisk --quiet " + d)
	}
	run("zpool create -o ashift=12 -o cachefile=none -O mountpoint=legacy rpool mirror /dev/vda1 /dev/vdb1")
	run("mount -t zfs rpool /mnt; echo kept >/mnt/file; umount /mnt")
	for _, how := range []string{"zpool import -d /dev", "zpool import -d /dev/vda1 -d /dev/vdb1", "ZFS_VDEV_DEVID_OPT_OUT=YES zpool import -d /dev"} {
		run("zpool export rpool")
		run(how + " -N rpool")
		if got := run("zpool list -H -o name,health rpool"); got != "rpool\tONLINE" {
			t.Errorf("%s: %q", how, got)
		}
	}
	if got := run("mount -t zfs rpool /mnt; cat /mnt/file; umount /mnt"); got != "kept" {
		t.Errorf("what the pool has: %q", got)
	}
}
