package stage

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// loop makes a loop device of a file.
func loop(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no loop device: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { tool(t, "losetup", "--detach", dev) })
	return dev
}

// TestVerifyReadsMetadataFromDisk: an inode that is wrong on the disk, and right in the caches that the copy left, is found.
func TestVerifyReadsMetadataFromDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root mounts")
	}
	if _, err := exec.LookPath("debugfs"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: debugfs is not installed")
	}
	m := &machine.Real{}
	must := func(effs ...machine.Effect) {
		t.Helper()
		for _, e := range effs {
			if _, err := m.Do(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What the stages mount lies below /mnt; this one goes with the test.
	must(machine.Mount{Source: "tmpfs", Target: "/mnt", Type: "tmpfs"})
	t.Cleanup(func() { _, _ = m.Do(context.Background(), machine.Unmount{Target: "/mnt"}) })
	src, dst := loop(t, image(t, "src", 0, 32*sim.MiB)), loop(t, image(t, "dst", 0, 32*sim.MiB))

	must(machine.Mkdir{Path: "/mnt/fill", Mode: 0o700}, machine.Mount{Source: src, Target: "/mnt/fill", Type: "ext4"})
	err := os.WriteFile("/mnt/fill/file", []byte("text"), 0o600)
	must(machine.Unmount{Target: "/mnt/fill"})
	if err != nil {
		t.Fatal(err)
	}

	p := &plan.Plan{Moves: []plan.Move{{From: "fs:" + sim.OldRoot, To: "fs:" + sim.OldSrv, Engine: plan.EngineTree}},
		Source: plan.Graph{{Ref: "fs:" + sim.OldRoot, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}}},
		Target: plan.Graph{{Ref: "part:g", Layer: plan.Layer{Part: &plan.Part{}}}, {Ref: "fs:" + sim.OldSrv, On: []plan.Ref{"part:g"}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}}}}
	look := func(context.Context, survey.Depth) (*plan.Facts, error) {
		f := &plan.Facts{Devices: []plan.Device{
			{Name: filepath.Base(src), Path: src, Kind: plan.KindPart, Contents: []plan.Content{{Kind: plan.ContentFS, Type: "ext4", UUID: sim.OldRoot}}},
			{Name: filepath.Base(dst), Path: dst, Kind: plan.KindPart, GUID: "g"},
		}}
		b, err := os.ReadFile("/proc/self/mounts")
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); strings.HasPrefix(w[1], "/mnt/") {
				f.Mounts = append(f.Mounts, plan.Mount{Source: w[0], Target: w[1], Type: w[2]})
			}
		}
		return f, err
	}
	e := &Env{Plan: p, Machine: m, Look: look, Copier: &copy.Engines{}, Tell: func(Event) {}, Clock: func() (string, float64) { return "", 0 },
		Load: func(context.Context, ...string) error { return nil }}
	if e.Facts, err = look(t.Context(), survey.Deep); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{newDir(sim.OldSrv), sourceDir(sim.OldRoot)} {
			_, err := m.Do(context.Background(), machine.Unmount{Target: dir})
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	if err := runCopy(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	tool(t, "sync", "-f", newDir(sim.OldSrv))
	tool(t, "debugfs", "-w", "-R", "set_inode_field /file mtime 20200101000000", dst)
	if st, err := os.Stat(filepath.Join(newDir(sim.OldSrv), "file")); err != nil || st.ModTime().Year() == 2020 {
		t.Fatalf("the cache has lost the inode that the copy left: %v; the test shows nothing", err)
	}
	if err := runVerify(t.Context(), e); err == nil || !strings.Contains(err.Error(), `"file"`) || !strings.Contains(err.Error(), "2020") {
		t.Errorf("an inode that is wrong on the disk: %v", err)
	}
}
