package distro

import (
	"path"
	"regexp"
	"strings"

	"migrate-init/pkg/plan"
)

// initramfsTools is Debian's generator. Seen on Debian 12 (initramfs-tools 0.142, mdadm 4.2): udev in the initrd runs
// `mdadm --incremental` for each member, which starts an array at once when all members that its superblock counts as
// working are there, so a planned-degraded array needs no wait; an array that lost a member since is started by
// scripts/local-block/mdadm after two thirds of rootdelay.
func initramfsTools() Generator {
	return Generator{
		Generator: plan.Generator{Name: "initramfs-tools", Program: "usr/sbin/update-initramfs", Rebuilds: true, InitrdOf: initramfsToolsInitrd, Settings: []plan.Settings{
			{Pattern: "etc/initramfs-tools/initramfs.conf", Devices: []string{"RESUME", "ROOT"}, Resume: "RESUME"},
			{Pattern: "etc/initramfs-tools/conf.d/*", Devices: []string{"RESUME", "ROOT"}, Resume: "RESUME"},
		}},
		Rebuild: func(*plan.Plan) [][]string { return [][]string{{"update-initramfs", "-u", "-k", "all"}} },
		Needs:   initramfsToolsNeeds,
		Overlay: initramfsToolsOverlay,
		Scratch: "/var/tmp", Questions: initramfsToolsQuestions(),
		Create: "update-initramfs -c -k RELEASE",
		Inside: "conf/",
		Reads: []string{
			"etc/initramfs-tools", "usr/share/initramfs-tools", "usr/sbin/mkinitramfs", "usr/sbin/update-initramfs", "var/lib/initramfs-tools",
			"boot/config-*", "lib/modules/*/modules.*", "etc/modules", "etc/modules-load.d", "etc/modprobe.d", "lib/modprobe.d",
			"etc/mdadm", "etc/default/mdadm", "etc/fstab", "etc/crypttab", "etc/cryptsetup-initramfs", "etc/lvm", "etc/multipath", "etc/multipath.conf", "etc/iscsi", "etc/zfs",
			"etc/udev", "lib/udev/rules.d", "etc/systemd/network", "lib/systemd/network", "etc/dropbear", "etc/plymouth", "etc/default/keyboard", "etc/default/console-setup",
			"etc/console-setup", "etc/kernel", "etc/ld.so.conf", "etc/ld.so.conf.d",
		},
		Ahead: initramfsToolsAhead,
	}
}

// initramfsToolsInitrd: boot/vmlinuz-RELEASE has boot/initrd.img-RELEASE.
func initramfsToolsInitrd(kernel string) string {
	dir, base := path.Split(kernel)
	return dir + "initrd.img-" + strings.TrimPrefix(base, "vmlinuz-")
}

func initramfsToolsNeeds(p *plan.Plan) []Need {
	var out []Need
	if len(p.Target.Arrays()) > 0 {
		var uuids []string
		for _, a := range p.Target.Arrays() {
			uuids = append(uuids, a.Ref.ID())
			out = append(out, Need{Why: "the personality of array " + a.MD.Name, Module: plan.LevelModule(a.MD.Level)})
		}
		out = append(out,
			Need{Why: "mdadm assembles the arrays", Path: "sbin/mdadm"},
			Need{Why: "mdadm.conf names the arrays", Path: "etc/mdadm/mdadm.conf", Words: uuids},
			Need{Why: "udev starts arrays as members appear", Path: "lib/udev/rules.d/64-md-raid-assembly.rules"},
			Need{Why: "a degraded array is started at boot", Path: "scripts/local-block/mdadm", Words: []string{"--run"}},
			Need{Why: "array support", Module: "md_mod"})
	}
	for _, f := range p.Target.Filesystems() {
		if f.FS.Mount == "/" {
			out = append(out, Need{Why: "the root filesystem", Module: plan.FSTypeOf(f.FS.Type).Module})
		}
	}
	return out
}

// initramfsToolsOverlay forces what MODULES=dep may leave out: the chroot's /sys is the initramfs's.
func initramfsToolsOverlay(p *plan.Plan) []File {
	mods := map[string]bool{}
	var list []string
	add := func(m string) {
		if !mods[m] {
			mods[m] = true
			list = append(list, m)
		}
	}
	for _, a := range p.Target.Arrays() {
		add(plan.LevelModule(a.MD.Level))
	}
	if len(list) == 0 {
		return nil
	}
	hook := "#!/bin/sh\n# Written by migrate-init: the migrated system needs these whatever MODULES= says.\nPREREQ=\"\"\n" +
		"case \"$1\" in prereqs) echo \"$PREREQ\"; exit 0;; esac\n. /usr/share/initramfs-tools/hook-functions\n" +
		"force_load " + strings.Join(list, "\nforce_load ") + "\n"
	// MODULES=list leaves it to people to name what the root needs, and MODULES=dep to what is mounted.
	var more []string
	if n := p.Target.MountedAt("/"); n != nil && plan.FSTypeOf(n.FS.Type).Module != "" {
		more = append(more, plan.FSTypeOf(n.FS.Type).Module)
	}
	if more = append(more, p.Drivers...); len(more) > 0 {
		hook += "manual_add_modules " + strings.Join(more, " ") + "\n"
	}
	return []File{{Path: "/etc/initramfs-tools/hooks/migrate-init", Data: []byte(hook), Mode: 0o755, Why: "raid and controller modules are forced into every initrd"}}
}

// initramfsToolsAhead replaces MODULES=dep by most. In an overlay the root is on no device of which mkinitramfs could ask what
// it depends on, and the running system's devices are not those of the migrated one. most is what dep would choose and more, so
// that the initrd boots wherever the other would; it is larger. The system's own setting is not touched: its next update of an
// initrd follows it again.
func initramfsToolsAhead(in plan.Installed) []File {
	for _, f := range initramfsFiles(in) {
		if b, err := in.Read(f); err == nil && initramfsToolsDep().Match(b) {
			return []File{{Path: "/etc/initramfs-tools/conf.d/zzz-migrate-init", Data: []byte("MODULES=most\n"), Mode: 0o644,
				Why: f + " asks for MODULES=dep, which cannot see the future root from here: these initrds are made with MODULES=most"}}
		}
	}
	return nil
}

// initramfsToolsDep finds the setting, however it is quoted.
func initramfsToolsDep() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^[ \t]*(export[ \t]+)?MODULES=["']?dep\b`)
}
