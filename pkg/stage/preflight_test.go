package stage

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// preflight is the made-up Debian, asked before the reboot.
func preflight(t *testing.T, change func(*world, fstest.MapFS, *Preflight)) plan.Findings {
	t.Helper()
	w, p, _ := toSchedule(t)
	f, err := w.Look(context.Background(), survey.Whole)
	if err != nil {
		t.Fatal(err)
	}
	w.Trees[sim.OldRoot] = maps.Clone(w.Trees[sim.OldRoot])
	pf := Preflight{Loaders: loader.Known(), Plan: p, When: plan.Live, Facts: f, Machine: w}
	change(w, w.Trees[sim.OldRoot], &pf)
	for i := range w.Mounts {
		if w.Mounts[i].Dir == "/" {
			w.Mounts[i].Tree = w.Trees[sim.OldRoot]
		}
	}
	pf.Root, pf.Sys = w.View(), w.View()
	return pf.Ask(context.Background())
}

// TestPreflightGood: a system that can be migrated has nothing to refuse and nothing to warn of.
func TestPreflightGood(t *testing.T) {
	for name, when := range map[string]plan.Moment{"planning": plan.Planning, "live": plan.Live} {
		for _, x := range preflight(t, func(_ *world, _ fstest.MapFS, pf *Preflight) { pf.When = when }) {
			if x.Severity != plan.OK {
				t.Errorf("%s: %s %s: %s", name, x.Severity, x.ID, x)
			}
		}
	}
}

const kernelName, initrdName = "boot/vmlinuz-" + sim.Release, "boot/initrd.img-" + sim.Release

func plain(s string) *fstest.MapFile  { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
func script(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o755} }
func linkTo(s string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(s), Mode: fs.ModeSymlink | 0o777}
}

// trouble is one thing of a running system that the migration would otherwise meet after its downtime began.
type trouble struct {
	id     string
	sev    plan.Severity
	want   string // in the finding
	fix    string // in its fix
	change func(*world, fstest.MapFS, *Preflight)
}

// broken are the troubles that are known.
func broken(t *testing.T) map[string]trouble {
	files := func(set map[string]*fstest.MapFile) func(*world, fstest.MapFS, *Preflight) {
		return func(_ *world, tree fstest.MapFS, _ *Preflight) {
			for n, f := range set {
				if f == nil && tree[n] == nil {
					t.Errorf("%s is not there", n)
				}
				if f == nil {
					delete(tree, n)
					continue
				}
				tree[n] = f
			}
		}
	}
	one := func(name string, f *fstest.MapFile) func(*world, fstest.MapFS, *Preflight) {
		return files(map[string]*fstest.MapFile{name: f})
	}
	edit := func(name, old, new string) func(*world, fstest.MapFS, *Preflight) {
		return func(_ *world, tree fstest.MapFS, _ *Preflight) {
			was := string(tree[name].Data)
			now := strings.ReplaceAll(was, old, new)
			if now == was {
				t.Errorf("%s did not change", name)
			}
			tree[name] = &fstest.MapFile{Data: []byte(now), Mode: tree[name].Mode}
		}
	}
	menu := func(first, last string) func(*world, fstest.MapFS, *Preflight) {
		return func(_ *world, tree fstest.MapFS, _ *Preflight) {
			tree["boot/grub/grub.cfg"] = plain(first + string(tree["boot/grub/grub.cfg"].Data) + last)
		}
	}
	fails := func(program, words string) func(*world, fstest.MapFS, *Preflight) {
		return func(w *world, _ fstest.MapFS, _ *Preflight) { w.Fails = map[string]string{program: words} }
	}
	moveDir := func(from, to string) func(*world, fstest.MapFS, *Preflight) {
		return func(_ *world, tree fstest.MapFS, _ *Preflight) {
			for _, n := range slices.Collect(maps.Keys(tree)) {
				if rest, ok := strings.CutPrefix(n, from); ok && (rest == "" || rest[0] == '/') {
					tree[to+rest] = tree[n]
					delete(tree, n)
				}
			}
			tree[from] = linkTo(strings.Repeat("../", strings.Count(from, "/")) + to)
		}
	}
	const entry = "menuentry '%s' {\n%s\n}\n"
	const refuse, warn = plan.Refuse, plan.Warn
	return map[string]trouble{
		// Kernels and initrds.
		"a kernel that is none":           {"initrd.present", warn, "boot/vmlinuz-x: not a kernel", "", one("boot/vmlinuz-x", plain("text"))},
		"a second name of the kernel":     {"initrd.present", warn, "vmlinuz-" + sim.Release + ".bak: it has no initrd", "", one(kernelName+".bak", &fstest.MapFile{Data: sim.KernelImage(sim.Release)})},
		"its signed image":                {"initrd.present", warn, ".efi.signed: it has no initrd", "", one(kernelName+".efi.signed", &fstest.MapFile{Data: sim.KernelImage(sim.Release)})},
		"no initrd of the running kernel": {"initrd.present", refuse, "has no initrd /" + initrdName, "update-initramfs -c -k " + sim.Release, one(initrdName, nil)},
		"a module of the arrays":          {"kernel.needed-modules", refuse, "module raid1 is not in", "reinstall", edit("usr/lib/modules/"+sim.Release+"/modules.dep", "raid1", "raidx")},
		"an unplanned kernel's module": {"kernel.needed-modules", warn, "module raid1 is not in /lib/modules/5.10.0", "", files(map[string]*fstest.MapFile{
			"boot/vmlinuz-5.10.0": {Data: sim.KernelImage("5.10.0")}, "boot/initrd.img-5.10.0": plain("x"), "boot/config-5.10.0": plain("CONFIG_RD_GZIP=y\n"), "usr/lib/modules/5.10.0/modules.dep": plain("ext4.ko: \n")})},
		"no init": {"init.program", refuse, "/sbin/init", "", one("usr/sbin/init", nil)},

		// The generator.
		"COMPRESS=lzma":               {"initramfs.compression", refuse, "COMPRESS=lzma", "COMPRESS=zstd", edit("etc/initramfs-tools/initramfs.conf", "COMPRESS=zstd", "COMPRESS=lzma")},
		"COMPRESS=bzip2 in conf.d":    {"initramfs.compression", refuse, "conf.d/z: it says COMPRESS=bzip2", "", one("etc/initramfs-tools/conf.d/z", plain("COMPRESS=bzip2\n"))},
		"COMPRESS=lzop":               {"initramfs.compression", refuse, "COMPRESS=lzop", "", edit("etc/initramfs-tools/initramfs.conf", "COMPRESS=zstd", "COMPRESS=lzop")},
		"no COMPRESS":                 {"initramfs.compression", refuse, "COMPRESS is not set", "", edit("etc/initramfs-tools/initramfs.conf", "COMPRESS=zstd", "")},
		"update_initramfs=no":         {"initramfs.switched-off", refuse, "update_initramfs=no", "sed -i", edit("etc/initramfs-tools/update-initramfs.conf", "initramfs=yes", "initramfs=no")},
		"no kernel configuration":     {"initramfs.kernels", refuse, "/boot/config-" + sim.Release + " cannot be read", "reinstall", one("boot/config-"+sim.Release, nil)},
		"a kernel that reads neither": {"initramfs.kernels", refuse, "neither as zstd nor as gzip", "", one("boot/config-"+sim.Release, plain("CONFIG_RD_XZ=y\n"))},
		"an initrd of a second name": {"initramfs.kernels", refuse, "for all kernels", "mv /boot/initrd.img-" + sim.Release + ".bak", files(map[string]*fstest.MapFile{
			kernelName + ".bak": {Data: sim.KernelImage(sim.Release)}, initrdName + ".bak": plain("x")})},
		"BUSYBOX=y":               {"initramfs.busybox", refuse, "BUSYBOX=y", "BUSYBOX=auto", edit("etc/initramfs-tools/initramfs.conf", "BUSYBOX=auto", "BUSYBOX=y")},
		"a file that sh refuses":  {"initramfs.settings", refuse, "initramfs.conf: the shell cannot read it", "sh -n", fails("sh", "Unterminated quoted string")},
		"no initramfs.conf":       {"initramfs.settings", refuse, "initramfs.conf: cannot be read", "reinstall", one("etc/initramfs-tools/initramfs.conf", nil)},
		"another mdadm's script":  {"initramfs.arrays", refuse, "it never says --run", "mdadm", one("usr/share/initramfs-tools/scripts/local-block/mdadm", plain("mdadm -As\n"))},
		"no mdadm script":         {"initramfs.arrays", refuse, "local-block/mdadm: it is missing", "mdadm", one("usr/share/initramfs-tools/scripts/local-block/mdadm", nil)},
		"no udev rules of mdadm":  {"initramfs.arrays", refuse, "64-md-raid-assembly.rules: it is missing", "mdadm", one("usr/lib/udev/rules.d/64-md-raid-assembly.rules", nil)},
		"mdadm's hook is off":     {"initramfs.arrays", refuse, "hooks/mdadm: it is missing or not executable", "mdadm", one("usr/share/initramfs-tools/hooks/mdadm", plain("#!/bin/sh\n"))},
		"no /var/tmp":             {"initramfs.scratch", refuse, "/var/tmp: it is not a directory", "mkdir -m 1777 /var/tmp", one("var/tmp", nil)},
		"/var/tmp is in /run":     {"initramfs.scratch", refuse, "/run/tmp, which is empty", "mkdir -m 1777 /var/tmp", files(map[string]*fstest.MapFile{"var/tmp": linkTo("/run/tmp"), "run/tmp": {Mode: fs.ModeDir | 0o1777}})},
		"a program after initrds": {"initramfs.scratch", warn, "/etc/initramfs/post-update.d/x: update-initramfs runs it", "chmod -x", one("etc/initramfs/post-update.d/x", script("#!/bin/sh\n"))},
		"no update-initramfs":     {"initramfs.programs", refuse, "program update-initramfs: it is missing", "", func(_ *world, tree fstest.MapFS, _ *Preflight) { tree["usr/sbin/update-initramfs"].Mode = 0o644 }},
		"an empty generator":      {"initramfs.programs", refuse, "it is a link to /usr/bin/true", "rm /usr/sbin/update-initramfs", files(map[string]*fstest.MapFile{"usr/sbin/update-initramfs": linkTo("/bin/true"), "usr/bin/true": script("")})},
		"no linux-version":        {"initramfs.programs", refuse, "program linux-version", "linux-base", one("usr/bin/linux-version", nil)},

		// The boot loader's programs and files.
		"no grub-install":            {"boot-loader.programs", refuse, "program grub-install", "grub2-common", one("usr/sbin/grub-install", nil)},
		"no update-grub":             {"boot-loader.programs", refuse, "program update-grub", "grub2-common", one("usr/sbin/update-grub", nil)},
		"no boot.img":                {"boot-loader.programs", refuse, "boot.img is missing", "grub-pc-bin", one("usr/lib/grub/i386-pc/boot.img", nil)},
		"no module for arrays":       {"boot-loader.programs", refuse, "mdraid1x.mod is missing", "grub-pc-bin", one("usr/lib/grub/i386-pc/mdraid1x.mod", nil)},
		"settings that no one reads": {"boot-loader.programs", refuse, "does not read /etc/default/grub.d", "", one("usr/sbin/grub-mkconfig", script("#!/bin/sh\n"))},
		"modules only in /usr/lib": {"boot-loader.modules", refuse, "no directory in it holds GRUB's normal.mod", "grub-install /dev/vda", func(_ *world, tree fstest.MapFS, _ *Preflight) {
			maps.DeleteFunc(tree, func(n string, _ *fstest.MapFile) bool { return strings.HasPrefix(n, "boot/grub/i386-pc/") })
		}},
		"no module for the commit":     {"boot-loader.modules", refuse, "loadenv.mod: missing", "grub-install /dev/vda", one("boot/grub/i386-pc/loadenv.mod", nil)},
		"no command.lst":               {"boot-loader.modules", refuse, "command.lst: missing", "grub-install /dev/vda", one("boot/grub/i386-pc/command.lst", nil)},
		"/boot is a link":              {"boot-loader.place", refuse, "directory /boot: it is a symbolic link to /data/boot", "mv /data/boot /boot", moveDir("boot", "data/boot")},
		"/boot/grub is a link":         {"boot-loader.place", refuse, "directory /boot/grub: it is a symbolic link to /data/grub", "grub-install", moveDir("boot/grub", "data/grub")},
		"grubenv is a link":            {"boot-loader.place", refuse, "file /boot/grub/grubenv: it is a symbolic link", "cp --remove-destination", moveDir("boot/grub/grubenv", "data/grubenv")},
		"custom.cfg is a link":         {"boot-loader.place", refuse, "file /boot/grub/custom.cfg: it is a symbolic link", "cp --remove-destination", files(map[string]*fstest.MapFile{"boot/grub/custom.cfg": linkTo("/etc/custom"), "etc/custom": plain("")})},
		"custom.cfg ends early":        {"boot-loader.custom", refuse, "line 2 ends the script", "", one("boot/grub/custom.cfg", plain("set x=1\nreturn\n"))},
		"custom.cfg has an open brace": {"boot-loader.custom", refuse, "/boot/grub/custom.cfg: grub script: line 1", "", one("boot/grub/custom.cfg", plain("menuentry x {\n"))},
		"a default after custom.cfg":   {"boot-loader.custom", refuse, "sets default after it has read custom.cfg", "before 41_custom", menu("", "set default=0\n")},

		// The menu.
		"a missing quote":          {"boot-menu.made", refuse, "Unterminated quoted string", "update-grub", fails("grub-mkconfig", "/etc/default/grub: 3: Syntax error: Unterminated quoted string")},
		"a script that writes":     {"boot-menu.made", warn, "which check does not let it", "writes files", fails("grub-mkconfig", "touch: cannot touch '/x': Read-only file system")},
		"text that GRUB refuses":   {"boot-menu.made", refuse, "Syntax error at line 2", "update-grub", fails("grub-script-check", "Syntax error at line 2")},
		"text that we cannot read": {"boot-menu.readable", refuse, "brace without end", "/etc/grub.d", menu("", "menuentry x {\n")},
		"10_linux is off":          {"boot-menu.scripts", warn, "10_linux: it is missing or not executable", "chmod +x", one("etc/grub.d/10_linux", plain(""))},
		"no entry":                 {"boot-menu.default", refuse, "no entry", "", one("boot/grub/grub.cfg", plain("set default=0\n"))},
		"Windows by default":       {"boot-menu.default", refuse, `entry "Windows" is booted by default`, "GRUB_DEFAULT='Debian GNU/Linux'", menu(fmt.Sprintf(entry, "Windows", "set root=(hd0,msdos1)\nchainloader +1"), "")},
		"memtest by default":       {"boot-menu.default", refuse, `entry "memtest" is booted by default`, "GRUB_DEFAULT='Debian GNU/Linux'", menu(fmt.Sprintf(entry, "memtest", "linux16 /"+kernelName), "")},
		"iPXE by default":          {"boot-menu.default", refuse, `entry "iPXE" is booted by default`, "", menu(fmt.Sprintf(entry, "iPXE", "linux16 /boot/ipxe.lkrn"), "")},
		"Xen by default":           {"boot-menu.default", refuse, `entry "Xen" is booted by default (default="0") and starts no Linux kernel`, "", menu(fmt.Sprintf(entry, "Xen", "multiboot2 /boot/xen.gz\nmodule2 /"+kernelName+" root=UUID="+sim.OldRoot), "")},
		"another initrd by default": {"boot-menu.default", refuse, "its initrd /boot/mine.img is not the one", "", func(w *world, tree fstest.MapFS, pf *Preflight) {
			edit("boot/grub/grub.cfg", "/"+initrdName, "/boot/mine.img")(w, tree, pf)
			tree["boot/mine.img"] = plain("x")
		}},
		"a partition that is gone": {"boot-menu.default", refuse, "has root=PARTUUID=dead0000-01", "", edit("boot/grub/grub.cfg", "root=UUID="+sim.OldRoot, "root=PARTUUID=dead0000-01")},
		"a missing file":           {"boot-menu.entry", warn, `entry "old": it names /boot/vmlinuz-4, which does not exist`, "", menu("", fmt.Sprintf(entry, "old", "linux /boot/vmlinuz-4 root=UUID="+sim.OldRoot))},
		"a loop":                   {"boot-menu.entry", warn, `entry "iso": it names (loop)/vmlinuz`, "", menu("", fmt.Sprintf(entry, "iso", "loopback loop /x.iso\nlinux (loop)/vmlinuz"))},
		"a network":                {"boot-menu.entry", warn, "(tftp)/vmlinuz", "", menu("", fmt.Sprintf(entry, "net", "linux (tftp)/vmlinuz"))},
		"a variable":               {"boot-menu.entry", warn, "(${root})/vmlinuz", "", menu("", fmt.Sprintf(entry, "var", "linux ($root)/vmlinuz"))},
		"another variable":         {"boot-menu.entry", warn, "${k}", "", menu("", fmt.Sprintf(entry, "var", "linux ${k}"))},
		"a waiting menu":           {"boot-menu.timeout", warn, "its timeout is -1", "GRUB_TIMEOUT=5", menu("set timeout=-1\n", "")},
		"a password":               {"boot-menu.password", warn, "asks for a password", "--unrestricted", menu("set superusers=root\n", "")},
		"a default is saved":       {"boot-menu.savedefault", warn, "GRUB_SAVEDEFAULT is true", "GRUB_DEFAULT=0", edit("etc/default/grub", "GRUB_DEFAULT=0", "GRUB_SAVEDEFAULT=true\nGRUB_DEFAULT=saved")},
		"os-prober after all": {"boot-menu.os-prober", refuse, "sets GRUB_DISABLE_OS_PROBER=false", "mv /etc/default/grub.d/z.cfg /etc/default/grub.d/00-z.cfg",
			one("etc/default/grub.d/z.cfg", plain("GRUB_DISABLE_OS_PROBER=false\n"))},
		"a panic that stays": {"boot-menu.panic", warn, "would not become a reset", "00-z.cfg", one("etc/default/grub.d/z.cfg", plain("GRUB_CMDLINE_LINUX=quiet\n"))},

		"a full environment": {"boot-loader.environment", refuse, "/boot/grub/grubenv", "grub-editenv /boot/grub/grubenv create", func(_ *world, tree fstest.MapFS, _ *Preflight) {
			env := boot.NewGrubenv()
			if err := env.Set("x", strings.Repeat("y", 900)); err != nil {
				t.Fatal(err)
			}
			tree["boot/grub/grubenv"] = &fstest.MapFile{Data: env.Bytes()}
		}},

		// What rewrite, commit and confirm meet.
		"a file where the commit goes": {"rewrite.possible", refuse, "file /migrate-init: it is not a directory", "mv /migrate-init /migrate-init.old", one("migrate-init", script("ELF"))},
		"a file where the state goes":  {"settings.rewrite", refuse, "/var/lib/migrate-init: not a directory", "correct", one("var/lib/migrate-init", plain(""))},
		"a directory for a file":       {"rewrite.possible", refuse, "directory /etc/initramfs-tools/hooks/migrate-init", "mv", one("etc/initramfs-tools/hooks/migrate-init/x", plain(""))},
		"another plan is scheduled":    {"schedule.possible", refuse, "remove them first: migrate-init cancel", "", one("var/lib/migrate-init/scheduled.json", plain(`{"plan":"x","loader":"grub"}`))},
		"a rescue target": {"confirm.runs", warn, "rescue.target, which does not start the unit", "migrate-init confirm", files(map[string]*fstest.MapFile{
			"etc/systemd/system/default.target": linkTo("/usr/lib/systemd/system/rescue.target"), "usr/lib/systemd/system/rescue.target": plain("")})},
		"a root that stays read-only": {"confirm.runs", refuse, "/ is mounted ro, so the new system could not mark itself", "take ro out", edit("etc/fstab", "errors=remount-ro", "ro")},
		"a root that no one mounts":   {"confirm.runs", refuse, "/ is mounted noauto, so the new system would not find its commit", "take noauto out", edit("etc/fstab", "errors=remount-ro", "noauto")},
		"a single user":               {"boot-menu.single", warn, "is booted by default with single", "GRUB_CMDLINE_LINUX", edit("boot/grub/grub.cfg", " quiet", " single")},
		"no mdmon":                    {"initramfs.arrays", refuse, "program mdmon", "mdadm", one("usr/sbin/mdmon", nil)},
		"settings on another disk": {"rebuild.places", refuse, "directory /var/cache: it shows /dev/vdc1 (ext4)", "", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Facts.Mounts = append(pf.Facts.Mounts, plan.Mount{Source: "/dev/vdc1", Target: "/var/cache", Type: "ext4", Root: "/"})
		}},
		"a masked unit": {"confirm.runs", warn, "is masked", "rm ", one("etc/systemd/system/migrate-init-confirm.service", linkTo("/dev/null"))},

		// Where the new system is made.
		"/boot is bound": {"rebuild.places", refuse, "directory /boot: it shows /data/boot of /dev/vda2, a bind mount", "umount /boot", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Facts.Mounts = append(pf.Facts.Mounts, plan.Mount{Source: "/dev/vda2", Target: "/boot", Type: "ext4", Root: "/data/boot", Device: "vda2"})
		}},
		"/usr/share is elsewhere": {"rebuild.places", refuse, "directory /usr/share: it shows server:/share (nfs4)", "", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Facts.Mounts = append(pf.Facts.Mounts, plan.Mount{Source: "server:/share", Target: "/usr/share", Type: "nfs4", Root: "/"})
		}},
		"an immutable fstab": {"rebuild.attributes", refuse, "file /etc/fstab: its attribute i", "chattr -i /etc/fstab", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Locked = func(n string) string { return map[string]string{"/etc/fstab": "i"}[n] }
		}},
		"an immutable menu": {"rebuild.attributes", refuse, "/boot/grub/grub.cfg", "chattr -i", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Locked = func(n string) string { return map[string]string{"/boot/grub/grub.cfg": "i"}[n] }
		}},
		"an immutable directory": {"rebuild.attributes", refuse, "file /boot: its attribute i", "chattr -i /boot", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Locked = func(n string) string { return map[string]string{"/boot": "i"}[n] }
		}},
		"an append-only initrd": {"rebuild.attributes", refuse, initrdName, "chattr -a", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Locked = func(n string) string { return map[string]string{"/" + initrdName: "a"}[n] }
		}},
		"no room in the target": {"rebuild.room", refuse, "filesystem at /: once it is copied it has", "free space", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			d, err := pf.Facts.FS(sim.OldRoot)
			if err != nil {
				t.Fatal(err)
			}
			n := pf.Plan.Target.PartUnder(pf.Plan.Target.MountedAt("/").Ref)
			for i := range d.Contents {
				d.Contents[i].Used = n.Size - 20*roomMiB
			}
		}},
		"no room to work": {"rebuild.room", warn, "directory /var/tmp: 1 MiB are free", "free space", func(_ *world, _ fstest.MapFS, pf *Preflight) {
			pf.Free = func(string) int64 { return roomMiB }
		}},
	}
}

// TestPreflight breaks one thing at a time: each has an id of its own, names the thing, and says what helps.
func TestPreflight(t *testing.T) {
	const warn = plan.Warn
	for name, c := range broken(t) {
		t.Run(name, func(t *testing.T) {
			found := preflight(t, c.change)
			for _, x := range found {
				if x.ID == c.id && x.Severity == c.sev && strings.Contains(x.String(), c.want) {
					if !strings.Contains(x.Fix, c.fix) {
						t.Errorf("fix %q, want %q in it", x.Fix, c.fix)
					}
					if c.sev == warn && found.Err() != nil {
						t.Errorf("no refusal expected: %v", found.Err())
					}
					return
				}
			}
			for _, x := range found {
				if x.Severity != plan.OK {
					t.Logf("%s %s: %s", x.Severity, x.ID, x)
				}
			}
			t.Errorf("no %s %s with %q", c.sev, c.id, c.want)
		})
	}
}

// TestPreflightPasses: what looks odd and is none of the migration's business.
func TestPreflightPasses(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"absolute links to kernel and initrd": func(tree fstest.MapFS) {
			tree["boot/k/vmlinuz"], tree["boot/k/initrd"] = tree[kernelName], tree[initrdName]
			tree[kernelName], tree[initrdName] = linkTo("/boot/k/vmlinuz"), linkTo("/boot/k/initrd")
		},
		"entries by links in the root": func(tree fstest.MapFS) {
			tree["vmlinuz"], tree["initrd.img"] = linkTo(kernelName), linkTo(initrdName)
			cfg := string(tree["boot/grub/grub.cfg"].Data)
			cfg = strings.NewReplacer("/"+kernelName, "/vmlinuz", "/"+initrdName, "/initrd.img").Replace(cfg)
			tree["boot/grub/grub.cfg"] = plain(cfg)
		},
		"the root by its node": func(tree fstest.MapFS) {
			tree["etc/default/grub"] = plain(string(tree["etc/default/grub"].Data) + "GRUB_DISABLE_LINUX_UUID=true\n")
			tree["boot/grub/grub.cfg"] = plain(strings.Replace(string(tree["boot/grub/grub.cfg"].Data), "root=UUID="+sim.OldRoot, "root=/dev/vda2", 1))
		},
		"the root by its partition": func(tree fstest.MapFS) {
			tree["etc/default/grub"] = plain(string(tree["etc/default/grub"].Data) + "GRUB_FORCE_PARTUUID=aaaaaaaa-0000-4000-8000-000000000002\n")
			tree["boot/grub/grub.cfg"] = plain(strings.Replace(string(tree["boot/grub/grub.cfg"].Data), "root=UUID="+sim.OldRoot, "root=PARTUUID=aaaaaaaa-0000-4000-8000-000000000002", 1))
		},
		"another system by its place": func(tree fstest.MapFS) {
			tree["boot/grub/grub.cfg"] = plain(string(tree["boot/grub/grub.cfg"].Data) + "menuentry other {\nset root=(hd1,msdos1)\nlinux /vmlinuz-x root=/dev/sdb1\n}\n")
		},
		"another system by its label": func(tree fstest.MapFS) {
			tree["boot/grub/grub.cfg"] = plain(string(tree["boot/grub/grub.cfg"].Data) + "menuentry other {\nsearch --label --set=root other\nlinux /vmlinuz-x root=/dev/sdb1\n}\n")
		},
		"a microcode before the initrd": func(tree fstest.MapFS) {
			tree["boot/intel-ucode.img"] = plain("x")
			tree["boot/grub/grub.cfg"] = plain(strings.Replace(string(tree["boot/grub/grub.cfg"].Data), "initrd\t", "initrd\t/boot/intel-ucode.img ", 1))
		},
		"a history in a script": func(tree fstest.MapFS) {
			tree["etc/grub.d/40_custom"] = script("#!/bin/sh\n# root was UUID=" + sim.OldRoot + "\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := preflight(t, func(_ *world, tree fstest.MapFS, _ *Preflight) { change(tree) }).Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPreflightEnvironment: the saved entry is followed.
func TestPreflightEnvironment(t *testing.T) {
	env := boot.NewGrubenv()
	if err := env.Set("saved_entry", "memtest"); err != nil {
		t.Fatal(err)
	}
	err := preflight(t, func(_ *world, tree fstest.MapFS, _ *Preflight) {
		tree["boot/grub/grubenv"] = &fstest.MapFile{Data: env.Bytes()}
		tree["boot/grub/grub.cfg"] = plain(strings.Replace(string(tree["boot/grub/grub.cfg"].Data), `default="0"`, `default="${saved_entry}"`, 1) + "menuentry memtest {\nlinux16 /" + kernelName + "\n}\n")
	}).Err()
	if err == nil || !strings.Contains(err.Error(), `entry "memtest" is booted by default (default="memtest")`) {
		t.Errorf("%v", err)
	}
	if err != nil && !strings.Contains(err.Error(), "grub-set-default 'Debian GNU/Linux'") {
		t.Errorf("its fix: %v", err)
	}
}

// TestQuestionsAreDocumented: people look an id up.
func TestQuestionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	_, p, _ := toSchedule(t)
	pr, err := newProver(loader.Known(), p, fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"settings.rewrite"}
	for _, q := range slices.Concat(pr.questions(), pr.sys.Family.Questions, pr.sys.Generator.Questions, pr.loader.Questions) {
		ids = append(ids, q.ID)
	}
	for _, c := range broken(t) {
		ids = append(ids, c.id)
	}
	for _, id := range ids {
		if !strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("%s is not in docs/rehearsal.md", id)
		}
	}
}

// TestPreflightAsksForPrograms: whatever rebuild will run is asked for by a row.
func TestPreflightAsksForPrograms(t *testing.T) {
	_, p, _ := toSchedule(t)
	pr, err := newProver(loader.Known(), p, fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(pr.sys.Generator.Rebuild(p), pr.loader.Install(p, []string{"/dev/vdb"}), pr.loader.Menu(p))
	for _, argv := range all {
		err := preflight(t, func(_ *world, tree fstest.MapFS, _ *Preflight) {
			for _, dir := range []string{"usr/sbin/", "usr/bin/"} {
				delete(tree, dir+argv[0])
			}
		}).Err()
		if err == nil || !strings.Contains(err.Error(), "program "+argv[0]) {
			t.Errorf("without %s: %v", argv[0], err)
		}
	}
}
