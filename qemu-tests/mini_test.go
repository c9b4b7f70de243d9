package qemutests

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLabMini shows the small guest with everything the scenarios lean on: real tools, files in and out, an array and its
// facts, disks that fail, that are pulled and whose power is cut.
func TestLabMini(t *testing.T) {
	l, ctx, dir := open(t)
	ctx = soon(ctx, t)
	test, err := lab.TestBinary(ctx, dir, "migrate-init/qemu-tests/lab")
	if err != nil {
		t.Fatal(err)
	}
	config, err := l.MiniInitramfs(ctx, dir, lab.Mini{
		Modules: []string{"raid1"},
		Tools:   []string{"/sbin/mdadm", "/sbin/mke2fs", "/usr/bin/lsblk"},
		Files:   []lab.File{{Path: "/lab/lab.test", Host: test}},
	})
	if err != nil {
		t.Fatal(err)
	}
	disk := func(name string) string { return filepath.Join(dir, name+".raw") }
	for _, n := range []string{"a", "b"} {
		if err := lab.Blank(disk(n), 64<<20); err != nil {
			t.Fatal(err)
		}
	}
	const first, last = 65536, 73727 // 4 MiB from the middle of b
	config.Disks = []lab.Disk{{File: disk("a"), Serial: "a"},
		{File: disk("b"), Serial: "b", Faults: []lab.Fault{{First: first, Last: last, Step: 256, Writes: true}}}}
	vm := boot(ctx, t, l, config)
	if _, err := vm.Up(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("small guest up after %.1f s", vm.Uptime().Seconds())

	must := func(script string) string {
		t.Helper()
		out, err := vm.MustRun(ctx, script)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if r, err := vm.Run(ctx, "echo out; echo err >&2; exit 7"); err != nil || r.Code != 7 || r.Out != "out\nerr\n" {
		t.Errorf("run: %+v, %v", r, err)
	}
	if got := must("/lab/lab.test -test.v -test.run TestParseMdstat"); !strings.Contains(got, "--- PASS: TestParseMdstat") {
		t.Errorf("a Go test in the guest: %s", got)
	}
	blob := bytes.Repeat([]byte("\x00\xff\n\r\x04 binary"), 100_000)
	if err := vm.Push(ctx, "/tmp/deep/blob", 0o700, blob); err != nil {
		t.Fatal(err)
	}
	if got, err := vm.Pull(ctx, "/tmp/deep/blob"); err != nil || !bytes.Equal(got, blob) {
		t.Errorf("pull gave %d bytes of %d, %v", len(got), len(blob), err)
	}
	if got := must("stat -c %a /tmp/deep/blob; cat /sys/block/vda/serial /sys/block/vdb/serial"); got != "700\nab" {
		t.Errorf("mode of the pushed file and serials of the disks: %q", got)
	}

	t.Log(must("dd if=/dev/zero of=/dev/vdb bs=1M count=4 conv=fsync 2>&1"))
	if r, err := vm.Run(ctx, "dd if=/dev/zero of=/dev/vdb bs=1M seek=31 count=8 oflag=direct 2>&1"); err != nil || r.Code == 0 || !strings.Contains(r.Out, "error") {
		t.Errorf("write over failing sectors: %+v, %v", r, err)
	}
	must("dd if=/dev/vdb of=/dev/null bs=1M skip=31 count=8 iflag=direct 2>&1")

	must("mdadm --create /dev/md0 --run --metadata=1.2 --level=1 --raid-devices=2 /dev/vda missing 2>&1 && mke2fs -q -t ext4 /dev/md0 && mount -t ext4 /dev/md0 /mnt && echo kept > /mnt/file && sync")
	arrays, err := vm.Arrays(ctx)
	if err != nil || len(arrays) != 1 || arrays[0].Legs != "U_" || arrays[0].Level != "raid1" {
		t.Errorf("arrays: %+v, %v", arrays, err)
	}
	if err := vm.Unplug(ctx, "b"); err != nil {
		t.Error(err)
	}
	if got := must("ls /sys/block | grep vd"); got != "vda" {
		t.Errorf("disks after b was pulled: %q", got)
	}
	must("echo unsynced > /mnt/later; sync; echo never > /mnt/volatile")
	if err := vm.Cut(); err != nil {
		t.Fatal(err)
	}

	config.Disks = config.Disks[:1]
	vm = boot(ctx, t, l, config)
	if got := must("mdadm --assemble --run /dev/md0 /dev/vda 2>&1 && mount -t ext4 /dev/md0 /mnt && cat /mnt/file /mnt/later; umount /mnt; mdadm --stop /dev/md0 2>&1"); !strings.Contains(got, "kept\nunsynced") {
		t.Errorf("after the power cut: %q", got)
	}
	if err := vm.PowerOff(ctx); err != nil {
		t.Error(err)
	}
}
