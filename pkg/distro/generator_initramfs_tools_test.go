package distro

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

func rootOf(typ string, level int, drivers ...string) *plan.Plan {
	return &plan.Plan{Drivers: drivers, Machine: plan.Host{Family: "debian", Initrd: "initramfs-tools"},
		Target: plan.Graph{{Ref: "md:a:b:c:d", Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: level}}}, {Ref: "md:e:f:g:h", Layer: plan.Layer{MD: &plan.MD{Name: "h:srv", Level: level}}},
			{Layer: plan.Layer{FS: &plan.FS{Mount: "/srv", Type: "xfs"}}}, {Layer: plan.Layer{FS: &plan.FS{Mount: "/", Type: typ}}}}}
}

func TestInitramfsToolsNeeds(t *testing.T) {
	for typ, want := range map[string]string{"ext4": "ext4", "ext3": "ext4", "ext2": "ext4", "xfs": "xfs"} {
		got, words := "", ""
		for _, n := range initramfsToolsNeeds(rootOf(typ, 1)) {
			if n.Why == "the root filesystem" {
				got = n.Module
			}
			words += strings.Join(n.Words, " ")
		}
		if got != want {
			t.Errorf("a root of %s needs module %q, want %q", typ, got, want)
		}
		if !strings.Contains(words, "a:b:c:d e:f:g:h") {
			t.Errorf("arrays to be named: %q", words)
		}
	}
	for level, want := range map[int]string{0: "raid0", 1: "raid1", 5: "raid456", 6: "raid456", 10: "raid10"} {
		if got := initramfsToolsNeeds(rootOf("ext4", level))[0].Module; got != want {
			t.Errorf("level %d: %s", level, got)
		}
	}
}

// TestInitramfsToolsHook runs the hook with the functions of initramfs-tools replaced: each personality once, every driver, and
// no error where there is nothing to add.
func TestInitramfsToolsHook(t *testing.T) {
	for want, p := range map[string]*plan.Plan{
		"force raid1\nadd ext4 virtio_blk virtio_pci\n": rootOf("ext4", 1, "virtio_blk", "virtio_pci"),
		"force raid1\nadd ext4\n":                       rootOf("ext4", 1),
	} {
		files := initramfsToolsOverlay(p)
		if len(files) != 1 || files[0].Mode != 0o755 {
			t.Fatalf("%v", files)
		}
		dir := t.TempDir()
		functions := filepath.Join(dir, "hook-functions")
		if err := os.WriteFile(functions, []byte("force_load() { echo force \"$@\"; }\nmanual_add_modules() { echo add \"$@\"; }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		hook := strings.ReplaceAll(string(files[0].Data), "/usr/share/initramfs-tools/hook-functions", functions)
		for arg, want := range map[string]string{"": want, "prereqs": "\n"} {
			cmd := exec.Command("sh", "-eu", "-c", hook, "hook", arg)
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != want {
				t.Errorf("%q: %v, %q, want %q", arg, err, out, want)
			}
		}
	}
	p := rootOf("ext4", 1)
	p.Target = p.Target[2:]
	if f := initramfsToolsOverlay(p); len(f) != 0 {
		t.Errorf("without arrays: %v", f)
	}
}
