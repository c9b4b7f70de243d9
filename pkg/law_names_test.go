package pkg

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// naming is a family of names that stand in one place each, so that one more of them is one more row there.
type naming struct {
	what   string
	names  []string
	home   []string // rooms, and files, that may say them
	advice string
}

// namings are literals by law: a string that is one of these names, and nothing else, is a decision about what it names.
func namings() []naming {
	spelling := []string{"boot", "cpio", "pkg/md", "pkg/lvm", "pkg/zfs", "pkg/gpt", "pkg/probe", "pkg/fstab", "pkg/conf", "pkg/kmod", "pkg/elf", "pkg/mkfs"}
	return []naming{
		{"filesystem type", []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs"},
			append([]string{"pkg/plan/fstype.go", "pkg/extent", "pkg/tree"}, spelling...),
			"ask the table of filesystem types in pkg/plan/fstype.go for what you need to know of it"},
		{"boot loader", []string{"grub", "grub-pc", "grub-efi", "systemd-boot", "extlinux", "syslinux", "lilo", "refind"},
			[]string{"pkg/loader", "boot"},
			"ask the boot loader's row in pkg/loader"},
		{"generator or family", []string{"initramfs-tools", "dracut", "mkinitcpio", "debian", "ubuntu", "fedora", "arch", "alpine", "nixos", "opensuse"},
			[]string{"pkg/distro"},
			"ask the family's or the initramfs generator's row in pkg/distro"},
	}
}

// allowed is how many names a file says that it should not. The list only gets shorter: a file that says fewer than it
// may is an offence too, until the number here is lowered.
func allowed() map[string]int {
	return map[string]int{}
}

// named notes a string that is a name of which this file is not the home.
func (j *judgement) named(at ast.Node, text string) {
	if j.test || j.room.pass.test {
		return
	}
	for _, n := range namings() {
		home := func(h string) bool { return j.name == h || strings.HasPrefix(j.name, h+"/") }
		if slices.Contains(n.names, text) && !slices.ContainsFunc(n.home, home) {
			j.names = append(j.names, fmt.Sprintf("%s:%d: %s %q: %s", j.name, j.set.Position(at.Pos()).Line, n.what, text, n.advice))
		}
	}
}

// ratchet turns the names that were found into offences, unless they are as many as the list allows.
func ratchet(file string, found []string, may int) []string {
	switch {
	case len(found) > may && may > 0:
		return append(found, fmt.Sprintf("%s: %d names that have another home, and pkg/law_names_test.go allows %d", file, len(found), may))
	case len(found) > may:
		return found
	case len(found) < may:
		return []string{fmt.Sprintf("%s: only %d names that have another home: write %d for it in pkg/law_names_test.go (0: remove its line)", file, len(found), len(found))}
	}
	return nil
}

func TestRatchet(t *testing.T) {
	for _, c := range []struct{ found, may, want int }{{0, 0, 0}, {2, 2, 0}, {3, 2, 4}, {1, 0, 1}, {1, 2, 1}, {0, 1, 1}} {
		if got := ratchet("a.go", make([]string, c.found), c.may); len(got) != c.want {
			t.Errorf("%d found of %d allowed: %q, want %d offences", c.found, c.may, got, c.want)
		}
	}
}
