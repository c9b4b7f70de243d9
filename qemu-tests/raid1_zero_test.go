package qemutests

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/qemu-tests/lab"
)

// stock is what several scenarios start from, made by the first that asks, in the directory of all of them.
type stock struct {
	t *testing.T

	arming, migrating sync.Mutex
	armed, migrated   *rig
	before            string // the old disk's hash when it was armed
	after             string // and when the migration had been made and the new system had run
	sums              string // of the boot loader's files before schedule
}

// bootFiles are what cancel has to bring back to the byte.
const bootFiles = "sha256sum /boot/grub/custom.cfg /boot/grub/grubenv"

// rigIn makes a rig in the stock's own directory, whose disks outlive the scenario that made them.
func (s *stock) rigIn(t *testing.T, name string) *rig {
	t.Helper()
	r := emptyRig(t, lab.FastDebian())
	dir, clean, err := r.l.RunDir(s.t.Name() + "-" + name)
	if err != nil {
		t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := clean(); err != nil {
			s.t.Error(err)
		}
	})
	r.dir, r.old, r.new = dir, filepath.Join(dir, "old.raw"), filepath.Join(dir, "new.raw")
	return r
}

// take copies a stocked machine into a rig of t's own.
func take(t *testing.T, from *rig) *rig {
	t.Helper()
	r := emptyRig(t, from.spec)
	r.copyDisk(r.old, from.old)
	r.copyDisk(r.new, from.new)
	return r
}

// scheduled is an old system with an armed migration, switched off. Its boot loader has settings of its own.
func (s *stock) scheduled(t *testing.T) *rig {
	t.Helper()
	s.arming.Lock()
	defer s.arming.Unlock()
	if s.armed != nil {
		return s.armed
	}
	r := s.rigIn(t, "scheduled")
	vm, sums := r.planned(tool(t))
	s.sums = sums
	r.must(vm, "cd /root && migrate-init schedule plan.toml --image migrate.img")
	r.off(vm)
	s.armed = r
	return r
}

// planned makes both disks and boots the old system with the given tool in it. The plan and the image are made; sums are those
// of the boot loader's files.
func (r *rig) planned(tool string) (vm *lab.VM, sums string) {
	r.t.Helper()
	master, err := r.l.Disk(r.ctx, r.spec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.copyDisk(r.old, master)
	if err := lab.Blank(r.new, r.spec.Size); err != nil {
		r.t.Fatal(err)
	}
	vm = r.comesUp("old system", "old")
	r.installFile(vm, tool)
	r.quiet(vm, `printf '# mine\nmenuentry "Mine" --id mine { true; }\n' >/boot/grub/custom.cfg; chmod 600 /boot/grub/custom.cfg; grub-editenv /boot/grub/grubenv set mine=yes`)
	sums = r.must(vm, bootFiles)
	// File by file: HappyPath's plan chooses the used blocks.
	r.quiet(vm, "cd /root && migrate-init plan --to raid1 --disk /dev/vdb --engine tree && migrate-init check plan.toml")
	r.must(vm, "cd /root && migrate-init build plan.toml -o migrate.img && ls -l migrate.img")
	return vm, sums
}

// done is the same machine after the migration, which a kernel from outside started: no boot loader ran, so whatever
// changed on the old disk would be the migration's doing, or the new system's. Its one-shot entry is still armed.
func (s *stock) done(t *testing.T) *rig {
	t.Helper()
	s.migrating.Lock()
	defer s.migrating.Unlock()
	if s.migrated != nil {
		return s.migrated
	}
	from := s.scheduled(t)
	r := s.rigIn(t, "migrated")
	r.copyDisk(r.old, from.old)
	r.copyDisk(r.new, from.new)
	kernel, image, words := r.scheduledBoot()
	before := r.hash(r.old)
	vm := r.boot(lab.Config{Name: "migration by a kernel from outside", Kernel: kernel, Initrd: image, Append: words, Disks: r.disks()})
	r.follow(vm)
	t.Logf("measured: the new system was entered %.0f s after the start of the machine", vm.Uptime().Seconds())
	r.ready(vm)
	r.wantRoot(vm, "new")
	r.wantLegs(vm, "U_")
	st := r.status(vm)
	if st.State != "migrated" {
		t.Errorf("status says %q", st.State)
	}
	r.showTimes(st)
	if got := r.quiet(vm, "cat /proc/cmdline"); strings.Contains(got, "BOOT_IMAGE") {
		t.Errorf("command line %q: a boot loader ran", got)
	}
	r.off(vm)
	s.migrated, s.before, s.after = r, before, r.hash(r.old)
	r.sameTree()
	return r
}

func (r *rig) hash(image string) string {
	r.t.Helper()
	sum, err := lab.Hash(image)
	if err != nil {
		r.t.Fatal(err)
	}
	return sum
}

// scheduledBoot takes what the boot loader would boot out of the old root: kernel, image, command line.
func (r *rig) scheduledBoot() (kernel, image, words string) {
	r.t.Helper()
	kernel, image = filepath.Join(r.dir, "vmlinuz"), filepath.Join(r.dir, "migrate.img")
	err := lab.WithMounted(r.ctx, r.old, 2, func(dir string) error {
		f, err := os.Open(filepath.Join(dir, stage.StateDir, "plan.toml"))
		if err != nil {
			return err
		}
		defer f.Close()
		p, err := plan.Read(f)
		if err != nil {
			return err
		}
		words = stage.Cmdline(p)
		for to, from := range map[string]string{kernel: stage.ScheduledKernel(p), image: stage.ScheduledImage(p)} {
			b, err := os.ReadFile(filepath.Join(dir, from))
			if err != nil {
				return err
			}
			if err := os.WriteFile(to, b, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.say("kernel command line: %s", words)
	return kernel, image, words
}

// zeroLiveWrites: not one byte of the old disk changes, measured on the whole disk.
func zeroLiveWrites(t *testing.T, s *stock) {
	s.done(t)
	t.Logf("sha256 of the whole old disk: %s before the migration, %s after it and a boot of the new system", s.before, s.after)
	if s.before != s.after {
		t.Errorf("the old disk changed: %s, then %s", s.before, s.after)
	}
}
