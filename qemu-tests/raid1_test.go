package qemutests

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// rig is one machine under migration: two disks, and the tool in its root.
type rig struct {
	t        *testing.T
	l        *lab.Lab
	ctx      context.Context
	dir      string
	spec     lab.DiskSpec
	old, new string // image files
	oldSum   string // the old disk's hash when it was last off and unmigrated
}

// newRig makes both disks; the tool is put into the old root with the guest running, as an administrator would.
func newRig(t *testing.T, spec lab.DiskSpec) *rig {
	t.Helper()
	l, ctx, dir := open(t)
	master, err := l.Disk(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, l: l, ctx: ctx, dir: dir, spec: spec, old: filepath.Join(dir, "old.raw"), new: filepath.Join(dir, "new.raw")}
	if err := lab.Copy(r.old, master); err != nil {
		t.Fatal(err)
	}
	if err := lab.Blank(r.new, spec.Size); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) disks() []lab.Disk {
	return []lab.Disk{{File: r.old, Serial: "old"}, {File: r.new, Serial: "new"}}
}

// start boots the given disks through the BIOS.
func (r *rig) start(name string, disks ...lab.Disk) *lab.VM {
	r.t.Helper()
	if len(disks) == 0 {
		disks = r.disks()
	}
	return boot(r.ctx, r.t, r.l, lab.Config{Name: name, Dir: r.dir, Disks: disks})
}

func (r *rig) ready(vm *lab.VM) {
	r.t.Helper()
	start := time.Now()
	state, err := vm.Ready(soon(r.ctx, r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	if state != "running" {
		out, _ := vm.MustRun(r.ctx, "systemctl --failed --no-legend")
		r.t.Errorf("systemd is %s: %s", state, out)
	}
	r.t.Logf("system up (%s) after %.1f s of waiting", state, time.Since(start).Seconds())
}

func (r *rig) must(vm *lab.VM, script string) string {
	r.t.Helper()
	out, err := vm.MustRun(r.ctx, script)
	if err != nil {
		r.t.Fatalf("%s: %v", script, err)
	}
	r.t.Logf("$ %s\n%s", script, out)
	return out
}

// reboot asks for a reboot and waits until the process of this boot is gone.
func (r *rig) reboot(vm *lab.VM) {
	r.t.Helper()
	if err := vm.Reboot(soon(r.ctx, r.t)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) off(vm *lab.VM) {
	r.t.Helper()
	if err := vm.PowerOff(soon(r.ctx, r.t)); err != nil {
		r.t.Fatal(err)
	}
}

// tool builds the binary as it is shipped and returns its path.
func tool(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "migrate-init")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "migrate-init/cmd/migrate-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, b)
	}
	return out
}

func (r *rig) install(vm *lab.VM) {
	r.t.Helper()
	b, err := os.ReadFile(tool(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := vm.Push(soon(r.ctx, r.t), "/usr/local/sbin/migrate-init", 0o755, b); err != nil {
		r.t.Fatal(err)
	}
}

// schedule takes the old system from a boot to an armed migration.
func (r *rig) schedule(planArgs string) {
	r.t.Helper()
	vm := r.start("old system")
	r.ready(vm)
	r.install(vm)
	r.must(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb "+planArgs)
	r.must(vm, "cd /root && migrate-init check plan.toml")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img && ls -l migrate.img")
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
	r.reboot(vm)
}

// status is what the tool says about itself, as far as the tests ask.
type status struct {
	State    string
	Reason   string
	Migrated bool
	Times    []struct {
		Stage   string
		Seconds float64
		Event   string
	}
	Arrays []struct {
		Name     string
		Degraded int
	}
	Records []struct {
		Stage, Event, Text string
		Facts              map[string]string
	}
}

func (r *rig) status(vm *lab.VM) status {
	r.t.Helper()
	var st status
	out := r.must(vm, "migrate-init status --json")
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		r.t.Fatalf("status: %v", err)
	}
	return st
}

// legs maps each array to its picture in /proc/mdstat.
func (r *rig) legs(vm *lab.VM) []string {
	r.t.Helper()
	as, err := vm.Arrays(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, a := range as {
		out = append(out, a.Level+" "+a.Legs)
		r.t.Logf("%s: %s", a.Name, a.Text)
	}
	slices.Sort(out)
	return out
}

// onArray insists that the root is the new filesystem on an md device.
func (r *rig) onArray(vm *lab.VM) {
	r.t.Helper()
	m, err := vm.FindMount(r.ctx, "/")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("root: %+v", m)
	if !strings.HasPrefix(m.Source, "/dev/md") {
		r.t.Fatalf("root is on %s, not on an array", m.Source)
	}
}

func (r *rig) onOld(vm *lab.VM) {
	r.t.Helper()
	m, err := vm.FindMount(r.ctx, "/")
	if err != nil {
		r.t.Fatal(err)
	}
	if m.Source != "/dev/vda2" {
		r.t.Fatalf("root is on %s, not on the old disk", m.Source)
	}
}

// follow waits for the migration to enter the new system, failing at once when it says that it failed.
func (r *rig) follow(vm *lab.VM) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 12*time.Minute)
	defer cancel()
	m, err := vm.Console.Expect(ctx, `migrate-init: (FAILED: [^\n]*|handover: entering the migrated system|panic: [^\n]*)`)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasPrefix(m[1], "handover") {
		r.t.Fatalf("the migration says: %s\n%s", m[1], vm.Console.Tail(4000))
	}
}

// rewritten are the paths in which a migrated root may differ from its source.
func rewritten() *regexp.Regexp {
	return regexp.MustCompile(`^(\.$|etc($|/)|boot($|/)|migrate-init($|/)|var($|/)|root($|/)|run|tmp|dev|usr/share/info|lost\+found|usr/local/sbin)`)
}

// sameTree compares the old root with the new one, both read on the host.
func (r *rig) sameTree() {
	r.t.Helper()
	before, err := lab.ImageManifest(r.ctx, r.old, 2)
	if err != nil {
		r.t.Fatal(err)
	}
	parts, err := lab.Partitions(r.new)
	if err != nil {
		r.t.Fatal(err)
	}
	number := 0
	for _, p := range parts {
		if p.Name == "root" {
			number = p.Number
		}
	}
	after, err := lab.ImageManifest(r.ctx, r.new, number)
	if err != nil {
		r.t.Fatal(err)
	}
	allowed := rewritten()
	diffs := manifest.Diff(before, after, allowed.MatchString)
	for i, d := range diffs {
		if i < 20 {
			r.t.Errorf("source and copy: %s", d)
		}
	}
	r.t.Logf("manifest: %d names in the source, %d in the copy, %d differ outside of what is rewritten", len(before), len(after), len(diffs))
	if len(before) < 1000 {
		r.t.Errorf("the source has only %d names: this compares nothing", len(before))
	}
}

// TestRaid1 is the main job: one disk becomes a RAID1.
func TestRaid1(t *testing.T) {
	t.Run("HappyPath", func(t *testing.T) { happyPath(t, lab.Debian(), "") })
}

func happyPath(t *testing.T, spec lab.DiskSpec, planArgs string) {
	began := time.Now()
	r := newRig(t, spec)
	vm := r.start("old system")
	r.ready(vm)
	r.install(vm)
	r.must(vm, "migrate-init inspect")
	r.must(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb "+planArgs)
	r.must(vm, "cd /root && migrate-init check plan.toml")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img && ls -l migrate.img")
	r.must(vm, "cd /root && migrate-init schedule --dry-run plan.toml --image migrate.img")
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
	r.reboot(vm)

	down := time.Now()
	vm = r.start("migration")
	r.follow(vm)
	r.ready(vm)
	t.Logf("from the reboot to the migrated system: %.0f s", time.Since(down).Seconds())
	r.onArray(vm)
	if got := r.legs(vm); !slices.Equal(got, []string{"raid1 U_", "raid1 U_"}) {
		t.Errorf("arrays after the migration: %v", got)
	}
	r.must(vm, "swapon --show; cat /etc/fstab /etc/mdadm/mdadm.conf; cat /proc/cmdline")
	if st := r.status(vm); st.State != "migrated" || !st.Migrated {
		t.Errorf("status says %q", st.State)
	}
	r.must(vm, "migrate-init status")
	r.off(vm)
	r.sameTree()

	// The old disk's boot loader obeys the commit.
	vm = r.start("by the old disk's GRUB")
	r.ready(vm)
	r.onArray(vm)
	r.off(vm)

	// The new disk's own boot loader, the old disk away.
	vm = r.start("old disk detached", lab.Disk{File: r.new, Serial: "new"})
	r.ready(vm)
	r.onArray(vm)
	r.off(vm)

	vm = r.start("finish")
	r.ready(vm)
	r.must(vm, "migrate-init finish --dry-run")
	r.must(vm, "migrate-init finish 2>&1")
	if got := r.legs(vm); !slices.Equal(got, []string{"raid1 UU", "raid1 UU"}) {
		t.Errorf("arrays after finish: %v", got)
	}
	if st := r.status(vm); st.State != "finished" {
		t.Errorf("status says %q", st.State)
	}
	r.off(vm)

	for _, d := range []lab.Disk{{File: r.old, Serial: "old"}, {File: r.new, Serial: "new"}} {
		// Each alone, on a copy: an array that ran without its mate would have to be resynced for the next.
		alone := filepath.Join(r.dir, d.Serial+"-alone.raw")
		if err := lab.Copy(alone, d.File); err != nil {
			t.Fatal(err)
		}
		vm = r.start(d.Serial+" disk alone", lab.Disk{File: alone, Serial: d.Serial})
		r.ready(vm)
		r.onArray(vm)
		r.off(vm)
	}
	vm = r.start("both disks")
	r.ready(vm)
	r.onArray(vm)
	if got := r.legs(vm); !slices.Equal(got, []string{"raid1 UU", "raid1 UU"}) {
		t.Errorf("arrays at the end: %v", got)
	}
	r.must(vm, "cat /proc/mdstat")
	r.off(vm)
	t.Logf("[UU] after %.0f s in all", time.Since(began).Seconds())
}
