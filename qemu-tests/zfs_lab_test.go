package qemutests

import (
	"path/filepath"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestZfsLab shows the lab's ZFS in the small guest, which has no udev: a pool on partitions is made, exported and imported.
func TestZfsLab(t *testing.T) {
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
	out, err := vm.MustRun(ctx, `set -x
for d in vda vdb; do echo 'label: gpt
size=500MiB, name=z' | sfdisk --quiet /dev/$d; done
ls -l /dev/vd* /dev/zfs; ls /run
now() { cut -d' ' -f1 /proc/uptime; }
now; time zpool create -o ashift=12 -o cachefile=none -O mountpoint=none rpool mirror /dev/vda1 /dev/vdb1 2>&1 || true; now
zpool status -P; zpool export rpool; now
time zpool import -d /dev -N rpool; now; zpool export rpool
time zpool import -d /dev/vda1 -d /dev/vdb1 -N rpool; now; zpool status -P; zpool export rpool
`)
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
