package qemutests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestMd has the kernel and mdadm judge pkg/md, and pkg/md judge what they write.
func TestMd(t *testing.T) { t.Run("Oracle", mdOracle) }

// mdOracle runs the tests of package mdguest inside one small guest with disks of their own.
func mdOracle(t *testing.T) {
	l, ctx, dir := open(t)
	test, err := lab.TestBinary(ctx, dir, "migrate-init/qemu-tests/mdguest")
	if err != nil {
		t.Fatal(err)
	}
	config, err := l.MiniInitramfs(ctx, dir, lab.Mini{
		Modules: []string{"md_mod", "raid1", "raid10", "raid456"},
		Tools:   []string{"/sbin/mdadm"},
		Files:   []lab.File{{Path: "/lab/mdguest.test", Host: test}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// On a busy host the emulated timer can miss the kernel's test of it, which then panics.
	config.Append += " no_timer_check"
	add := func(serial string, size int64) {
		file := filepath.Join(dir, serial+".raw")
		if err := lab.Blank(file, size); err != nil {
			t.Fatal(err)
		}
		config.Disks = append(config.Disks, lab.Disk{File: file, Serial: serial})
	}
	for i := range 5 {
		add(fmt.Sprintf("md%d", i), 12<<20)
	}
	add("big0", 160<<20)
	add("big1", 176<<20)
	vm := boot(ctx, t, l, config)
	if _, err := vm.Up(soon(ctx, t)); err != nil {
		t.Fatal(err)
	}
	up := vm.Uptime()
	only := ""
	if run := os.Getenv("MIGRATE_INIT_MDRUN"); run != "" {
		only = " -test.run '" + run + "'"
	}
	r, err := vm.Run(ctx, "cd /lab && MIGRATE_INIT_MDGUEST="+os.Getenv("MIGRATE_INIT_QEMU")+" TZ=UTC LC_ALL=C ./mdguest.test -test.v -test.timeout 12m"+only)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Out)
	}
	t.Logf("guest up after %.1f s, its tests took %.1f s:\n%s", up.Seconds(), r.Seconds, r.Out)
	if r.Code != 0 || strings.Contains(r.Out, "--- SKIP") {
		t.Errorf("the tests in the guest ended with code %d:\n%s", r.Code, strings.Join(regexp.MustCompile(`(?m)^ *--- (FAIL|SKIP).*`).FindAllString(r.Out, -1), "\n"))
	}
	for _, name := range []string{"TestOurs", "TestTheirs", "TestJoin", "TestStale", "TestWipe"} {
		if only == "" && !strings.Contains(r.Out, "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass in the guest", name)
		}
	}
	if err := vm.PowerOff(soon(ctx, t)); err != nil {
		t.Error(err)
	}
}
