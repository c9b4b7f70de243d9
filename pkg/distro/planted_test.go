package distro

import (
	"slices"
	"strings"
	"testing"

	"migrate-init/pkg/plan"
)

// TestPlanted shows that a family and a generator are rows: each in a file of its own, they are found, rebuilt, checked
// and named together with those that were there, in any pair.
func TestPlanted(t *testing.T) {
	table := Known()
	table.Families, table.Generators = append(table.Families, planted()), append(table.Generators, seedling())
	for _, c := range []struct{ family, generator, rebuild, env string }{
		{"planted", "seedling", "seedling --clean; seedling --all", "PATH=/garden/bin"},
		{"planted", "initramfs-tools", "update-initramfs -u -k all", "PATH=/garden/bin"},
		{"debian", "seedling", "seedling --clean; seedling --all", "DEBIAN_FRONTEND=noninteractive"},
	} {
		p := debianPlan(1)
		p.Machine = plan.Host{Family: c.family, Initrd: c.generator}
		if _, err := Of(p); err == nil {
			t.Errorf("%s with %s: known without being planted", c.family, c.generator)
		}
		sys, err := table.Of(p)
		if err != nil {
			t.Fatal(err)
		}
		var argv []string
		for _, x := range sys.Rebuild(p, "/mnt/target", []string{"/dev/vdb"}) {
			argv = append(argv, strings.Join(x.Argv, " "))
			if !slices.Contains(x.Env, c.env) || x.Root != "/mnt/target" || !slices.Contains(x.Alters, "/mnt/target") {
				t.Errorf("%s with %s: %+v", c.family, c.generator, x)
			}
		}
		if got := strings.Join(argv, "; "); got != c.rebuild {
			t.Errorf("%s with %s is rebuilt by %q, want %q", c.family, c.generator, got, c.rebuild)
		}
		if len(sys.Generator.Needs(p)) == 0 || len(sys.Generator.Overlay(p)) == 0 || len(sys.Generator.Settings) == 0 {
			t.Errorf("%s with %s: something is missing", c.family, c.generator)
		}
	}
	if got := seedling().InitrdOf("boot/kernel-7"); got != "boot/seed-7.img" {
		t.Errorf("initrd: %s", got)
	}
}

// TestPlantedChecks: what a plan refuses is told in the words of the row.
func TestPlantedChecks(t *testing.T) {
	table := Table{[]Family{debian(), planted()}, []Generator{initramfsTools(), dracut(), seedling()}}
	f := &plan.Facts{Rules: table.Rules(), Distro: plan.Distro{ID: "planted", Family: "planted", Initrd: "seedling",
		Packages: []plan.Package{{Name: "mdadm"}, {Name: "e2fsprogs", Installed: true}}}}
	p := debianPlan(1)
	p.Target = p.Target[:2] // without /srv, whose type needs a package of its own
	answer := func() plan.Finding {
		t.Helper()
		for _, x := range plan.Check(p, f, plan.Live) {
			if x.ID == "package.present" {
				return x
			}
		}
		t.Fatal("package.present: no answer")
		return plan.Finding{}
	}
	if x := answer(); x.Severity != plan.Refuse || x.Subject != "packages mdadm" || x.Fix != "grow mdadm" {
		t.Errorf("mdadm is not installed: %+v", x)
	}
	f.Distro.Packages[0].Installed = true
	if x := answer(); x.Severity != plan.OK {
		t.Errorf("all is installed: %+v", x)
	}
	for _, other := range []string{"dracut", "mkinitcpio", ""} {
		f.Distro.Initrd = other
		if x := answer(); x.Severity != plan.Refuse || x.Fix != "this version rebuilds Debian and its relatives and Planted Linux with initramfs-tools or seedling" {
			t.Errorf("generator %q: %+v", other, x)
		}
	}
	f.Boot.Dir, f.Mounts = "/boot", []plan.Mount{{Target: "/", Free: 1}}
	if x := plan.CheckRoom(f, 2); x.Fix != "remove old kernels: prune kernels" {
		t.Errorf("no room: %+v", x)
	}
	if got := f.Rules.Family("planted").ReinstallKernel("7"); got != "grow --again kernel-7" {
		t.Errorf("kernel: %s", got)
	}
	if got := f.Rules.Family("unheard of").InstallCommand("a", "b"); got != "install the package a b" {
		t.Errorf("unknown family: %s", got)
	}
	read := func(string) string { return "bash\nmdadm\n" }
	if got := planted().Installed(read, plan.Packages()); !slices.Equal(got, []string{"mdadm"}) {
		t.Errorf("installed: %q", got)
	}
}
