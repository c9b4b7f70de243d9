package distro

import (
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// debian rebuilds with initramfs-tools and grub-install. Seen on Debian 12 (initramfs-tools 0.142, mdadm 4.2, GRUB
// 2.06): udev in the initrd runs `mdadm --incremental` for each member, which starts an array at once when all members
// that its superblock counts as working are there, so a planned-degraded array needs no wait; an array that lost a
// member since is started by scripts/local-block/mdadm after two thirds of rootdelay.
func debian() Family {
	return Family{
		Name: "debian", Initrd: "initramfs-tools", Initrds: "boot/initrd.img-*", Kernels: "boot/vmlinuz-*",
		Rebuild: debianRebuild, Loader: debianLoader, Menu: debianMenu, Needs: debianNeeds, Overlay: debianOverlay,
	}
}

func debianExec(root string, disks []string, argv ...string) machine.Exec {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	alters := append([]string(nil), disks...)
	if root != "" {
		alters = append(alters, root)
	}
	return machine.Exec{Argv: argv, Env: env, Root: root, Alters: alters}
}

func debianLoader(p *plan.Plan, root string, disks []string) []machine.Exec {
	var out []machine.Exec
	if p.Boot.Loader == "grub" {
		for _, d := range disks {
			out = append(out, debianExec(root, disks, "grub-install", "--target=i386-pc", "--recheck", d))
		}
	}
	return out
}

func debianRebuild(p *plan.Plan, root string, disks []string) []machine.Exec {
	out := append([]machine.Exec{debianExec(root, disks, "update-initramfs", "-u", "-k", "all")}, debianLoader(p, root, disks)...)
	return append(out, debianMenu(p, root)...)
}

func debianMenu(p *plan.Plan, root string) []machine.Exec {
	if p.Boot.Loader != "grub" {
		return nil
	}
	return []machine.Exec{debianExec(root, nil, "update-grub")}
}

// personality is the module of a level (drivers/md/Makefile).
func personality(level int) string {
	switch level {
	case 4, 5, 6:
		return "raid456"
	}
	return "raid" + strconv.Itoa(level)
}

func debianNeeds(p *plan.Plan) []Need {
	var out []Need
	if len(p.Target.Arrays) > 0 {
		var uuids []string
		for _, a := range p.Target.Arrays {
			uuids = append(uuids, a.UUID)
			out = append(out, Need{Why: "the personality of array " + a.Name, Module: personality(a.Level)})
		}
		out = append(out,
			Need{Why: "mdadm assembles the arrays", Path: "sbin/mdadm"},
			Need{Why: "mdadm.conf names the arrays", Path: "etc/mdadm/mdadm.conf", Words: uuids},
			Need{Why: "udev starts arrays as members appear", Path: "lib/udev/rules.d/64-md-raid-assembly.rules"},
			Need{Why: "a degraded array is started at boot", Path: "scripts/local-block/mdadm", Words: []string{"--run"}},
			Need{Why: "array support", Module: "md_mod"})
	}
	for _, f := range p.Target.Filesystems {
		if f.Mount == "/" {
			out = append(out, Need{Why: "the root filesystem", Module: plan.FSTypeOf(f.Type).Module})
		}
	}
	return out
}

// debianOverlay forces what MODULES=dep may leave out (failures.md, 2): the chroot's /sys is the initramfs's.
func debianOverlay(p *plan.Plan) []File {
	mods := map[string]bool{}
	var list []string
	add := func(m string) {
		if !mods[m] {
			mods[m] = true
			list = append(list, m)
		}
	}
	for _, a := range p.Target.Arrays {
		add(personality(a.Level))
	}
	if len(list) == 0 {
		return nil
	}
	hook := "#!/bin/sh\n# Written by migrate-init: the migrated system needs these whatever MODULES= says.\nPREREQ=\"\"\n" +
		"case \"$1\" in prereqs) echo \"$PREREQ\"; exit 0;; esac\n. /usr/share/initramfs-tools/hook-functions\n" +
		"force_load " + strings.Join(list, "\nforce_load ") + "\n"
	if len(p.Drivers) > 0 {
		hook += "manual_add_modules " + strings.Join(p.Drivers, " ") + "\n"
	}
	return []File{{Path: "/etc/initramfs-tools/hooks/migrate-init", Data: []byte(hook), Mode: 0o755, Why: "raid and controller modules are forced into every initrd"}}
}
