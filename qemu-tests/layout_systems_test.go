package qemutests

import (
	"strings"
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestLayoutSystems boots every source system that the lab makes, with what it is made for: its layers, and its boot loader on
// each disk that has one.
func TestLayoutSystems(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: in make qemu-tests only (MIGRATE_INIT_QEMU=full); Layout/Seed1 boots its own")
	}
	for _, c := range []struct {
		sys  lab.System
		want []string // of lsblk's type and filesystem, mount by mount
	}{
		{lab.MD090(), []string{"raid1 ext4 /boot", "raid1 ext4 /", "raid1 swap [SWAP]"}},
		{lab.MD12(), []string{"raid1 ext4 /", "raid1 swap [SWAP]"}},
		{lab.LVM(), []string{"lvm ext4 /", "lvm ext4 /var", "part ext4 /boot", "lvm swap [SWAP]"}},
		{lab.LVM2(), []string{"lvm ext4 /", "lvm ext4 /var", "lvm ext4 /data", "lvm swap [SWAP]"}},
		{lab.LUKS(), []string{"lvm ext4 /", "part ext4 /boot", "lvm swap [SWAP]"}},
		{lab.XFS(), []string{"part xfs /", "part swap [SWAP]"}},
		{lab.Btrfs(), []string{"part btrfs /", "part btrfs /home", "part swap [SWAP]"}},
		{lab.Seed1(), []string{"part ext4 /", "part ext4 /var", "part ext4 /usr", "part ext4 /data", "part swap [SWAP]"}},
	} {
		t.Run(c.sys.Name, func(t *testing.T) {
			t.Parallel()
			r := layoutRig(t, c.sys, lab.VirtioBlk)
			vm := r.start("both disks")
			r.unlock(vm)
			r.ready(vm)
			got := strings.Fields(strings.ReplaceAll(r.must(vm, `lsblk -rno TYPE,FSTYPE,MOUNTPOINTS | sed 's/ /_/g' | sort -u`), "\\x0a", "_"))
			for _, w := range c.want {
				f := strings.Fields(w)
				if !hasLayer(got, f[0], f[1], f[2]) {
					t.Errorf("no %s among %v", w, got)
				}
			}
			r.must(vm, "cat /etc/fstab /etc/crypttab; swapon --show; cat /proc/mdstat; df; findmnt -rno TARGET,SOURCE -t ext4,xfs,btrfs")
			r.off(vm)
			if c.sys.Grub == 2 {
				r.off(r.comesUp("second disk alone", "old", r.from[1]))
			}
		})
	}
}

// hasLayer looks for TYPE_FSTYPE_MOUNT, where a filesystem may be mounted in several places.
func hasLayer(lines []string, kind, fs, at string) bool {
	for _, l := range lines {
		f := strings.Split(l, "_")
		if len(f) < 3 || f[0] != kind || f[1] != fs {
			continue
		}
		for _, m := range f[2:] {
			if m == at {
				return true
			}
		}
	}
	return false
}
