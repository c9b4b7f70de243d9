package qemutests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// copyVerity runs tests of pkg/tree on Debian's kernel, which has fs-verity, project ids and journaled data; the host's need not
// have them. What the command makes of them, the guest's lsattr tells.
func copyVerity(t *testing.T) {
	l, whole, dir := open(t)
	ctx := soon(whole, t)
	binary := filepath.Join(t.TempDir(), "tree.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", binary, "migrate-init/pkg/tree")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	master, err := l.Disk(ctx, lab.FastDebian())
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "old.raw")
	if err := lab.Copy(disk, master); err != nil {
		t.Fatal(err)
	}
	vm := boot(ctx, t, l, lab.Config{Name: "verity", Dir: dir, Disks: []lab.Disk{{File: disk, Serial: "old"}}})
	if _, err := vm.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := vm.Push(ctx, "/root/tree.test", 0o755, b); err != nil {
		t.Fatal(err)
	}
	out, err := vm.MustRun(ctx, "cd /root && modprobe loop && ./tree.test -test.v -test.run '^(TestCopyVerity|TestCopyJournalFlag|TestProjectIDs)$/^ext4$'")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("in the guest:\n%s", out)
	for _, test := range []string{"TestCopyVerity/ext4", "TestCopyJournalFlag", "TestProjectIDs/ext4"} {
		if strings.Contains(out, "SKIP") || strings.Contains(out, "NOT TESTED") || !strings.Contains(out, "--- PASS: "+test) {
			t.Errorf("the guest did not test %s", test)
		}
	}
	copyProjects(soon(whole, t), t, vm)
	if err := vm.PowerOff(soon(whole, t)); err != nil {
		t.Error(err)
	}
}
