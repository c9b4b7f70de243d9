package qemutests

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestOverlay cuts the power of a small guest that writes to ext4, xfs, btrfs and an array, and has the stages read those disks in
// another one. Not a byte of them changes.
func TestOverlay(t *testing.T) {
	l, ctx, dir := open(t)
	test, err := lab.TestBinary(ctx, dir, "migrate-init/pkg/stage")
	if err != nil {
		t.Fatal(err)
	}
	config, err := l.MiniInitramfs(ctx, dir, lab.Mini{
		Recipe:  lab.Layered(),
		Modules: []string{"md_mod", "raid1", "ext4", "xfs", "btrfs", "loop", "dm_mod", "dm_snapshot"},
		Tools:   []string{"/sbin/mdadm", "/sbin/mke2fs", "/sbin/mkfs.xfs", "/sbin/mkfs.btrfs", "/bin/sync"},
		Files:   []lab.File{{Path: "/lab/stage.test", Host: test}},
	})
	if err != nil {
		t.Fatal(err)
	}
	config.Append += " no_timer_check"
	var disks []lab.Disk
	for _, d := range []struct {
		serial string
		size   int64
	}{{"ext", 128 << 20}, {"xfs", 320 << 20}, {"btrfs", 160 << 20}, {"md1", 96 << 20}, {"md2", 96 << 20}} {
		file := filepath.Join(dir, d.serial+".raw")
		if err := lab.Blank(file, d.size); err != nil {
			t.Fatal(err)
		}
		disks = append(disks, lab.Disk{File: file, Serial: d.serial})
	}
	config.Disks = disks
	vm := boot(ctx, t, l, config)
	if _, err := vm.Up(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	out, err := vm.MustRun(ctx, `set -e
id=aaaaaaaa-0000-4000-8000-0000000000
mke2fs -q -t ext4 -U ${id}0e /dev/vda
mkfs.xfs -q -m uuid=${id}0f /dev/vdb
mkfs.btrfs -q -U ${id}bf /dev/vdc
mdadm --create /dev/md0 --run --metadata=1.2 --level=1 --raid-devices=2 --bitmap=internal --assume-clean /dev/vdd /dev/vde 2>&1
mke2fs -q -t ext4 -U ${id}dd /dev/md0
mkdir -p /ext /xfs /btrfs /md
mount -t ext4 /dev/vda /ext; mount -t xfs /dev/vdb /xfs; mount -t btrfs /dev/vdc /btrfs; mount -t ext4 /dev/md0 /md
sync
for d in /ext /xfs /btrfs /md; do
	echo synced before the power failed >$d/synced
	sync $d/synced
	(i=0; while :; do i=$((i+1)); echo $i >$d/$i; sync $d/$i; done) >/dev/null 2>&1 &
done
sleep 3; cat /proc/mdstat`)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the systems that write:\n%s", out)
	if err := vm.Cut(); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, d := range disks {
		if before[d.Serial], err = lab.Hash(d.File); err != nil {
			t.Fatal(err)
		}
	}

	vm = boot(ctx, t, l, config)
	if _, err := vm.Up(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	r, err := vm.Run(ctx, "cd /lab && MIGRATE_INIT_OVERLAYGUEST=1 TZ=UTC LC_ALL=C ./stage.test -test.v -test.timeout 10m -test.run 'TestVM' 2>&1; code=$?; dmesg | grep -vi 'audit' | tail -60; exit $code")
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Out)
	}
	t.Logf("in the guest:\n%s", r.Out)
	if r.Code != 0 || strings.Contains(r.Out, "--- SKIP") {
		t.Errorf("the tests in the guest ended with code %d:\n%s", r.Code, strings.Join(regexp.MustCompile(`(?m)^ *--- (FAIL|SKIP).*`).FindAllString(r.Out, -1), "\n"))
	}
	for _, name := range []string{"TestVMDirtySources", "TestVMStoreFills"} {
		if !strings.Contains(r.Out, "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass in the guest", name)
		}
	}
	if err := vm.PowerOff(soon(ctx, t)); err != nil {
		t.Error(err)
	}
	for _, d := range disks {
		after, err := lab.Hash(d.File)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("sha256 of the whole disk %s: %s before, %s after", d.Serial, before[d.Serial], after)
		if after != before[d.Serial] {
			t.Errorf("the disk %s changed", d.Serial)
		}
	}
}
