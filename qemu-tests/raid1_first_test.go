package qemutests

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	grub "migrate-init/boot"
	"migrate-init/qemu-tests/lab"
)

// first is a migrated machine in one state, whose boots are watched until GRUB starts a system.
type first struct {
	*rig
	plan string
	root int // number of the new root's partition
}

// newDiskFirst: the firmware tries the new disk first, in every state of a migration, and with a disk missing. One migration
// is enough: the states differ in files. A boot ends where GRUB has chosen.
func newDiskFirst(t *testing.T, s *stock) {
	from := s.done(t)
	began := time.Now()
	const newFirst, oldFirst, newAlone, oldAlone = "new old", "old new", "new", "old"
	for _, state := range []struct {
		name  string
		make  func(*first)
		boots []string // disks, and what GRUB starts
	}{
		{"before the boot loader is there", func(f *first) { f.undecided(); f.waits() }, []string{newFirst, "old", newFirst, "old"}},
		{"cut before the commit", (*first).undecided, []string{newFirst, "old", oldFirst, "old", newAlone, "new"}},
		{"armed, and cut before the commit", func(f *first) { f.undecided(); f.next(grub.MigrateEntryID(f.plan)) }, []string{newFirst, "migration", newFirst, "old"}},
		{"committed, not confirmed", (*first).unconfirmed, []string{newFirst, "new", newFirst, "old", oldFirst, "old"}},
		{"committed, and the old disk missing", (*first).unconfirmed, []string{newAlone, "new", newFirst, "new"}},
		{"confirmed", nil, []string{newFirst, "new", oldFirst, "new", newAlone, "new", oldAlone, "old"}},
		{"rolled back", (*first).rolledBack, []string{newFirst, "old", oldFirst, "old", newAlone, "new"}},
	} {
		f := &first{rig: take(t, from)}
		f.look()
		f.next("")
		if state.make != nil {
			state.make(f)
		}
		for i := 0; i < len(state.boots); i += 2 {
			if got := f.starts(state.boots[i]); got != state.boots[i+1] {
				t.Errorf("%s: %s first: GRUB starts the %s system, want the %s", state.name, state.boots[i], got, state.boots[i+1])
			}
		}
	}
	t.Logf("measured: the boots of the states took %.0f s", time.Since(began).Seconds())

	// Finish takes the question out, and the two disks are one system.
	f := &first{rig: take(t, from)}
	f.look()
	f.next("")
	vm := f.comesUp("new disk first", "new", f.inOrder(newFirst)...)
	if got := f.must(vm, "migrate-init status"); !strings.Contains(got, "next boot: this system, whichever disk the firmware starts") {
		t.Errorf("status says %s", got)
	}
	f.quiet(vm, "update-grub; grep -q migrate-init-deferral /boot/grub/custom.cfg")
	// The old menu was marked above, on a mount of this test.
	f.must(vm, "migrate-init finish --discard-changes 2>&1")
	if got := f.quiet(vm, "grep -rl deferral /boot/grub/*.cfg /etc/default /etc/grub.d || true"); got != "" {
		t.Errorf("finish leaves %s", got)
	}
	f.off(vm)
	for _, order := range []string{newFirst, oldFirst} {
		if got := f.starts(order); got != "new" {
			t.Errorf("finished: %s first: GRUB starts the %s system", order, got)
		}
	}
	t.Logf("measured: every boot with the new disk first in %.0f s", time.Since(began).Seconds())
}

// look learns the plan's id, and gives the old system's menu texts of its own: until then the two menus say the same.
func (f *first) look() {
	f.t.Helper()
	parts, err := lab.Partitions(f.new)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range parts {
		if p.Name == "root" {
			f.root = p.Number
		}
	}
	f.change(f.new, f.root, func(dir string) error {
		names, err := filepath.Glob(dir + grub.CommittedFile("*"))
		if err != nil || len(names) != 1 {
			f.t.Fatalf("commits %q, %v", names, err)
		}
		_, f.plan, _ = strings.Cut(filepath.Base(names[0]), "-")
		return nil
	})
	f.change(f.old, 2, func(dir string) error {
		name := dir + "/boot/grub/grub.cfg"
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		marked := bytes.ReplaceAll(b, []byte("Loading Linux"), []byte("Loading the old Linux"))
		if bytes.Equal(marked, b) {
			f.t.Fatal("the old menu says nothing of Linux")
		}
		return os.WriteFile(name, marked, 0o600)
	})
}

func (f *first) change(image string, partition int, edit func(dir string) error) {
	f.t.Helper()
	if err := lab.WithWritable(f.ctx, image, partition, edit); err != nil {
		f.t.Fatal(err)
	}
}

// next chooses the old GRUB's next entry, "" for none.
func (f *first) next(entry string) {
	f.t.Helper()
	f.change(f.old, 2, func(dir string) error {
		name := dir + "/boot/grub/grubenv"
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		env, err := grub.ParseGrubenv(b)
		if err != nil {
			return err
		}
		env.Unset("next_entry")
		env.Unset(grub.TriedVariable)
		if entry != "" {
			if err := env.Set("next_entry", entry); err != nil {
				return err
			}
		}
		return os.WriteFile(name, env.Bytes(), 0o600)
	})
}

// undecided removes the commit, as before the one rename.
func (f *first) undecided() {
	f.unconfirmed()
	f.change(f.new, f.root, func(dir string) error { return os.Remove(dir + grub.CommittedFile(f.plan)) })
}

func (f *first) unconfirmed() {
	f.change(f.new, f.root, func(dir string) error { return os.Remove(dir + grub.ConfirmedFile(f.plan)) })
}

func (f *first) rolledBack() {
	f.unconfirmed()
	f.change(f.new, f.root, func(dir string) error {
		return os.Rename(dir+grub.CommittedFile(f.plan), dir+grub.CommittedFile(f.plan)+".rolled-back")
	})
}

// waits puts the boot code back that prepare writes.
func (f *first) waits() {
	f.t.Helper()
	d, err := os.OpenFile(f.new, os.O_RDWR, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.WriteAt(grub.NextDisk(), 0); err != nil {
		f.t.Fatal(err)
	}
}

func (f *first) inOrder(order string) []lab.Disk {
	var out []lab.Disk
	for _, name := range strings.Fields(order) {
		out = append(out, map[string]lab.Disk{"old": f.oldDisk(), "new": f.newDisk()}[name])
	}
	return out
}

// starts boots the disks in an order until GRUB starts something, and says which system that is.
func (f *first) starts(order string) string {
	f.t.Helper()
	vm := f.start(order, f.inOrder(order)...)
	m, err := vm.Console.Expect(f.slow(), "(Loading the old Linux|Loading Linux|migrate-init: migrate this)")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := vm.Cut(); err != nil {
		f.t.Fatal(err)
	}
	f.say("%s: %s, after %.1f s", order, m[1], vm.Uptime().Seconds())
	return map[string]string{"Loading the old Linux": "old", "Loading Linux": "new", "migrate-init: migrate this": "migration"}[m[1]]
}
