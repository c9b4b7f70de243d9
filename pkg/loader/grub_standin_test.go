package loader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// TestStandIn gives the script to a shell and asks it as grub-mkconfig does.
func TestStandIn(t *testing.T) {
	const array = "md:1b2c3d4e:5f607182:93a4b5c6:d7e8f901"
	const boot = "md:00000001:00000002:00000003:00000004"
	p := &plan.Plan{Target: plan.Graph{
		{Ref: array, On: []plan.Ref{"part:a", "part:b", ""}, Layer: plan.Layer{MD: &plan.MD{Level: 5, Metadata: "1.2"}}},
		{Ref: boot, On: []plan.Ref{"part:c", ""}, Layer: plan.Layer{MD: &plan.MD{Level: 1, Metadata: "0.90"}}},
		{Ref: "fs:11111111-1111-4111-8111-111111111111", On: []plan.Ref{array}, Layer: plan.Layer{FS: &plan.FS{Mount: "/", Type: "ext4"}}},
		{Ref: "fs:22222222-2222-4222-8222-222222222222", On: []plan.Ref{boot}, Layer: plan.Layer{FS: &plan.FS{Mount: "/boot", Type: "ext2"}}},
	}}
	node := func(n *plan.Node) string { return "/dev/planned-" + n.Ref.ID()[:8] }
	files, err := grubStandIns(p, node)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Path != "/usr/sbin/grub-probe" || files[0].Mode != 0o755 {
		t.Fatalf("%+v", files)
	}
	probe := filepath.Join(t.TempDir(), "grub-probe")
	if err := os.WriteFile(probe, files[0].Data, 0o755); err != nil {
		t.Fatal(err)
	}
	const root, other = "/dev/planned-11111111", "/dev/planned-22222222"
	for args, want := range map[string]string{
		"--target=device /":                                 root,
		"--target=device /etc":                              root,
		"--device " + root + " --target=fs_uuid":            "11111111-1111-4111-8111-111111111111",
		"--device " + other + " --target=fs_uuid":           "22222222-2222-4222-8222-222222222222",
		"-t fs /usr":                                        "ext2",
		"--target=partmap --device " + root:                 "gpt\ngpt",
		"--target=partmap --device " + other:                "gpt",
		"--device " + root + " --target=abstraction":        "diskfilter\nmdraid1x\nraid5rec",
		"-d " + other + " -t abstraction":                   "diskfilter\nmdraid09",
		"--device " + root + " --target=compatibility_hint": "mduuid/1b2c3d4e5f60718293a4b5c6d7e8f901",
		"--device " + root + " --target=hints_string":       "--hint='mduuid/1b2c3d4e5f60718293a4b5c6d7e8f901'",
		"--device " + root + " --target=partuuid":           "",
		"--device /dev/sda1 --target=fs":                    "!",
		"--target=bios_hint /":                              "!",
		"--target=fs /no/such/file":                         "!",
		"--frob /":                                          "!",
		"--target=fs / /etc":                                "!",
		"--target=fs":                                       "!",
	} {
		out, err := exec.Command("sh", append([]string{probe}, strings.Fields(args)...)...).Output()
		got := strings.TrimSpace(string(out))
		if err != nil {
			got = "!" + got
		}
		if got != want {
			t.Errorf("grub-probe %s: %q, want %q", args, got, want)
		}
	}
	p.Target[2].FS.Mount, p.Target[3].FS.Mount = "/boot it's", "/"
	if files, err = grubStandIns(p, node); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-n", "-c", string(files[0].Data)).CombinedOutput(); err != nil {
		t.Errorf("a mount point with a quote: %s, %v", out, err)
	}
	p.Target[2].On = nil
	if _, err := grubStandIns(p, node); err == nil {
		t.Error("a filesystem without an array has an answer")
	}
}
