package plan

import (
	"strings"
	"testing"
)

// TestFSTypes: rows are found by name, are unique, and a type that moves has what moving takes.
func TestFSTypes(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range FSTypes() {
		if x.Name == "" || seen[x.Name] || FSTypeOf(x.Name).Name != x.Name {
			t.Errorf("row %q: without a name, or there twice", x.Name)
		}
		seen[x.Name] = true
		if x.Movable && (!x.Quiet || x.Module == "" || x.GRUB == "" || x.Tools.Make == "" || x.Tools.Check == "" || x.Tools.Package == "" || x.Fixes.UUID == "") {
			t.Errorf("%s: it moves, and something that this takes is not known: %+v", x.Name, x)
		}
		if x.ReadOnly != "" && !x.Quiet || x.Pool && x.Movable || x.ByBlocks != nil && len(x.Tools.Blocks) == 0 {
			t.Errorf("%s: its columns contradict each other: %+v", x.Name, x)
		}
		if f := x.Fixes; strings.Contains(fill(f.UUID, "", "/dev/x", "y")+fill(f.Journal, "", "/dev/x", "y")+fill(f.Label, "", "/dev/x", "y"), "DEV") {
			t.Errorf("%s: a place is left in its fixes: %+v", x.Name, f)
		}
	}
	if x := FSTypeOf("newfs"); x.Movable || x.Quiet || x.GRUBWrites || x.Module != "newfs" || x.identify("/dev/x") != "with the tools of its type" {
		t.Errorf("a type that is not known: %+v, %s", x, x.identify("/dev/x"))
	}
}

// TestReadOnlyOptions: what keeps a read-only mount from replaying a journal (ext4(5), xfs(5), btrfs(5)).
func TestReadOnlyOptions(t *testing.T) {
	for name, want := range map[string]string{"ext2": "", "ext3": "noload", "ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay", "f2fs": "norecovery", "vfat": ""} {
		if x := FSTypeOf(name); !x.Quiet || x.ReadOnly != want {
			t.Errorf("%s: %q, quiet %v, want %q", name, x.ReadOnly, x.Quiet, want)
		}
	}
}

func TestFSTypeWords(t *testing.T) {
	if got := namesOf("and", func(x FSType) bool { return x.Movable }); got != "ext2, ext3, ext4, xfs and btrfs" {
		t.Errorf("movable: %s", got)
	}
	if got := FSTypeOf("ext4").identify("/dev/sda1"); got != "tune2fs -U random /dev/sda1, e2label /dev/sda1 NAME" {
		t.Errorf("ext4: %s", got)
	}
	if got := FSTypeOf(SwapType).identify("/dev/sda2"); got != "mkswap /dev/sda2, mkswap -L NAME /dev/sda2" {
		t.Errorf("swap: %s", got)
	}
}
