package distro

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

func debianPlan(level int, drivers ...string) *plan.Plan {
	return &plan.Plan{Machine: plan.Host{Family: "debian", Initrd: "initramfs-tools"}, Drivers: drivers, Target: plan.Graph{
		{Ref: "md:a:b:c:d", Layer: plan.Layer{MD: &plan.MD{Name: "h:root", Level: level}}},
		{Layer: plan.Layer{FS: &plan.FS{Mount: "/", Type: "ext4"}}}, {Layer: plan.Layer{FS: &plan.FS{Mount: "/srv", Type: "xfs"}}},
	}}
}

func TestOf(t *testing.T) {
	if s, err := Of(debianPlan(1)); err != nil || s.Family.Name != "debian" || s.Generator.Name != "initramfs-tools" {
		t.Errorf("%v, %v", s, err)
	}
	for _, other := range []string{"dracut", "mkinitcpio", ""} {
		p := debianPlan(1)
		p.Machine.Initrd = other
		if _, err := Of(p); err == nil || !strings.Contains(err.Error(), "debian with "+other) {
			t.Errorf("%s: %v", other, err)
		}
	}
	for _, f := range Known().Families {
		if f.Name == "" || f.Title == "" || len(f.IDs) == 0 || strings.Count(f.Kernels, "*") != 1 || f.Installed == nil || len(f.Env) == 0 || len(f.Reads) == 0 ||
			!strings.Contains(f.Install, "PACKAGES") || !strings.Contains(f.Reinstall, "PACKAGES") || !strings.Contains(f.Kernel, "RELEASE") {
			t.Errorf("family %s: its row is not complete: %+v", f.Name, f)
		}
	}
	for _, g := range Known().Generators {
		if g.Name == "" || g.Program == "" || g.Rebuilds && (g.Rebuild == nil || g.Needs == nil || g.Overlay == nil || g.InitrdOf == nil || len(g.Reads) == 0) {
			t.Errorf("generator %s: its row is not complete: %+v", g.Name, g)
		}
	}
}

// TestDpkgInstalled reads the database of a server with everything installed, which has some megabytes of it.
func TestDpkgInstalled(t *testing.T) {
	status := strings.Repeat("Package: x\nStatus: install ok installed\nDescription: "+strings.Repeat("y", 1000)+"\n\n", 6000) +
		"Package: mdadm\nStatus: install ok installed\n\nPackage: e2fsprogs\nStatus: deinstall ok config-files\n"
	read := func(name string) string {
		if name != "var/lib/dpkg/status" {
			t.Errorf("%s is read", name)
		}
		return status
	}
	if got := dpkgInstalled(read, []string{"e2fsprogs", "mdadm", "xfsprogs"}); !slices.Equal(got, []string{"mdadm"}) {
		t.Errorf("installed: %q", got)
	}
	if got := dpkgInstalled(func(string) string { return "" }, []string{"mdadm"}); len(got) != 0 {
		t.Errorf("without a database: %q", got)
	}
}

func TestInitrdOf(t *testing.T) {
	if got := initramfsToolsInitrd("boot/vmlinuz-6.1.0-18-amd64"); got != "boot/initrd.img-6.1.0-18-amd64" {
		t.Error(got)
	}
}

// TestRun: a program says what it writes, and nothing of the host's environment leaks in.
func TestRun(t *testing.T) {
	sys, err := Of(debianPlan(1))
	if err != nil {
		t.Fatal(err)
	}
	for root, alters := range map[string][]string{"/mnt/target": {"/dev/vdb", "/mnt/target"}, "": {"/dev/vdb"}} {
		got := append(sys.Rebuild(debianPlan(1), root, []string{"/dev/vdb"}), sys.Run(root, []string{"/dev/vdb"}, [][]string{{"a", "b"}})...)
		var argv []string
		for _, x := range got {
			argv = append(argv, strings.Join(x.Argv, " "))
			if x.Root != root || !slices.Equal(x.Alters, alters) || !slices.Contains(x.Env, "LC_ALL=C") {
				t.Errorf("%+v", x)
			}
		}
		if !slices.Equal(argv, []string{"update-initramfs -u -k all", "a b"}) {
			t.Errorf("%q", argv)
		}
	}
}

func TestNeeds(t *testing.T) {
	for level, module := range map[int]string{0: "raid0", 1: "raid1", 5: "raid456", 6: "raid456", 10: "raid10"} {
		sys, err := Of(debianPlan(level))
		if err != nil {
			t.Fatal(err)
		}
		needs := sys.Generator.Needs(debianPlan(level))
		for _, want := range []string{module, "md_mod", "ext4"} {
			if !slices.ContainsFunc(needs, func(n Need) bool { return n.Module == want && n.Why != "" }) {
				t.Errorf("level %d: module %s is not asked for", level, want)
			}
		}
		if !slices.ContainsFunc(needs, func(n Need) bool { return n.Path == "etc/mdadm/mdadm.conf" && slices.Contains(n.Words, "a:b:c:d") }) {
			t.Errorf("level %d: the array's UUID is not asked for", level)
		}
	}
}

// TestOverlay gives the hook to a shell: with initramfs-tools' functions in place of which it notes what it is asked for.
func TestOverlay(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: no sh")
	}
	for name, c := range map[string]struct {
		drivers []string
		want    string
	}{
		"drivers": {[]string{"virtio_blk", "ahci"}, "force raid1\nadd ext4 virtio_blk ahci\n"},
		"none":    {nil, "force raid1\nadd ext4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			sys, err := Of(debianPlan(1))
			if err != nil {
				t.Fatal(err)
			}
			var hook File
			for _, f := range sys.Generator.Overlay(debianPlan(1, c.drivers...)) {
				if strings.HasPrefix(f.Path, "/etc/initramfs-tools/hooks/") {
					hook = f
				}
			}
			if hook.Mode != 0o755 || hook.Why == "" {
				t.Fatalf("%+v", hook)
			}
			dir := t.TempDir()
			functions := filepath.Join(dir, "functions")
			// With no name, older versions of manual_add_modules run modprobe without one, which fails.
			if err := os.WriteFile(functions, []byte("force_load() { echo force \"$@\"; }\nmanual_add_modules() { echo add \"$@\"; }\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			script := strings.ReplaceAll(string(hook.Data), "/usr/share/initramfs-tools/hook-functions", functions)
			got, err := exec.Command(sh, "-c", script, "hook").CombinedOutput()
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
			if got, err := exec.Command(sh, "-c", script, "hook", "prereqs").CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != "" {
				t.Errorf("prereqs: %q, %v", got, err)
			}
		})
	}
}

// TestDpkgVersion: what is upstream's of a version, of the package itself and not of one that names it.
func TestDpkgVersion(t *testing.T) {
	status := "Package: xfsprogs-extra\nVersion: 9.9-1\nDepends: xfsprogs\n\nPackage: xfsprogs\nStatus: install ok installed\nVersion: 6.1.0-1+b1\n\nPackage: mdadm\nVersion: 1:4.2-5~deb12u1\n\nPackage: native\nVersion: 12\n"
	for pkg, want := range map[string]string{"xfsprogs": "6.1.0", "mdadm": "4.2", "native": "12", "btrfs-progs": ""} {
		if got := dpkgVersion(func(string) string { return status }, pkg); got != want {
			t.Errorf("%s: %q, want %q", pkg, got, want)
		}
	}
}
