package machine

import (
	"io/fs"
	"slices"
	"testing"
)

func TestEffectsSayWhatTheyDo(t *testing.T) {
	source := []string{"/dev/sda1"}
	tests := []struct {
		e      Effect
		want   string
		writes []string
	}{
		{Exec{Argv: []string{"mke2fs", "-L", "my root", "/dev/md0"}, Alters: []string{"/dev/md0"}},
			`run mke2fs -L 'my root' /dev/md0`, []string{"/dev/md0"}},
		{Exec{Argv: []string{"sh", "-c", "it's"}, Root: "/target", Env: append(DefaultEnv(), "A=b c")},
			`run 'A=b c' sh -c 'it'\''s' (chroot /target)`, nil},
		{Exec{}, "run ", nil},
		{Mount{"/dev/sda1", "/source", "ext4", ReadOnly, "noload", true}, "mount /dev/sda1 on /source (ext4; ro; noload)", nil},
		{Mount{"/dev/sda1", "/source", "ext4", ReadOnly, "data=ordered", false}, "mount /dev/sda1 on /source (ext4; ro; data=ordered)", source},
		{Mount{"/dev/sda1", "/source", "ext4", 0, "noload", true}, "mount /dev/sda1 on /source (ext4; noload)", source},
		{Mount{"/dev/sda1", "/source", "xfs", ReadOnly | NoExec, "norecovery", true}, "mount /dev/sda1 on /source (xfs; ro,noexec; norecovery)", nil},
		{Mount{"/dev/sda1", "/source", "xfs", ReadOnly, "", false}, "mount /dev/sda1 on /source (xfs; ro)", source},
		{Mount{"/dev/sda1", "/source", "btrfs", ReadOnly, "subvol=@,rescue=nologreplay", true}, "mount /dev/sda1 on /source (btrfs; ro; subvol=@,rescue=nologreplay)", nil},
		{Mount{"/dev/sda1", "/source", "btrfs", ReadOnly, "", false}, "mount /dev/sda1 on /source (btrfs; ro)", source},
		{Mount{"/dev/sda1", "/esp", "vfat", ReadOnly, "", true}, "mount /dev/sda1 on /esp (vfat; ro)", nil},
		{Mount{"/dev/sda1", "/x", "newfs", ReadOnly, "", false}, "mount /dev/sda1 on /x (newfs; ro)", source},
		{Mount{"rpool/root", "/x", "zfs", 0, "", false}, "mount rpool/root on /x (zfs)", []string{"rpool/root"}},
		{Mount{"proc", "/proc", "proc", NoSuid | NoDev | NoExec, "", false}, "mount proc on /proc (proc; nosuid,nodev,noexec)", nil},
		{Mount{"/dev", "/target/dev", "", Bind | ReadOnly, "", false}, "bind /dev on /target/dev (ro)", nil},
		{Mount{"x", "/y", "", 1 << 20, "", false}, "mount x on /y (0x100000)", nil},
		{Unmount{"/source"}, "unmount /source", nil},
		{Mkdir{"/target", 0o777 | fs.ModeSticky}, "make directory /target (mode 1777)", []string{"/target"}},
		{WriteFile{Path: "/etc/fstab", Data: []byte("new"), Mode: 0o644}, "write file /etc/fstab (new; 3 bytes; mode 0644)", []string{"/etc/fstab"}},
		{WriteFile{Path: "/etc/fstab", Data: []byte("new"), Old: []byte("o")}, "rewrite file /etc/fstab (3 bytes; was 1)", []string{"/etc/fstab"}},
		{WriteInPlace{"/boot/grub/grubenv", make([]byte, 1024)}, "overwrite file /boot/grub/grubenv in place (1024 bytes)", []string{"/boot/grub/grubenv"}},
		{CopyFile{"/a", "/b", 0o4755 &^ 0o4000}, "copy file /a to /b (mode 0755)", []string{"/b"}},
		{Remove{"/a"}, "remove /a", []string{"/a"}},
		{Rename{"/a", "/b"}, "rename /a to /b", []string{"/a", "/b"}},
		{Symlink{"/proc/self/fd", "/dev/fd"}, "link /dev/fd -> /proc/self/fd", []string{"/dev/fd"}},
		{WriteDevice{"/dev/sdb", "partition table", []Chunk{{Offset: 512, Data: []byte("EFI PART")}, {Offset: 4096, Zero: 1 << 20}}},
			"write partition table to /dev/sdb: 8 bytes at 512, 1048576 zero bytes at 4096", []string{"/dev/sdb"}},
		{WriteDevice{Dev: "/dev/sdb"}, "write data to /dev/sdb: nothing", []string{"/dev/sdb"}},
		{SetReadOnly{"/dev/sda", true}, "make block device /dev/sda read-only", nil},
		{SetReadOnly{"/dev/sda", false}, "make block device /dev/sda writable", nil},
		{Partitions{"/dev/sdb", []Extent{{1, 1 << 20, 4096}, {2, 2 << 20, 512}}},
			"tell the kernel the partitions of /dev/sdb: 1 (4096 bytes at 1048576), 2 (512 bytes at 2097152)", nil},
		{Partitions{Dev: "/dev/sdb"}, "tell the kernel the partitions of /dev/sdb: none", nil},
		{Ioctl{Dev: "/dev/md0", Name: "STOP_ARRAY", Req: 0x932}, "ioctl STOP_ARRAY (0x932) on /dev/md0, value 0", nil},
		{Ioctl{Dev: "/dev/md0", Name: "ADD_NEW_DISK", Req: 0x40140921, Arg: []byte{1, 2}, Alters: []string{"/dev/sdb1"}},
			"ioctl ADD_NEW_DISK (0x40140921) on /dev/md0, 2 bytes: 0102", []string{"/dev/sdb1"}},
		{Mapping{"over", "u", false, []MappingTarget{{0, 512, "snapshot", "/dev/vda1 /dev/loop8 N 8"}}},
			"map over: 512 bytes at 0: snapshot /dev/vda1 /dev/loop8 N 8", []string{"/dev/loop8"}},
		{Mapping{"lv", "", false, []MappingTarget{{0, 512, "linear", "8:1 2048"}, {512, 1024, "striped", "2 128 /dev/a 0 /dev/b 0"}}},
			"map lv: 512 bytes at 0: linear 8:1 2048, 1024 bytes at 512: striped 2 128 /dev/a 0 /dev/b 0", []string{"8:1", "/dev/a", "/dev/b"}},
		{Mapping{"lv", "", true, []MappingTarget{{0, 512, "linear", "8:1 2048"}}}, "map lv (read-only): 512 bytes at 0: linear 8:1 2048", nil},
		{Mapping{"c", "", false, []MappingTarget{{0, 512, "crypt", "aes-xts-plain64 c0ffee 0 8:1 4096"}}},
			"map c: 512 bytes at 0: crypt aes-xts-plain64 (key) 0 8:1 4096", []string{"8:1"}},
		{Mapping{"c", "", true, []MappingTarget{{0, 512, "crypt", "aes-xts-plain64 :64:logon:cryptsetup:1 0 8:1 4096"}}},
			"map c (read-only): 512 bytes at 0: crypt aes-xts-plain64 :64:logon:cryptsetup:1 0 8:1 4096", nil},
		{Mapping{Name: "n"}, "map n: nothing", nil},
		{Unmap{"over"}, "remove mapping over", nil},
		{Loop{"/dev/loop8", "/run/store", 1 << 20, false}, "attach file /run/store to /dev/loop8 (made empty; 1048576 bytes)", []string{"/run/store"}},
		{Loop{"/dev/loop8", "/a", 0, true}, "attach file /a to /dev/loop8 (read-only)", nil},
		{Loop{"/dev/loop8", "/a", 0, false}, "attach file /a to /dev/loop8", []string{"/a"}},
		{LoopOff{"/dev/loop8"}, "detach the file of /dev/loop8", nil},
		{WriteSys{"/sys/module/md_mod/parameters/start_ro", "1\n", nil}, `set /sys/module/md_mod/parameters/start_ro to "1"`, nil},
		{WriteSys{"/sys/block/md0/md/array_state", "active", []string{"/dev/sdb1"}}, `set /sys/block/md0/md/array_state to "active"`, []string{"/dev/sdb1"}},
		{LoadModule{"/lib/raid1.ko", "", nil}, "load module /lib/raid1.ko", nil},
		{LoadModule{"/lib/raid1.ko.xz", "a=1", []byte("ELF")}, "load module /lib/raid1.ko.xz a=1 (image of 3 bytes)", nil},
		{Sync{"/target"}, "flush the filesystem of /target", nil},
		{SwitchRoot{"/target", "/sbin/init", []string{"a b"}, []string{"X=1"}}, "switch root to /target and execute /sbin/init 'a b' with X=1", nil},
		{Reboot{"reboot"}, "reboot the machine", nil},
		{Reboot{"poweroff"}, "power the machine off", nil},
		{Reboot{"halt"}, "halt the machine", nil},
		{Reboot{"x"}, `end the kernel's run by "x"`, nil},
	}
	for _, tt := range tests {
		if got := tt.e.String(); got != tt.want {
			t.Errorf("%#v prints\n %s, want\n %s", tt.e, got, tt.want)
		}
		if got := tt.e.Writes(); !slices.Equal(got, tt.writes) {
			t.Errorf("%s: writes %q, want %q", tt.e, got, tt.writes)
		}
	}
}
