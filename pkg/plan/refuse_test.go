package plan

import (
	"errors"
	"strings"
	"testing"
)

// Each case changes one thing of a good machine or wish; New must name it, with the evidence and what fixes it.
func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *Facts, in *Intent)
		id     string
		words  []string
	}{
		{"unknown layout", func(_ *Facts, in *Intent) { in.To = "raid7" }, "plan.layout", []string{"raid7", "raid1"}},
		{"no target", func(_ *Facts, in *Intent) { in.Disks = nil }, "plan.target", []string{"none is named", "--disk"}},
		{"one target twice", func(_ *Facts, in *Intent) { in.Disks = []string{"vdb", "/dev/vdb"} }, "plan.target", []string{"named twice"}},
		{"target not there", func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vdz"} }, "plan.target", []string{"/dev/vdz", "no such block device", "inspect"}},
		{"target is a partition", func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vda3"} }, "plan.target", []string{"a partition", "whole disk"}},
		{"target by network", func(f *Facts, _ *Intent) { f.Dev("vdb").Remote = "reached over a network (iSCSI)" }, "plan.target", []string{"target disk /dev/vdb", "iSCSI", "a local disk"}},
		{"source by network", func(f *Facts, _ *Intent) { f.Dev("vda").Remote = "reached over a network (NVMe)" }, "plan.source", []string{"source disk /dev/vda", "NVMe"}},
		{"target is part of what is mounted", func(f *Facts, in *Intent) {
			in.Wipe = []string{"/dev/vdb"}
			f.Dev("vdb").Contents = []Content{fsOf("btrfs", "b", 0)}
			f.Devices = append(f.Devices, Device{Name: "vdc", Path: "/dev/vdc", Kind: KindDisk, Size: gib, MountedAt: []string{"/data"}, Contents: []Content{fsOf("btrfs", "b", 0)}})
		}, "target.unused", []string{"btrfs on /dev/vdb", "mounted at /data from /dev/vdc"}},
		{"target is part of a pool in use", func(f *Facts, in *Intent) {
			in.Wipe = []string{"/dev/vdb"}
			f.Dev("vdb").Contents = []Content{{Kind: ContentZFS, Type: "zfs_member", Label: "tank"}}
			f.Mounts = append(f.Mounts, Mount{Source: "tank/home", Target: "/home", Type: "zfs"})
		}, "target.unused", []string{"zfs_member on /dev/vdb", "/home from pool tank"}},
		{"target is the source", func(_ *Facts, in *Intent) { in.Disks = []string{"/dev/vda"} }, "plan.target", []string{"/dev/vda", "it is the source disk", "another"}},
		{"target is read-only", func(f *Facts, _ *Intent) { f.Dev("vdb").ReadOnly = true }, "target.present", []string{"read-only", "--setrw"}},
		{"target is removable", func(f *Facts, _ *Intent) { f.Dev("vdb").Removable = true }, "target.present", []string{"removable", "fixed disk"}},
		{"target too small", func(f *Facts, _ *Intent) { f.Dev("vdb").Size = 6 * gib }, "plan.target", []string{"too small", "5.0 GiB are used", "larger disk"}},
		{"target tiny", func(f *Facts, _ *Intent) { f.Dev("vdb").Size = mib }, "plan.target", []string{"too small"}},
		{"target without size", func(f *Facts, _ *Intent) { f.Dev("vdb").Size = 0 }, "plan.target", []string{"too small"}},
		{"target mounted", func(f *Facts, _ *Intent) { f.Dev("vdb").MountedAt = []string{"/mnt"} }, "target.unused", []string{"mounted at /mnt", "umount /mnt"}},
		{"target swaps", func(f *Facts, _ *Intent) { f.Dev("vdb").Swapping = true }, "target.unused", []string{"swapoff /dev/vdb"}},
		{"target held by dm", func(f *Facts, _ *Intent) { f.Dev("vdb").Holders = []string{"dm-0"} }, "target.unused", []string{"held by /dev/dm-0", "vgchange"}},
		{"target held by md", func(f *Facts, _ *Intent) {
			f.Dev("vdb").Holders = []string{"md127"}
			f.Arrays = []Array{{UUID: "a", Node: "md127", Members: []Member{{Device: "vdb"}}}}
		}, "target.unused", []string{"held by /dev/md127", "mdadm --stop /dev/md127"}},
		{"target carries a filesystem", func(f *Facts, _ *Intent) { f.Dev("vdb").Contents = []Content{fsOf("xfs", "u", 0)} }, "target.empty", []string{"xfs", "--wipe /dev/vdb"}},
		{"target carries a remnant", func(f *Facts, _ *Intent) {
			f.Dev("vdb").Contents = []Content{{Kind: ContentRaid, Type: "linux_raid_member", UUID: "u", Ghost: true}}
		}, "target.empty", []string{"linux_raid_member u (a remnant)", "--wipe /dev/vdb"}},
		{"target's partition carries LUKS", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "vdb1", Path: "/dev/vdb1", Kind: KindPart, Parent: "vdb", Number: 1, Contents: []Content{{Kind: ContentLUKS, Type: "crypto_LUKS", UUID: "u"}}})
		}, "target.empty", []string{"/dev/vdb1: crypto_LUKS", "--wipe /dev/vdb"}},
		{"target has a table", func(f *Facts, _ *Intent) { f.Dev("vdb").Table = &Table{Scheme: "dos", ID: "1234abcd"} }, "target.empty", []string{"partition table dos 1234abcd"}},
		{"target has partitions of an unknown table", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "vdb1", Path: "/dev/vdb1", Kind: KindPart, Parent: "vdb", Number: 1})
		}, "target.empty", []string{"table of another kind, with 1 partitions", "--wipe /dev/vdb"}},
		{"target's table is unreadable", func(f *Facts, _ *Intent) {
			f.Problems = []Problem{{Subject: "partition table of /dev/vdb", Err: "both copies are damaged", Device: "/dev/vdb", Table: true}}
		}, "survey.complete", []string{"both copies are damaged"}},
		{"target cannot be read", func(f *Facts, _ *Intent) { f.Problems = []Problem{{Subject: "/dev/vdb", Err: "input/output error"}} }, "survey.complete", []string{"/dev/vdb", "input/output error", "dmesg"}},
		{"source cannot be read", func(f *Facts, _ *Intent) { f.Problems = []Problem{{Subject: "/dev/vda2", Err: "input/output error"}} }, "survey.complete", []string{"/dev/vda2", "input/output error"}},
		{"fstab names the target", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/vdb", Target: "/spare", Type: "ext4", Options: "defaults", Device: "vdb"})
		}, "fstab.resolves", []string{"/spare", "target disk /dev/vdb", "remove the line"}},
		{"a line of two", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "LABEL=sys", Name: Name{TagLabel, "sys"}, Target: "/data", Options: "nofail", Ambiguous: []string{"vda2", "vdc1"}})
		}, "names.resolve", []string{"fstab line LABEL=sys at /data", "vda2, vdc1", "by UUID"}},
		{"a name of two", func(f *Facts, _ *Intent) {
			f.Uses = []Use{{Where: "kernel command line: root=", Spec: "LABEL=sys", Name: Name{TagLabel, "sys"}, Ambiguous: []string{"vda2", "vdc1"}}}
		}, "names.resolve", []string{"kernel command line: root=: LABEL=sys", "vda2, vdc1", "by UUID"}},
		{"twin of the target", func(f *Facts, _ *Intent) {
			twin := *f.Dev("vdb")
			twin.Name, twin.Path = "vdc", "/dev/vdc"
			f.Devices = append(f.Devices, twin)
		}, "target.present", []string{"it matches /dev/vdb and /dev/vdc", "disconnect"}},
		{"wipe of another disk", func(_ *Facts, in *Intent) { in.Wipe = []string{"/dev/vda"} }, "plan.target", []string{"--wipe /dev/vda", "--wipe /dev/vdb"}},
		{"wipe of nothing", func(_ *Facts, in *Intent) { in.Wipe = []string{"/dev/vdb", "/dev/vdq"} }, "plan.target", []string{"--wipe /dev/vdq"}},
		{"metadata", func(_ *Facts, in *Intent) { in.Metadata = "0.90" }, "plan.target", []string{"0.90", "1.2"}},
		{"engine", func(_ *Facts, in *Intent) { in.Engine = "dd" }, "plan.target", []string{"dd", "tree or extent"}},
		{"blocks below the sectors", func(f *Facts, _ *Intent) { f.Dev("vdb").Sector, f.Dev("vda2").Contents[0].BlockSize = 4096, 1024 }, "plan.target", []string{"1024 bytes", "4096"}},

		{"root is nothing", func(f *Facts, _ *Intent) { f.Mounts = nil }, "plan.source", []string{"no block device is mounted at /", "installed system"}},
		{"root on LVM", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM})
			f.Mounts[0].Device = "dm-0"
		}, "plan.source", []string{"LVM or LUKS", "not understood"}},
		{"root on md", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "md0", Path: "/dev/md0", Kind: KindArray})
			f.Mounts[0].Device = "md0"
		}, "plan.source", []string{"an md array", "firmware RAID"}},
		{"root on a whole disk", func(f *Facts, _ *Intent) { f.Mounts[0].Device = "vda" }, "plan.source", []string{"without partitions"}},
		{"no table", func(f *Facts, _ *Intent) { f.Dev("vda").Table = nil }, "plan.source", []string{"partition table", "root"}},
		{"root without a line", func(f *Facts, _ *Intent) { f.Fstab = f.Fstab[1:] }, "plan.source", []string{"/dev/vda2", "/etc/fstab"}},
		{"root's line is elsewhere", func(f *Facts, _ *Intent) { f.Fstab[0].Target = "/old" }, "plan.source", []string{"fstab mounts it at /old"}},
		{"two lines for one device", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/vda2", Target: "/again", Options: "ro", Device: "vda2"})
		}, "plan.source", []string{"two lines", "/dev/vda2 at /again"}},
		{"two lines for one place", func(f *Facts, _ *Intent) {
			withMount(f, 1, "11111111-0000-0000-0000-000000000004", "/data", 0)
			f.Fstab = append(f.Fstab, Fstab{Spec: "host:/x", Target: "/data/", Type: "nfs", Options: "defaults"})
		}, "plan.source", []string{"mount point /data", "host:/x"}},
		{"f2fs root", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Type = "f2fs" }, "filesystem.type", []string{"f2fs", "ext4"}},
		{"filesystem larger than its partition", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Size = 19 * gib }, "plan.source", []string{"/dev/vda2", "20401094656 bytes, its partition has 19327352832", "e2fsck -n"}},
		{"impossible use", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Used = 1<<63 - 1 }, "plan.source", []string{"9223372036854775807 bytes"}},
		{"partition that the kernel does not show", func(f *Facts, _ *Intent) {
			t := f.Dev("vda").Table
			t.Partitions = append(t.Partitions, Partition{Number: 4, Start: 19*gib + 2*mib, Size: mib})
		}, "plan.source", []string{"partition table of /dev/vda", "partition 4", "partprobe /dev/vda"}},
		{"partition that the kernel shows elsewhere", func(f *Facts, _ *Intent) { f.Dev("vda3").Start += mib }, "plan.source", []string{"partition 3", "partprobe"}},
		{"label twice", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/data", 0).Contents[0].Label = "data"
			f.Fstab[2].Spec, f.Fstab[2].Name, f.Fstab[2].Device = "LABEL=data", Name{TagLabel, "data"}, ""
			twin := fsOf("ext4", "45", 0)
			twin.Label = "data"
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{twin}})
		}, "plan.source", []string{"label data: ambiguous: it matches /dev/vda4 and /dev/sdz1", "e2label"}},
		{"partition name twice", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/data", 0)
			f.Dev("vda").Table.Partitions[3].Name = "data"
			f.Fstab[2].Spec, f.Fstab[2].Name, f.Fstab[2].Device = "PARTLABEL=data", Name{TagPartLabel, "data"}, ""
			f.Devices = append(f.Devices, Device{Name: "sdz", Path: "/dev/sdz", Kind: KindDisk, Table: &Table{Scheme: "gpt", Partitions: []Partition{{Number: 1, Name: "data"}}}},
				Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Parent: "sdz", Number: 1})
		}, "plan.source", []string{"partition name data: ambiguous: it matches /dev/vda4 and /dev/sdz1"}},
		{"partition GUID twice", func(f *Facts, _ *Intent) {
			d := withMount(f, 1, "44", "/data", 0)
			f.Fstab[2].Spec, f.Fstab[2].Device = "PARTUUID="+d.GUID, ""
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, GUID: d.GUID})
		}, "plan.source", []string{"it matches /dev/vda4 and /dev/sdz1", "sgdisk"}},
		{"errors in a mounted source", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Damage = "the kernel recorded errors in it (3)" }, "source.clean", []string{"/dev/vda2", "errors in it (3)", "fsck.mode=force"}},
		{"journal elsewhere", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Journal = "99" }, "source.whole", []string{"/dev/vda2", "on another device, uuid 99", "tune2fs -O ^has_journal /dev/vda2", "tune2fs -j /dev/vda2", "journal_path="}},
		{"etc by bind, not in fstab", func(f *Facts, _ *Intent) {
			f.Mounts = append(f.Mounts, Mount{Source: "/dev/vda2", Target: "/etc", Type: "ext4", Device: "vda2", Root: "/srv/etc"})
		}, "plan.source", []string{"directory /etc", "/srv/etc of /dev/vda2"}},
		{"var by network, not in fstab", func(f *Facts, _ *Intent) {
			f.Mounts = append(f.Mounts, Mount{Source: "host:/var", Target: "/var", Type: "nfs4"})
		}, "plan.source", []string{"directory /var", "host:/var"}},
		{"list of mounts unreadable", func(f *Facts, _ *Intent) {
			f.Problems = []Problem{{Subject: "/proc/self/mountinfo", Err: "line 3: too few fields"}}
		}, "survey.complete", []string{"/proc/self/mountinfo", "too few fields"}},
		{"list of swaps unreadable", func(f *Facts, _ *Intent) { f.Problems = []Problem{{Subject: "/proc/swaps", Err: "permission denied"}} }, "survey.complete", []string{"/proc/swaps"}},
		{"another type beside", func(f *Facts, _ *Intent) { withMount(f, 1, "44", "/data", 0).Contents[0].Type = "f2fs" }, "filesystem.type", []string{"f2fs", "--leave"}},
		{"mounted, not in fstab", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/data", 0)
			f.Fstab = f.Fstab[:2]
		}, "plan.source", []string{"mounted at /data", "not be copied", "/etc/fstab", "--leave /dev/vda4"}},
		{"an ISO image", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentFS, Type: "iso9660", Label: "backup"})
		}, "plan.source",
			[]string{"partition /dev/vda4", `iso9660 "backup"`, "does not move", "copy what you want to keep, then pass --leave /dev/vda4"}},
		{"an ISO image in use", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentFS, Type: "iso9660"}).MountedAt = []string{"/media"}
		}, "plan.source", []string{"mounted at /media", "take it out of use, then pass --leave /dev/vda4"}},
		{"an ISO image in fstab", func(f *Facts, _ *Intent) {
			withMount(f, 1, "", "/media", 0).Contents[0].Type = "iso9660"
		}, "filesystem.type", []string{"filesystem at /media", "its type is iso9660", "--leave"}},
		{"a config drive", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentFS, Type: "iso9660", Label: "config-2"})
		}, "plan.source",
			[]string{"partition /dev/vda4", `iso9660 "config-2"`, "new SSH host keys", "DHCP", "mount -o ro /dev/vda4 /mnt && cp -a /mnt/. /var/lib/cloud/seed/config_drive", "then pass --leave /dev/vda4"}},
		{"a seed for cloud-init", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentFS, Type: "vfat", Label: "CIDATA"})
		}, "plan.source",
			[]string{`vfat "CIDATA"`, "new SSH host keys", "/var/lib/cloud/seed/nocloud", "--leave /dev/vda4"}},
		{"not mounted, not in fstab", func(f *Facts, _ *Intent) { withPart(f, 1, RoleLinux, fsOf("ext4", "44", 0)) }, "plan.source", []string{"no fstab line mounts", "--leave /dev/vda4"}},
		{"in fstab, unknown", func(f *Facts, _ *Intent) { withMount(f, 1, "44", "/data", 0).Contents = nil }, "plan.source", []string{"nothing known is on it", "at /data"}},
		{"LVM beside", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleLinux, Content{Kind: ContentLVM, Type: "LVM2_member", UUID: "44"}).Holders = []string{"dm-0"}
		}, "plan.source", []string{"LVM2_member", "held by dm-0", "--leave"}},
		{"two signatures", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/data", 0).Contents = []Content{fsOf("ext4", "44", 0), {Kind: ContentSwap, Type: "swap", UUID: "45"}}
		}, "plan.source", []string{"ext4 and a swap area", "wipefs"}},
		{"two filesystems on root", func(f *Facts, _ *Intent) {
			f.Dev("vda2").Contents = append(f.Dev("vda2").Contents, fsOf("xfs", "45", 0))
		}, "plan.source", []string{"exactly one known filesystem", "xfs"}},
		{"no UUID", func(f *Facts, _ *Intent) { withMount(f, 1, "", "/data", 0) }, "plan.source", []string{"no UUID", "tune2fs"}},
		{"swap without UUID", func(f *Facts, _ *Intent) { f.Dev("vda3").Contents[0].UUID = "" }, "plan.source", []string{"no UUID", "mkswap"}},
		{"kernel's table lags", func(f *Facts, _ *Intent) { f.Dev("vda3").GUID = "" }, "plan.source", []string{"partprobe /dev/vda"}},
		{"label not UTF-8", func(f *Facts, _ *Intent) { f.Dev("vda2").Contents[0].Label = "a\xff" }, "plan.source", []string{"UTF-8"}},
		{"two filesystems of one UUID", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "sdz1", Path: "/dev/sdz1", Kind: KindPart, Contents: []Content{fsOf("ext4", "11111111-0000-0000-0000-000000000002", 0)}})
		}, "source.present", []string{"it matches /dev/vda2 and /dev/sdz1", "tune2fs -U random"}},
		{"one filesystem, seen again through multipath", func(f *Facts, _ *Intent) {
			f.Dev("vda").Holders = []string{"dm-0"}
			f.Devices = append(f.Devices, Device{Name: "dm-0", Path: "/dev/dm-0", Kind: KindDM, Holders: []string{"dm-1"}},
				Device{Name: "dm-1", Path: "/dev/dm-1", Kind: KindDM, Contents: []Content{fsOf("ext4", "11111111-0000-0000-0000-000000000002", 0)}})
		}, "source.present", []string{"it matches /dev/vda2 and /dev/dm-1", "stop what shows /dev/vda2 again", "do not change its UUID"}},
		{"hibernated", func(f *Facts, _ *Intent) { f.Dev("vda3").Contents[0].Type = "hibernation" }, "swap.hibernation", []string{"/dev/vda3", "hibernation image", "mkswap /dev/vda3"}},
		{"dirty and not mounted", func(f *Facts, _ *Intent) {
			d := withMount(f, 1, "44", "/data", 0)
			d.MountedAt, d.Contents[0].Dirty = nil, "it was not unmounted cleanly"
		}, "source.clean", []string{"/dev/vda4", "not unmounted cleanly", "e2fsck"}},
		{"usr on another disk", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "vdc", Path: "/dev/vdc", Kind: KindDisk})
			f.Mounts = append(f.Mounts, Mount{Target: "/usr", Device: "vdc"})
		}, "plan.source", []string{"directory /usr", "/dev/vdc", "not a volume of /dev/vda, /dev/vdc that is moved"}},
		{"var by network", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "host:/var", Target: "/var", Type: "nfs", Options: "defaults"})
		}, "plan.source", []string{"directory /var", "host:/var"}},
		{"boot by bind", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/srv/boot", Target: "/boot", Type: "none", Options: "bind", Device: ""})
		}, "plan.source", []string{"directory /boot", "/srv/boot"}},

		{"leave the root", func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/vda2"} }, "plan.source", []string{"--leave /dev/vda2", "root filesystem"}},
		{"leave a stranger", func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/vdb"} }, "plan.source", []string{"--leave /dev/vdb", "not a partition of the source"}},
		{"leave /boot", func(f *Facts, in *Intent) {
			withMount(f, 1, "44", "/boot", 0)
			in.Leave = []string{"/dev/vda4"}
		}, "plan.source", []string{"--leave /dev/vda4", "it is /boot"}},
		{"leave what fstab wants", func(f *Facts, in *Intent) {
			withMount(f, 1, "44", "/data", 0)
			in.Leave = []string{"/dev/vda4"}
		}, "plan.source", []string{"--leave /dev/vda4", "/data", "nofail"}},
		{"leave the swap that fstab wants", func(_ *Facts, in *Intent) { in.Leave = []string{"/dev/vda3"} }, "plan.source", []string{"--leave /dev/vda3", "fstab has it as swap", "nofail"}},
		{"idle ESP that fstab wants", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44-44", "/boot/efi", 0)
			f.Dev("vda").Table.Partitions[3].Role = RoleESP
		}, "plan.source", []string{"/dev/vda4", "/boot/efi", "nofail"}},

		{"no mdadm", func(f *Facts, _ *Intent) { f.Distro.Packages[0].Installed = false }, "package.present", []string{"mdadm", "apt-get install mdadm"}},
		{"dracut", func(f *Facts, _ *Intent) { f.Distro.Initrd = "dracut" }, "package.present", []string{"dracut", "initramfs-tools"}},
		{"another family", func(f *Facts, _ *Intent) { f.Distro.Family, f.Distro.ID = "", "gentoo" }, "package.present", []string{"gentoo"}},
		{"kernel without modules", func(f *Facts, _ *Intent) { f.Boot.Kernels[0].Modules = false }, "plan.boot", []string{"6.1.0-18-amd64", "/lib/modules", "--reinstall linux-image-6.1.0-18-amd64"}},
		{"kernel of another release", func(f *Facts, _ *Intent) { f.Boot.Kernels[0].Release = "6.1.0-17-amd64" }, "plan.boot", []string{"kernel 6.1.0-18-amd64", "vmlinuz-6.1.0-18-amd64 is 6.1.0-17-amd64", "reboot"}},
		{"no kernel", func(f *Facts, _ *Intent) { f.Boot.Kernels = nil }, "plan.boot", []string{"none is there"}},
		{"unknown boot loader", func(f *Facts, _ *Intent) { f.Boot.Loader = "" }, "plan.boot", []string{"it is unknown", "boot by bootx on BIOS"}},
		{"boot loader only recognised", func(f *Facts, _ *Intent) { f.Boot.Loader = "booty" }, "plan.boot", []string{"it is booty", "boot by bootx on BIOS"}},
		{"no one-shot", func(f *Facts, _ *Intent) { f.Boot.Own = bootxFacts{NoOneShot: "it lies on btrfs"}.own() }, "plan.boot", []string{"one-shot", "lies on btrfs", "repair bootx"}},
		{"boot on another disk", func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "vdc1", Path: "/dev/vdc1", Kind: KindPart, Contents: []Content{fsOf("ext4", "77", 0)}})
			f.Boot.Device = "vdc1"
		}, "plan.boot", []string{"/boot", "/dev/vdc1"}},
		{"boot not known", func(f *Facts, _ *Intent) { f.Boot.Device = "" }, "plan.boot", []string{"/boot", "unknown"}},
		{"boot/bootx of its own", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/boot/bootx", 0)
			f.Boot.Device = "vda4"
		}, "plan.boot", []string{"/boot/bootx", "one filesystem"}},
		{"no room", func(f *Facts, _ *Intent) { f.Mounts[0].Free = 47 * mib }, "boot.room", []string{"49283072 bytes are free", "autoremove"}},
		{"array name in use", func(f *Facts, _ *Intent) {
			f.Arrays = []Array{{UUID: "other", Name: "host1:root", Members: []Member{{Device: "sdz1"}}}}
		}, "array.name", []string{"host1:root", "/dev/sdz1", "zero-superblock"}},
		{"array name without host in use", func(f *Facts, _ *Intent) {
			f.Arrays = []Array{{UUID: "other", Name: "swap", Members: []Member{{Device: "sdz1"}}}}
		}, "array.name", []string{"host1:swap"}},
		{"another is scheduled", func(f *Facts, _ *Intent) { f.Boot.PlanEntries = []string{"11"} }, "schedule.once", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, in := good(), wish()
			c.change(f, &in)
			p, found, err := New(in, f)
			if c.id == "schedule.once" {
				if err != nil {
					t.Fatalf("a plan may be made while another is scheduled: %v", err)
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || p != nil {
				t.Fatalf("New: plan %v, error %v", p != nil, err)
			}
			want(t, found, Refuse, c.id, c.words...)
			want(t, refused.Findings, Refuse, c.id, c.words...)
			for _, x := range refused.Findings {
				if x.Subject == "" || x.Detail == "" || x.Fix == "" {
					t.Errorf("a refusal without subject, detail or fix: %+v", x)
				}
				if !strings.Contains(err.Error(), x.Detail) {
					t.Errorf("%q is not in the error's words", x.Detail)
				}
			}
		})
	}
}

func TestNewPolicy(t *testing.T) {
	in := wish()
	in.Policy.OnFailure = "pray"
	if _, _, err := New(in, good()); err == nil || !strings.Contains(err.Error(), `"pray"`) || !strings.Contains(err.Error(), "poweroff") {
		t.Errorf("New: %v", err)
	}
}

func TestNewWarns(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *Facts, in *Intent)
		id     string
		words  []string
	}{
		{"idle ESP with files", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleESP, fsOf("vfat", "44-44", 0))
		}, "plan.source", []string{"EFI system partition /dev/vda4", "vfat", "not moved"}},
		{"idle ESP with nofail", func(f *Facts, _ *Intent) {
			withMount(f, 1, "44-44", "/boot/efi", 0)
			f.Dev("vda").Table.Partitions[3].Role, f.Fstab[2].Options = RoleESP, "umask=0077,nofail"
		}, "plan.source", []string{"mounted at /boot/efi", "BIOS"}},
		{"left, and in use", func(f *Facts, in *Intent) {
			withPart(f, 1, RoleLinux, Content{Kind: ContentLVM, Type: "LVM2_member"}).Holders = []string{"dm-0"}
			in.Leave = []string{"/dev/vda4"}
		}, "plan.source", []string{"--leave /dev/vda4", "held by dm-0"}},
		{"left, and a config drive", func(f *Facts, in *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentFS, Type: "iso9660", Label: "config-2"})
			in.Leave = []string{"/dev/vda4"}
		}, "plan.source", []string{"--leave /dev/vda4", "new SSH host keys", "unless it is done: mkdir -p /var/lib/cloud/seed/config_drive"}},
		{"swap without a line", func(f *Facts, _ *Intent) { f.Fstab = f.Fstab[:1] }, "plan.source", []string{"swap /dev/vda3", "not be enabled at boot"}},
		{"swap without a user", func(f *Facts, _ *Intent) { f.Fstab, f.Dev("vda3").Swapping = f.Fstab[:1], false }, "plan.source", []string{"/dev/vda3", "not created again"}},
		{"an empty partition", func(f *Facts, _ *Intent) { withPart(f, 1, RoleOther) }, "plan.source", []string{"/dev/vda4", "nothing known", "finish erases it"}},
		{"a remnant", func(f *Facts, _ *Intent) {
			withPart(f, 1, RoleOther, Content{Kind: ContentRaid, Type: "linux_raid_member", Ghost: true})
		}, "plan.source", []string{"remnant", "finish erases it"}},
		{"files that may be encrypted", func(f *Facts, _ *Intent) {
			c := &f.Dev("vda2").Contents[0]
			c.Features = append(c.Features, "encrypt")
		}, "filesystem.type", []string{"filesystem at /", "feature encrypt", "check --files"}},
		{"a hybrid MBR", func(f *Facts, _ *Intent) { f.Dev("vda").Table.Hybrid = true }, "source.whole", []string{"partition table of /dev/vda", "hybrid MBR", "protective"}},
		{"something unknown", func(f *Facts, _ *Intent) { f.Dev("vdb").BootSector = "unknown" }, "target.empty", []string{"/dev/vdb", "first sector is not empty", "hexdump"}},
		{"a damaged table", func(f *Facts, _ *Intent) {
			f.Dev("vda").Table.Damage = []string{"primary and backup differ in disk guid, A and B", "backup: lies at byte 5, not in the disk's last sector at 9"}
		}, "table.whole", []string{"partition table of /dev/vda", "disk guid, A and B", "at byte 5, not in the disk's last sector at 9", "sfdisk --verify /dev/vda"}},
		{"a new disk that the loader may not read", func(f *Facts, _ *Intent) { f.Dev("vdb").Sector = 4096 }, "boot.sectors", []string{"disk /dev/vdb", "4096", "bootx on BIOS may not read it", "old system"}},
		{"an old disk that the loader may not read", func(f *Facts, _ *Intent) { f.Dev("vda").Sector = 4096 }, "boot.sectors", []string{"disk /dev/vda", "4096", "bootx on BIOS may not read it", "after finish"}},
		{"another sector", func(f *Facts, _ *Intent) { f.Dev("vdb").Sector = 4096 }, "plan.target", []string{"4096", "512"}},
		{"much larger", func(f *Facts, _ *Intent) { f.Dev("vdb").Size = 30 * gib }, "plan.target", []string{"10 GiB", "unused"}},
		{"swap file for resume", func(f *Facts, _ *Intent) { f.Kernel.Params = paramsOf("resume_offset=1234") }, "boot.resume", []string{"resume_offset=1234", "filefrag"}},
		{"swap to resume from that is gone", func(f *Facts, _ *Intent) {
			f.Uses = []Use{{Where: "/etc/x: RESUME=", Spec: "UUID=gone", Name: Name{TagUUID, "gone"}, Resume: true}}
		}, "names.resolve", []string{"/etc/x: RESUME=: UUID=gone", "each boot waits"}},
		{"swap to resume from on the target", func(f *Facts, _ *Intent) {
			f.Uses = []Use{{Where: "/etc/x: RESUME=", Spec: "/dev/vdb", Name: Name{Value: "/dev/vdb"}, Resume: true, Device: "vdb"}}
		}, "names.resolve", []string{"/etc/x: RESUME=: /dev/vdb", "overwritten"}},
		{"fstab into nowhere", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "UUID=gone", Name: Name{TagUUID, "gone"}, Target: "/x", Options: "defaults"})
		}, "fstab.resolves", []string{"UUID=gone", "nofail"}},
		{"fstab names the target, nofail", func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/vdb", Target: "/spare", Options: "nofail", Device: "vdb"})
		}, "fstab.resolves", []string{"/spare", "overwritten"}},
		{"a problem elsewhere", func(f *Facts, _ *Intent) { f.Problems = []Problem{{Subject: "/dev/sr0", Err: "no medium"}} }, "survey.complete", []string{"/dev/sr0"}},
		{"a damaged table that is wiped", func(f *Facts, in *Intent) {
			f.Problems, in.Wipe = []Problem{{Subject: "partition table of /dev/vdb", Err: "damaged", Device: "/dev/vdb", Table: true}}, []string{"vdb"}
		}, "survey.complete", []string{"damaged", "replaced"}},
		{"an old kernel without modules", func(f *Facts, _ *Intent) {
			f.Boot.Kernels = append(f.Boot.Kernels, Image{Path: "/boot/vmlinuz-5", Release: "5"})
		}, "kernel.modules", []string{"/boot/vmlinuz-5", "reinstall"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, in := good(), wish()
			c.change(f, &in)
			p, found, err := New(in, f)
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, Warn, c.id, c.words...)
			checkLayout(t, p, f)
			if err := Check(p, f, Live).Err(); err != nil {
				t.Errorf("accepted, and refused a moment later: %v", err)
			}
		})
	}
}

// What is allowed beside the system must not be refused.
func TestNewAllows(t *testing.T) {
	for name, change := range map[string]func(f *Facts, in *Intent){
		"bind line": func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/srv", Target: "/export", Options: "rw,bind", Device: "vda2"})
		},
		"swap file": func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/swapfile", Target: "none", Type: "swap", Options: "sw"})
		},
		"tmpfs": func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "tmpfs", Target: "/tmp", Type: "tmpfs", Options: "defaults"})
		},
		"noauto": func(f *Facts, _ *Intent) {
			f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/sr0", Target: "/cdrom", Options: "noauto"})
		},
		"table, wipe": func(f *Facts, in *Intent) {
			f.Dev("vdb").Table, in.Wipe = &Table{Scheme: "dos", ID: "1"}, []string{"/dev/vdb"}
		},
		"automounted /boot": func(f *Facts, _ *Intent) {
			withMount(f, 1, "44", "/boot", 0)
			last := len(f.Mounts) - 1
			f.Fstab[2].Options, f.Boot.Device = "noauto,x-systemd.automount", "vda4"
			f.Mounts = append(f.Mounts[:last], Mount{Source: "systemd-1", Target: "/boot", Type: "autofs"}, f.Mounts[last])
		},
		"extended partition": func(f *Facts, _ *Intent) {
			d := withPart(f, 1, RoleOther)
			d.GUID, d.Size = "", 1024 // the kernel shows its first sectors only
			f.Dev("vda").Table.Scheme, f.Dev("vda").Table.Partitions[3].Type = "dos", "0x05"
		},
		"data elsewhere": func(f *Facts, _ *Intent) {
			f.Devices = append(f.Devices, Device{Name: "vdc", Path: "/dev/vdc", Kind: KindDisk, Size: gib})
			f.Mounts = append(f.Mounts, Mount{Target: "/var/lib/docker", Device: "vdc"})
			f.Fstab = append(f.Fstab, Fstab{Spec: "/dev/vdc", Target: "/var/lib/docker", Options: "defaults", Device: "vdc"})
		},
	} {
		f, in := good(), wish()
		change(f, &in)
		p, found, err := New(in, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, x := range append(found, Check(p, f, Live)...) {
			if x.Severity != OK {
				t.Errorf("%s: %v", name, x)
			}
		}
	}
}
