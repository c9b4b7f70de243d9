package qemutests

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"migrate-init/qemu-tests/lab"
	"migrate-init/qemu-tests/lab/manifest"
)

// The scenarios of layouts: any number of source disks, any number of empty target disks, on any bus. A scenario reads:
//
//	r := layoutRig(t, lab.MD090(), lab.VirtioBlk, blank{2 << 30, lab.NVMe}, blank{2 << 30, lab.NVMe})
//	vm := r.oldSystem()
//	r.schedule(vm, "--to raid1 --disk "+r.node(r.to[0])+" --disk "+r.node(r.to[1]))
//	vm = r.byKernel(vm)   // or r.byGRUB(vm): migrates, and the new system runs
//	r.sameFiles(vm)

// source is what makes the disks that a scenario starts from: lab.DiskSpec and lab.System do.
type source interface {
	Masters(context.Context, *lab.Lab) ([]string, error)
}

// blank is an empty disk.
type blank struct {
	size int64
	bus  lab.Bus
}

// layoutRig makes all disks of a machine. The sources have the serials old1, old2 ..., the targets new1, new2 ...
func layoutRig(t *testing.T, from source, bus lab.Bus, to ...blank) *rig {
	t.Helper()
	r := emptyRig(t, lab.DiskSpec{})
	masters, err := from.Masters(r.ctx, r.l)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range masters {
		d := lab.Disk{File: filepath.Join(r.dir, fmt.Sprintf("old%d.raw", i+1)), Serial: fmt.Sprintf("old%d", i+1), Bus: bus}
		r.copyDisk(d.File, m)
		r.from = append(r.from, d)
	}
	for i, b := range to {
		d := lab.Disk{File: filepath.Join(r.dir, fmt.Sprintf("new%d.raw", i+1)), Serial: fmt.Sprintf("new%d", i+1), Bus: b.bus}
		if err := lab.Blank(d.File, b.size); err != nil {
			t.Fatal(err)
		}
		r.to = append(r.to, d)
	}
	r.old = r.from[0].File
	if len(r.to) > 0 {
		r.new = r.to[0].File
	}
	return r
}

// node is the name that a guest with all disks gives one of them. Disks of virtio-scsi and AHCI share theirs: use one of both.
func (r *rig) node(d lab.Disk) string {
	r.t.Helper()
	n := 0
	for _, x := range r.disks() {
		if x.Serial == d.Serial {
			break
		}
		if x.Bus == d.Bus {
			n++
		}
	}
	switch d.Bus {
	case lab.VirtioBlk:
		return "/dev/vd" + string(rune('a'+n))
	case lab.NVMe:
		return fmt.Sprintf("/dev/nvme%dn1", n)
	}
	return "/dev/sd" + string(rune('a'+n))
}

// toDisks is --disk for every target disk.
func (r *rig) toDisks() string {
	var out []string
	for _, d := range r.to {
		out = append(out, "--disk "+r.node(d))
	}
	return strings.Join(out, " ")
}

// oldSystem boots the source with the shipped tool in it, and remembers the files that a migration has to keep.
func (r *rig) oldSystem() *lab.VM {
	r.t.Helper()
	vm := r.comesUp("old system", "old")
	r.before = r.files(vm)
	r.install(vm)
	return vm
}

// schedule plans, checks, builds and schedules, as the documentation has it. words are those of plan.
func (r *rig) schedule(vm *lab.VM, words string) {
	r.t.Helper()
	r.must(vm, "migrate-init inspect")
	r.must(vm, "cd /root && migrate-init plan "+words)
	r.must(vm, "cd /root && migrate-init check plan.toml")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img && ls -l migrate.img")
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img 2>&1")
}

// byGRUB reboots into the migration, as an operator does, and returns the new system when it runs.
func (r *rig) byGRUB(vm *lab.VM) *lab.VM {
	r.t.Helper()
	r.reboot(vm)
	vm = r.start("migration")
	r.atConsole(vm)
	r.enters(vm)
	return vm
}

// enters follows a migration into the new system.
func (r *rig) enters(vm *lab.VM) {
	r.t.Helper()
	r.follow(vm)
	r.say("measured: the new system was entered %.0f s after the start of the machine", vm.Uptime().Seconds())
	r.ready(vm)
	r.wantRoot(vm, "new")
	st := r.status(vm)
	if st.State != "migrated" {
		r.t.Errorf("status says %q", st.State)
	}
	r.showTimes(st)
}

// fromOutside starts the scheduled image, without a boot loader, and gives the hashes that the source disks had before.
func (r *rig) fromOutside(old *lab.VM) (image *lab.VM, hashes map[string]string) {
	r.t.Helper()
	c := r.outside(old)
	r.off(old)
	hashes = r.hashes(r.from)
	return r.boot(c), hashes
}

// byKernel starts the scheduled image from outside, so that no boot loader writes, and cuts the power when the new system is
// entered: until then no byte of a source disk may have changed. Then the machine starts by its boot loader, which has to
// choose the new system.
func (r *rig) byKernel(vm *lab.VM) *lab.VM {
	r.t.Helper()
	vm, hashes := r.fromOutside(vm)
	r.atConsole(vm)
	r.follow(vm)
	r.say("measured: the new system was entered %.0f s after the start of the machine", vm.Uptime().Seconds())
	if err := vm.Cut(); err != nil {
		r.t.Fatal(err)
	}
	r.unchanged(hashes)
	vm = r.comesUp("new system, by the boot loader", "new")
	st := r.status(vm)
	if st.State != "migrated" {
		r.t.Errorf("status says %q", st.State)
	}
	r.showTimes(st)
	return vm
}

// outside takes kernel, image and command line of the scheduled migration out of the running old system.
func (r *rig) outside(vm *lab.VM) lab.Config {
	r.t.Helper()
	// The one line that boots it, as schedule wrote it for the old GRUB: linux KERNEL WORDS.
	line := strings.Fields(r.quiet(vm, `grep -h '^[[:space:]]*linux .*migrate\.mode=migrate' /boot/grub/custom.cfg`))
	if len(line) < 3 {
		r.t.Fatalf("the boot entry of the migration is %q", line)
	}
	c := lab.Config{Name: "migration by a kernel from outside", Kernel: filepath.Join(r.dir, "vmlinuz"), Initrd: filepath.Join(r.dir, "migrate.img"),
		Append: strings.Join(line[2:], " "), Disks: r.disks()}
	for to, pattern := range map[string]string{c.Kernel: "/boot/migrate-init-*.vmlinuz", c.Initrd: "/boot/migrate-init-*.img"} {
		b, err := vm.Pull(r.slow(), r.quiet(vm, "ls "+pattern))
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.say("kernel command line: %s", c.Append)
	return c
}

// hashes are those of whole disks, by serial.
func (r *rig) hashes(disks []lab.Disk) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for _, d := range disks {
		out[d.Serial] = r.hash(d.File)
	}
	return out
}

// unchanged insists that the source disks have the hashes of before.
func (r *rig) unchanged(before map[string]string) {
	r.t.Helper()
	after := r.hashes(r.from)
	for _, d := range r.from {
		r.say("sha256 of the whole disk %s: %s before, %s after", d.Serial, before[d.Serial], after[d.Serial])
		if before[d.Serial] != after[d.Serial] {
			r.t.Errorf("the disk %s changed", d.Serial)
		}
	}
}

// only boots some of the disks, on copies, and insists on the new system.
func (r *rig) only(name string, disks ...lab.Disk) *lab.VM {
	r.t.Helper()
	var copies []lab.Disk
	for _, d := range disks {
		c := d
		c.File = filepath.Join(r.dir, "only-"+d.Serial+".raw")
		r.copyDisk(c.File, d.File)
		copies = append(copies, c)
	}
	return r.comesUp(name, "new", copies...)
}

// finish completes the migration.
func (r *rig) finish(vm *lab.VM) {
	r.t.Helper()
	start := time.Now()
	r.must(vm, "migrate-init finish 2>&1")
	r.say("measured: finish took %.1f s", time.Since(start).Seconds())
	if st := r.status(vm); st.State != "finished" {
		r.t.Errorf("status says %q", st.State)
	}
}

// unread are the names, below a mount point, that manifests leave out: what a running system changes by itself, and the bulk
// of the distribution's files, which a guest hashes slowly and the scenarios of Raid1 compare.
func unread(at string) []string {
	var out []string
	for _, p := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/systemd", "/usr/lib", "/usr/share"} {
		if rel, ok := strings.CutPrefix(p, strings.TrimSuffix(at, "/")+"/"); ok {
			out = append(out, rel)
		}
	}
	return out
}

// files is the manifest of every filesystem that is mounted in the guest, by mount point.
func (r *rig) files(vm *lab.VM) map[string][]manifest.Entry {
	r.t.Helper()
	out := map[string][]manifest.Entry{}
	for _, at := range strings.Fields(r.quiet(vm, "findmnt -rno TARGET -t ext2,ext3,ext4,xfs,btrfs,vfat")) {
		m, err := vm.Manifest(r.slow(), at, unread(at)...)
		if err != nil {
			r.t.Fatal(err)
		}
		// xfs shows its ACLs to root under a second name, which no other type has.
		for _, e := range m {
			delete(e.Xattr, "trusted.SGI_ACL_FILE")
			delete(e.Xattr, "trusted.SGI_ACL_DEFAULT")
		}
		out[at] = m
	}
	return out
}

// sameFiles compares the files of the old system with those of the new one, which runs.
func (r *rig) sameFiles(vm *lab.VM) {
	r.t.Helper()
	expected := regexp.MustCompile(strings.TrimSuffix(rewritten().String(), ")$") + `|boot/migrate-init(/(committed|confirmed)-[^/]*)?|home|root(/\.?[^/]*)?|usr|usr/local(/sbin(/migrate-init)?)?|etc/(crypttab|lvm(/devices(/.*)?)?|udev/rules\.d(/68-migrate-init\.rules)?)|etc/default(/grub)?|var(/lib)?|srv)$`)
	after, names := r.files(vm), 0
	for at, b := range r.before {
		a, ok := after[at]
		if !ok {
			r.t.Errorf("nothing is mounted at %s in the new system", at)
			continue
		}
		names += len(b)
		diffs := manifest.Diff(b, a, func(path string) bool {
			return expected.MatchString(strings.TrimPrefix(filepath.Join(at, path), "/")) || path == "."
		})
		for _, d := range diffs[:min(20, len(diffs))] {
			r.t.Errorf("source and copy of %s: %s", at, d)
		}
		r.say("manifest of %s: %d names in the source, %d in the copy, %d differ outside of what is rewritten", at, len(b), len(a), len(diffs))
	}
	for at := range after {
		if _, ok := r.before[at]; !ok {
			r.t.Logf("mounted at %s in the new system, and nothing in the old", at)
		}
	}
	if names < 800 {
		r.t.Errorf("the source has only %d names: this compares nothing", names)
	}
}

// layoutRoot tells which system runs in a scenario of layouts, whatever its root lies on: the tool knows its plan's new root.
func (r *rig) layoutRoot(vm *lab.VM) string {
	r.t.Helper()
	r.say("root:\n%s", r.quiet(vm, "lsblk -o NAME,TYPE,SIZE,FSTYPE,SERIAL,MOUNTPOINTS"))
	var st status
	if out := r.quiet(vm, "if [ -e /var/lib/migrate-init/plan.toml ]; then migrate-init status --json; else echo '{}'; fi"); json.Unmarshal([]byte(out), &st) != nil {
		r.t.Fatalf("status: %s", out)
	}
	if st.Migrated {
		return "new"
	}
	return "old"
}

// unlock types the lab's passphrase when a system asks for it, as its early user space does before it does anything else.
func (r *rig) unlock(vm *lab.VM) {
	r.t.Helper()
	m, err := vm.Console.Expect(r.slow(), `(Please unlock disk|Passphrase for [^\r\n]*: |systemd\[1\]|Welcome to|login: )`)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasPrefix(m[1], "Please") && !strings.HasPrefix(m[1], "Passphrase") {
		return
	}
	if err := vm.Console.Type(lab.Passphrase + "\n"); err != nil {
		r.t.Fatal(err)
	}
}

// atConsole is what an operator types at the beginning of every boot, if anything.
func (r *rig) atConsole(vm *lab.VM) {
	r.t.Helper()
	if r.typed {
		r.unlock(vm)
	}
}

// openOld opens the encrypted container of the old system, without which finish does not know whether it changed.
func (r *rig) openOld(vm *lab.VM) {
	r.t.Helper()
	if !r.typed {
		return
	}
	r.refused(vm, "migrate-init finish", "cryptsetup open --readonly /dev/vda2 crypt0")
	r.must(vm, "printf %s "+lab.Quote(lab.Passphrase)+" | cryptsetup open --readonly --key-file - /dev/vda2 crypt0 && udevadm settle && vgchange -ay vg0 && lsblk")
}
