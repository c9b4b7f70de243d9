package qemutests

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// open skips, loudly, where guests are not wanted.
func open(t *testing.T) (*lab.Lab, context.Context, string) {
	t.Helper()
	return openWith(t)
}

// openWith is open for a test whose roots take long to make, once: its time begins when they are there.
func openWith(t *testing.T, roots ...lab.Recipe) (*lab.Lab, context.Context, string) {
	t.Helper()
	if q := os.Getenv("MIGRATE_INIT_QEMU"); q != "1" && q != "full" {
		t.Skip("SKIPPED: boots guests in QEMU; set MIGRATE_INIT_QEMU=1 (make test does)")
	}
	l, err := lab.Open(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roots {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
		_, err := l.Root(ctx, r)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	dir, clean, err := l.RunDir(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs (and disks, with MIGRATE_INIT_KEEP=1) are in %s", dir)
		}
		if err := clean(); err != nil {
			t.Error(err)
		}
	})
	return l, ctx, dir
}

// soon bounds one step: generous, for a busy machine, but far below the test's own limit.
func soon(ctx context.Context, t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// boot starts a copy of a disk and waits for systemd; the guest is closed with the test, and its console shown on failure.
func boot(ctx context.Context, t *testing.T, l *lab.Lab, c lab.Config) *lab.VM {
	t.Helper()
	vm, err := l.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		vm.Close()
		if t.Failed() {
			t.Logf("console of %s ends:\n%s", c.Name, vm.Console.Tail(6000))
		}
	})
	return vm
}

// TestLab shows that the lab's disks are real Debians that their own GRUB boots, that the lab can drive them, and what they
// hold: the facts a migration is judged by, taken before there is any migration.
func TestLab(t *testing.T) {
	for _, c := range []struct {
		name string
		spec lab.DiskSpec
	}{{"Debian", lab.Debian()}, {"Fast", lab.FastDebian()}} {
		t.Run(c.name, func(t *testing.T) { bootAndLook(t, c.spec) })
	}
}

func bootAndLook(t *testing.T, spec lab.DiskSpec) {
	l, ctx, dir := open(t)
	master, err := l.Disk(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "old.raw")
	start := time.Now()
	if err := lab.Copy(disk, master); err != nil {
		t.Fatal(err)
	}
	t.Logf("copy of the disk: %.1f s", time.Since(start).Seconds())
	start = time.Now()
	before, err := lab.ImageManifest(ctx, disk, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("manifest of %d names on the host: %.1f s", len(before), time.Since(start).Seconds())
	a, errA := lab.Hash(master)
	b, errB := lab.Hash(disk)
	if errA != nil || errB != nil || a != b {
		t.Errorf("the copy, once mounted, is not the master: %s %v, %s %v", a, errA, b, errB)
	}

	vm := boot(ctx, t, l, lab.Config{Name: spec.Hostname, Dir: dir, Disks: []lab.Disk{{File: disk, Serial: "old"}}})
	if _, err := vm.Console.Expect(soon(ctx, t), `Loading Linux`); err != nil {
		t.Fatal(err)
	}
	grub := vm.Uptime()
	if _, err := vm.Up(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	up := vm.Uptime()
	state, err := vm.Ready(soon(ctx, t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after the start: GRUB %.1f s, agent %.1f s, %s %.1f s", grub.Seconds(), up.Seconds(), state, vm.Uptime().Seconds())
	must := func(script string) string {
		t.Helper()
		r, err := vm.Run(ctx, script)
		if err != nil || r.Code != 0 {
			t.Fatalf("%s: code %d, %v: %s", script, r.Code, err, r.Out)
		}
		t.Logf("%.1f s: %s\n%s", r.Seconds, script, r.Out)
		return strings.TrimSpace(r.Out)
	}
	if state != "running" {
		t.Errorf("systemd is %s: %s", state, must("systemctl --failed --no-legend"))
	}
	root, err := vm.FindMount(ctx, "/")
	if err != nil || root.FSType != "ext4" || root.Source != "/dev/vda2" {
		t.Errorf("root is %+v, %v", root, err)
	}
	if got := must("cat /proc/cmdline"); !strings.Contains(got, "BOOT_IMAGE=") || !strings.Contains(got, "root=UUID="+root.UUID) {
		t.Errorf("command line %q is not GRUB's with root by UUID %s", got, root.UUID)
	}
	if got := must("swapon --show=NAME --noheadings"); got != "/dev/vda3" {
		t.Errorf("swap is on %q", got)
	}
	if got := must("debconf-show grub-pc 2>/dev/null | grep 'install_devices:' || grep -A2 'Name: grub-pc/install_devices$' /var/cache/debconf/config.dat"); !strings.Contains(got, "/dev/vda") {
		t.Errorf("debconf has no install device for grub-pc: %q", got)
	}
	must("df -m / /boot; systemd-analyze; free -m; dmesg | tail -3")

	// A person at the serial line finds root logged in.
	if err := vm.Console.Type("echo at-the-$((40+2))-console\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Console.Expect(soon(ctx, t), `at-the-42-console`); err != nil {
		t.Error(err)
	}
	inGuest, err := vm.Manifest(ctx, "/srv/fixture")
	if err != nil {
		t.Fatal(err)
	}
	off := vm.Uptime()
	if err := vm.PowerOff(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("powered off in %.1f s", (vm.Uptime() - off).Seconds())

	// What the guest saw is what the host reads, and the boot left the fixture alone.
	var onHost []manifest.Entry
	err = lab.WithMounted(ctx, disk, 2, func(dir string) error {
		onHost, err = manifest.Read(filepath.Join(dir, "srv/fixture"), nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Diff(onHost, inGuest, nil) {
		t.Errorf("fixture on the host and in the guest: %s", d)
	}
	after, err := lab.ImageManifest(ctx, disk, 2)
	if err != nil {
		t.Fatal(err)
	}
	changed := manifest.Diff(before, after, func(path string) bool {
		return strings.HasPrefix(path, "var/") || strings.HasPrefix(path, "etc") || path == "."
	})
	for _, d := range changed {
		t.Logf("changed by one boot outside /var and /etc: %s", d)
	}
	if slices.ContainsFunc(changed, func(d manifest.Difference) bool {
		return strings.HasPrefix(d.Path, "srv") || strings.HasPrefix(d.Path, "usr")
	}) {
		t.Error("one boot changed /srv or /usr")
	}
}
