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

// full tells that every point of every scenario is wanted (make qemu-tests); otherwise the few that fit into make test.
func full() bool { return os.Getenv("MIGRATE_INIT_QEMU") == "full" }

// rig is one machine under migration: two disks, and the tool in its root.
type rig struct {
	t        *testing.T
	l        *lab.Lab
	ctx      context.Context
	dir      string
	spec     lab.DiskSpec
	old, new string // image files

	// Scenarios of layouts have any number of disks; old and new are then the first of them.
	from, to []lab.Disk
	before   map[string][]manifest.Entry // files of the old system, by mount point
	typed    bool                        // a passphrase is asked for at the console
}

// emptyRig is a machine without disks yet, whose guests may take longer than those of the lab's own tests.
func emptyRig(t *testing.T, spec lab.DiskSpec) *rig {
	t.Helper()
	l, _, dir := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Minute)
	t.Cleanup(cancel)
	return &rig{t: t, l: l, ctx: ctx, dir: dir, spec: spec, old: filepath.Join(dir, "old.raw"), new: filepath.Join(dir, "new.raw")}
}

// newRig makes both disks: an installed system, and an empty one of the same size.
func newRig(t *testing.T, spec lab.DiskSpec) *rig {
	t.Helper()
	r := emptyRig(t, spec)
	master, err := r.l.Disk(r.ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	r.copyDisk(r.old, master)
	if err := lab.Blank(r.new, spec.Size); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) copyDisk(dst, src string) {
	r.t.Helper()
	if err := os.Remove(dst); err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	if err := lab.Copy(dst, src); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) oldDisk() lab.Disk      { return lab.Disk{File: r.old, Serial: "old"} }
func (r *rig) newDisk() lab.Disk      { return lab.Disk{File: r.new, Serial: "new"} }
func (r *rig) say(f string, a ...any) { r.t.Helper(); r.t.Logf(f, a...) }

// disks are all of the machine.
func (r *rig) disks() []lab.Disk {
	if r.from != nil {
		return slices.Concat(r.from, r.to)
	}
	return []lab.Disk{r.oldDisk(), r.newDisk()}
}

// boot starts a guest in the rig's directory.
func (r *rig) boot(c lab.Config) *lab.VM {
	r.t.Helper()
	c.Dir = r.dir
	return boot(r.ctx, r.t, r.l, c)
}

// start boots the given disks, or both, through the BIOS.
func (r *rig) start(name string, disks ...lab.Disk) *lab.VM {
	r.t.Helper()
	if len(disks) == 0 {
		disks = r.disks()
	}
	return r.boot(lab.Config{Name: name, Disks: disks})
}

// slow bounds one step of a guest that shares the machine with another.
func (r *rig) slow() context.Context {
	ctx, cancel := context.WithTimeout(r.ctx, 8*time.Minute)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) ready(vm *lab.VM) {
	r.t.Helper()
	state, err := vm.Ready(r.slow())
	if err != nil {
		r.t.Fatal(err)
	}
	if state != "running" {
		out, _ := vm.MustRun(r.ctx, "systemctl --failed --no-legend")
		r.t.Errorf("systemd is %s: %s", state, out)
	}
	r.say("system %s, %.1f s after the machine was switched on", state, vm.Uptime().Seconds())
}

func (r *rig) must(vm *lab.VM, script string) string {
	r.t.Helper()
	out := r.quiet(vm, script)
	r.say("$ %s\n%s", script, out)
	return out
}

// quiet is must without showing what the guest said.
func (r *rig) quiet(vm *lab.VM, script string) string {
	r.t.Helper()
	out, err := vm.MustRun(r.ctx, script)
	if err != nil {
		r.t.Fatalf("%s: %v", script, err)
	}
	return out
}

// refused insists that a command ends with code 1 and says words that match.
func (r *rig) refused(vm *lab.VM, script, words string) {
	r.t.Helper()
	res, err := vm.Run(r.ctx, script+" 2>&1")
	if err != nil {
		r.t.Fatalf("%s: %v", script, err)
	}
	r.say("$ %s\n%s(exit code %d)", script, res.Out, res.Code)
	if res.Code != 1 || !regexp.MustCompile(words).MatchString(res.Out) {
		r.t.Errorf("%s: exit code %d and %q, want 1 and words that match %q", script, res.Code, res.Out, words)
	}
}

// reboot asks for a reboot and waits until the process of this boot is gone.
func (r *rig) reboot(vm *lab.VM) {
	r.t.Helper()
	if err := vm.Reboot(r.slow()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) off(vm *lab.VM) {
	r.t.Helper()
	if err := vm.PowerOff(r.slow()); err != nil {
		r.t.Fatal(err)
	}
}

// tool builds the binary as it is shipped and returns its path.
func tool(t *testing.T) string { return built(t) }

func built(t *testing.T, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "migrate-init")
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "migrate-init/cmd/migrate-init")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, b)
	}
	return out
}

// install puts the shipped tool into the running system, as an administrator would.
func (r *rig) install(vm *lab.VM) {
	r.t.Helper()
	r.installFile(vm, tool(r.t))
}

func (r *rig) installFile(vm *lab.VM, tool string) {
	r.t.Helper()
	b, err := os.ReadFile(tool)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := vm.Push(r.slow(), "/usr/local/sbin/migrate-init", 0o755, b); err != nil {
		r.t.Fatal(err)
	}
}

// status is what the tool says about itself, as far as the tests ask.
type status struct {
	Plan     string
	State    string
	Reason   string
	Migrated bool
	Times    []struct {
		Stage   string
		Title   string
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
	if err := json.Unmarshal([]byte(r.quiet(vm, "migrate-init status --json")), &st); err != nil {
		r.t.Fatalf("status: %v", err)
	}
	r.say("status: %s; migrated %v; %s", st.State, st.Migrated, st.Reason)
	return st
}

// legs are the pictures of the arrays in /proc/mdstat.
func (r *rig) legs(vm *lab.VM) []string {
	r.t.Helper()
	as, err := vm.Arrays(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, a := range as {
		out = append(out, a.Level+" "+a.Legs)
		r.say("%s: %s", a.Name, a.Text)
	}
	slices.Sort(out)
	return out
}

func (r *rig) wantLegs(vm *lab.VM, legs string) {
	r.t.Helper()
	if got := r.legs(vm); !slices.Equal(got, []string{"raid1 " + legs, "raid1 " + legs}) {
		r.t.Errorf("arrays: %v, want two of %s", got, legs)
	}
}

// root is where the running root is: "old", "new" or a description of what else.
func (r *rig) root(vm *lab.VM) string {
	r.t.Helper()
	if r.from != nil {
		return r.layoutRoot(vm)
	}
	m, err := vm.FindMount(r.ctx, "/")
	if err != nil {
		r.t.Fatal(err)
	}
	r.say("root: %+v", m)
	switch {
	case strings.HasPrefix(m.Source, "/dev/md"):
		// Its node differs from boot to boot; the name that the plan promises does not.
		if at := strings.TrimSpace(r.quiet(vm, "readlink -f /dev/md/root")); at != m.Source {
			r.t.Errorf("/dev/md/root leads to %q, and the root is on %s", at, m.Source)
		}
		return "new"
	case m.Source == "/dev/vda2":
		return "old"
	}
	return m.Source
}

func (r *rig) wantRoot(vm *lab.VM, want string) {
	r.t.Helper()
	if got := r.root(vm); got != want {
		r.t.Fatalf("the root that runs is the %s one, want the %s", got, want)
	}
}

// comesUp boots disks, waits for the system, insists that it is the one wanted, and returns the running guest.
func (r *rig) comesUp(name, want string, disks ...lab.Disk) *lab.VM {
	r.t.Helper()
	vm := r.start(name, disks...)
	r.atConsole(vm)
	r.ready(vm)
	r.wantRoot(vm, want)
	return vm
}

// follow waits for the migration to enter the new system, failing at once when it says that it failed.
func (r *rig) follow(vm *lab.VM) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 25*time.Minute)
	defer cancel()
	m, err := vm.Console.Expect(ctx, `migrate-init: (FAILED: [^\n]*|handover: entering the migrated system|panic: [^\n]*)`)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasPrefix(m[1], "handover") {
		r.t.Fatalf("the migration says: %s\n%s", m[1], vm.Console.Tail(4000))
	}
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
	var allowed, diffs []string
	expected := rewritten()
	for _, d := range manifest.Diff(before, after, nil) {
		switch {
		case !expected.MatchString(d.Path):
			diffs = append(diffs, d.String())
		case !strings.HasPrefix(d.Path, "boot/grub/i386-pc/") && !slices.Contains(allowed, d.Path):
			allowed = append(allowed, d.Path)
		}
	}
	for _, d := range diffs[:min(20, len(diffs))] {
		r.t.Errorf("source and copy: %s", d)
	}
	r.say("differ as they should: %s", strings.Join(allowed, " "))
	r.say("manifest: %d names in the source, %d in the copy, %d differ outside of what is rewritten", len(before), len(after), len(diffs))
	if len(before) < 1000 {
		r.t.Errorf("the source has only %d names: this compares nothing", len(before))
	}
}

// rewritten are the paths in which a migrated root that has run may differ from its source: what the migration rewrites,
// what the system's own tools make of it, and what a running system writes by itself.
func rewritten() *regexp.Regexp {
	return regexp.MustCompile(`^(` + strings.Join([]string{
		`\.|etc|etc/fstab|etc/mdadm(/mdadm\.conf)?|etc/default/grub\.d(/migrate-init\.cfg)?`,
		`etc/initramfs-tools/(hooks(/migrate-init)?|conf\.d(/resume)?)`,
		`etc/systemd/system(/migrate-init-confirm\.service|/multi-user\.target\.wants(/migrate-init-confirm\.service)?)?`,
		`boot|boot/grub(/(custom\.cfg|grub\.cfg|grubenv|(fonts|locale|i386-pc)(/.*)?))?|boot/initrd\.img-[^/]*|boot/migrate-init-[0-9a-f]{8}\.(img|vmlinuz)`,
		`migrate-init(/(committed|confirmed)-[^/]*)?|var/lib/migrate-init(/.*)?|var/cache/debconf(/config\.dat(-old)?)?`,
		`(tmp|var/tmp|var/log|var/lib/systemd|var/lib/apt|var/cache/apt|var/backups)(/.*)?`,
	}, "|") + `)$`)
}

// engine names what copied the root, as the journal has it.
func (s status) engine() string {
	for _, x := range s.Records {
		if strings.HasPrefix(x.Stage, "copy:") && x.Text == "/" && x.Event == "done" {
			return x.Facts["engine"]
		}
	}
	return ""
}

// showTimes prints how long each stage took, and what was copied, as the journal has it.
func (r *rig) showTimes(st status) {
	r.t.Helper()
	total, other := 0.0, 0.0
	for _, x := range st.Times {
		if !strings.Contains(x.Stage, ":") {
			total += x.Seconds
			if x.Stage != "copy" && x.Stage != "verify" {
				other += x.Seconds
			}
		}
		r.say("measured: %-26s %7.1f s  %s", x.Title, x.Seconds, x.Event)
	}
	r.say("measured: all stages %.1f s, of which %.1f s other than copy and verify", total, other)
	for _, x := range st.Records {
		if strings.HasPrefix(x.Stage, "copy:") && x.Event == "done" {
			r.say("measured: %s: %s files, %s directories, %s bytes by the engine %s", x.Text, x.Facts["files"], x.Facts["dirs"], x.Facts["bytes"], x.Facts["engine"])
		}
	}
}
