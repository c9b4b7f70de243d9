package qemutests

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
)

// open skips, loudly, where guests are not wanted.
func open(t *testing.T) (*lab.Lab, context.Context, string) {
	t.Helper()
	if os.Getenv("MIGRATE_INIT_QEMU") != "1" {
		t.Skip("SKIPPED: boots guests in QEMU; set MIGRATE_INIT_QEMU=1 (make test does)")
	}
	l, err := lab.Open(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	return l, ctx, t.TempDir()
}

// TestLab shows that the lab's disk is a real Debian that its own GRUB boots, and that the lab can drive it.
func TestLab(t *testing.T) {
	l, ctx, dir := open(t)
	master, err := l.Disk(ctx, lab.Debian())
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "old.raw")
	if err := lab.Copy(disk, master); err != nil {
		t.Fatal(err)
	}
	vm, err := l.Start(ctx, lab.Config{Dir: dir, Disks: []lab.Disk{{File: disk, Serial: "old"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vm.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(vm.Console.Tail(6000))
		}
	})
	if _, err := vm.Console.Expect(ctx, `Linux version|Loading Linux|GRUB`); err != nil {
		t.Fatal(err)
	}
	t.Logf("GRUB after %.1f s", vm.Uptime().Seconds())
	if _, err := vm.Up(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("agent after %.1f s", vm.Uptime().Seconds())
	state, err := vm.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %.1f s", state, vm.Uptime().Seconds())
	out, err := vm.MustRun(ctx, "systemctl --failed --no-legend; findmnt --json /; cat /proc/cmdline; systemd-analyze; lsblk; swapon")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(out))
	if state != "running" {
		t.Errorf("systemd is %s", state)
	}
	start := vm.Uptime()
	if err := vm.PowerOff(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("powered off in %.1f s", vm.Uptime().Seconds()-start.Seconds())
}
