package loader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

func subvolPlan(first string, parts ...plan.Subvol) *plan.Plan {
	fs := &plan.FS{Type: "btrfs", Mount: "/", Subvols: parts, Default: first}
	return &plan.Plan{Boot: plan.Booting{Mount: "/"}, Target: plan.Graph{{Ref: "md:1", Layer: plan.Layer{MD: &plan.MD{}}}, {Ref: "fs:2", On: []plan.Ref{"md:1"}, Layer: plan.Layer{FS: fs}}}}
}

func TestRootSubvolume(t *testing.T) {
	at := plan.Subvol{Path: "@", Mount: "/"}
	for _, c := range []struct {
		p       *plan.Plan
		cmdline string
		want    bool
	}{
		{subvolPlan(""), "root=UUID=2 ro", true},
		{subvolPlan("", at), "root=UUID=2 ro rootflags=subvol=@ quiet", true},
		{subvolPlan("", at), "root=UUID=2 ro rootflags=noatime,subvol=/@", true},
		{subvolPlan("", at), "root=UUID=2 ro", false},
		{subvolPlan("", at), "root=UUID=2 ro rootflags=subvol=@home", false},
		{subvolPlan("", at), "root=UUID=2 ro rootflags=subvolid=256", false},
		{subvolPlan("@", at), "root=UUID=2 ro", true},
		{subvolPlan("", plan.Subvol{Mount: "/"}), "root=UUID=2 rootflags=subvolid=5", true},
	} {
		if got := rootSubvolume(c.p, c.cmdline); got != c.want {
			t.Errorf("%+v: %q: %v", c.p.Target[1].FS, c.cmdline, got)
		}
	}
}

func TestGRUBNewPrefix(t *testing.T) {
	for _, c := range []struct {
		parts []plan.Subvol
		mount string
		want  string
	}{
		{nil, "/", "/boot/grub"},
		{[]plan.Subvol{{Path: "@", Mount: "/"}, {Path: "@home", Mount: "/home"}}, "/", "/@/boot/grub"},
		{[]plan.Subvol{{Path: "@", Mount: "/"}, {Path: "@boot", Mount: "/boot"}}, "/boot", "/@boot/grub"},
	} {
		p := subvolPlan("", c.parts...)
		p.Boot.Mount = c.mount
		if got := grubNewPrefix(p, grubSettings{Dir: "/boot/grub"}); got != c.want {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
}

// TestGRUBPaths runs the stand-in: it says of planned subvolumes what grub-mkrelpath says of mounted ones.
func TestGRUBPaths(t *testing.T) {
	p := subvolPlan("", plan.Subvol{Path: "@", Mount: "/"}, plan.Subvol{Path: "@it's home", Mount: "/home"}, plan.Subvol{Path: "", Mount: "/top"})
	list := p.Target.Places()
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	file := filepath.Join(t.TempDir(), "grub-mkrelpath")
	if err := os.WriteFile(file, grubPaths(list).Data, 0o700); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"/": "/@", "/boot": "/@/boot", "/boot/vmlinuz-1": "/@/boot/vmlinuz-1", "/home": "/@it's home", "/home/a": "/@it's home/a", "/homes": "/@/homes", "/top": "/", "/top/x": "/x"} {
		out, err := exec.Command("sh", file, arg).CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", arg, got, err, want)
		}
	}
}
