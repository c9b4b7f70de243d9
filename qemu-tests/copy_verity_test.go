package qemutests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// copyVerity runs a test of pkg/tree on Debian's kernel, which has fs-verity; the host's need not have it.
func copyVerity(t *testing.T) {
	l, ctx, dir := open(t)
	ctx = soon(ctx, t)
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
	out, err := vm.MustRun(ctx, "cd /root && modprobe loop && ./tree.test -test.v -test.run '^TestCopyVerity$/^ext4$'")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("in the guest:\n%s", out)
	if strings.Contains(out, "SKIP") || !strings.Contains(out, "--- PASS: TestCopyVerity/ext4") {
		t.Error("the guest did not test it")
	}
	if err := vm.PowerOff(ctx); err != nil {
		t.Error(err)
	}
}
