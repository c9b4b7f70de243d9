package stage

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/boot"
	"migrate-init/cpio"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// TestProve breaks one thing of a rebuilt system at a time: each is found and named, and nothing is committed.
func TestProve(t *testing.T) {
	w := newWorld(t)
	p, text := planned(t, w, nil)
	start := w.clone(t)
	if err := w.migrate(p, text, sim.Fault{}); err != nil {
		t.Fatal(err)
	}
	prove := 0
	for i, line := range w.Log {
		if strings.Contains(line, ": prove begin") {
			prove = i + 1
		}
	}
	if err := start.migrate(p, text, sim.Fault{At: prove, How: "after"}); err == nil {
		t.Fatal("not cut")
	}
	root := p.Boot.Root
	initrdName, kernel := "boot/initrd.img-"+sim.Release, "boot/vmlinuz-"+sim.Release
	var array string
	for _, a := range p.Target.Arrays() {
		if a.Ref == p.Boot.Volume {
			array = a.Ref.ID()
		}
	}
	edit := func(name string, change func(string) string) func(*world) {
		return func(w *world) {
			f := w.Trees[root][name]
			if f == nil {
				t.Fatalf("%s is not there", name)
			}
			next := change(string(f.Data))
			if next == string(f.Data) {
				t.Fatalf("%s did not change", name)
			}
			w.Trees[root][name] = &fstest.MapFile{Data: []byte(next), Mode: f.Mode}
		}
	}
	// custom is a kernel that was never given an initrd.
	custom := func(release string) func(*world) {
		return func(w *world) {
			w.Trees[root]["boot/vmlinuz-"+release] = &fstest.MapFile{Data: sim.KernelImage(release)}
			w.Trees[root]["usr/lib/modules/"+release+"/modules.dep"] = &fstest.MapFile{}
		}
	}
	swap := func(old, new string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, new) }
	}
	remove := func(name string) func(*world) { return func(w *world) { delete(w.Trees[root], name) } }
	whole := func() map[string]string {
		var uuids string
		for _, a := range p.Target.Arrays() {
			uuids += "ARRAY " + a.MD.Path() + " UUID=" + a.Ref.ID() + "\n"
		}
		dir := "usr/lib/modules/" + sim.Release + "/"
		return map[string]string{"init": "#!/bin/sh", "sbin/mdadm": "ELF", "lib/udev/rules.d/64-md-raid-assembly.rules": "#", "scripts/local-block/mdadm": "mdadm --run",
			dir + "md-mod.ko": "m", dir + "raid1.ko": "m", dir + "ext4.ko": "m", dir + "virtio_blk.ko": "m", dir + "virtio_pci.ko": "m",
			"etc/mdadm/mdadm.conf": uuids, "conf/conf.d/resume": "RESUME=none"}
	}
	inside := func(change func(map[string]string)) func(*world) {
		return func(w *world) {
			files := whole()
			change(files)
			img, err := sim.Archive(files)
			if err != nil {
				t.Fatal(err)
			}
			w.Trees[root][initrdName] = &fstest.MapFile{Data: img}
		}
	}
	core := func(prefix string, modules ...string) func(*world) {
		return func(w *world) { w.Disks[1].Write(sim.GRUBCore(2048, prefix, modules...), sim.MiB) }
	}
	prefix := "(mduuid/" + strings.ReplaceAll(array, ":", "") + ")/boot/grub"
	for name, c := range map[string]struct {
		want   []string
		break_ func(*world)
	}{
		"nothing":        {nil, func(*world) {}},
		"a whole initrd": {nil, inside(func(map[string]string) {})},
		"personality":    {[]string{"module raid1 is missing"}, inside(func(m map[string]string) { delete(m, "usr/lib/modules/"+sim.Release+"/raid1.ko") })},
		"md_mod":         {[]string{"module md_mod is missing"}, inside(func(m map[string]string) { delete(m, "usr/lib/modules/"+sim.Release+"/md-mod.ko") })},
		"driver":         {[]string{"virtio_blk", "missing"}, inside(func(m map[string]string) { delete(m, "usr/lib/modules/"+sim.Release+"/virtio_blk.ko") })},
		"mdadm":          {[]string{"sbin/mdadm"}, inside(func(m map[string]string) { delete(m, "sbin/mdadm") })},
		"mdadm.conf":     {[]string{"etc/mdadm/mdadm.conf"}, inside(func(m map[string]string) { delete(m, "etc/mdadm/mdadm.conf") })},
		"array not named": {[]string{"etc/mdadm/mdadm.conf does not contain", array}, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = strings.ReplaceAll(m["etc/mdadm/mdadm.conf"], array, "x")
		})},
		"DEVICE leaves it out": {[]string{initrdName, "DEVICE lines (/dev/sda*) leave out /dev/vdb4"}, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = "DEVICE /dev/sda*\n" + m["etc/mdadm/mdadm.conf"]
		})},
		"DEVICE has them all": {nil, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = "DEVICE /dev/vd*\n" + m["etc/mdadm/mdadm.conf"]
		})},
		"a line by devices": {[]string{"line 1, which names no UUID, may match array " + array}, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = "ARRAY /dev/md0 devices=/dev/sda1,/dev/vdb4\n" + m["etc/mdadm/mdadm.conf"]
		})},
		"a line by other devices": {nil, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = "ARRAY /dev/md0 devices=/dev/sdc1\nARRAY /dev/md1 UUID=deadbeef:0:0:1\n" + m["etc/mdadm/mdadm.conf"]
		})},
		"one name twice": {[]string{initrdName, "line 1 and line 2 give two arrays one device name, /dev/md/root"}, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = "ARRAY /dev/md/root UUID=deadbeef:00000000:00000000:00000001\n" + m["etc/mdadm/mdadm.conf"]
		})},
		"two lines of an array": {[]string{"is a second one for array"}, inside(func(m map[string]string) { m["etc/mdadm/mdadm.conf"] += m["etc/mdadm/mdadm.conf"] })},
		"an ignored array": {[]string{"makes mdadm ignore array", "etc/mdadm/mdadm.conf: line"}, edit("etc/mdadm/mdadm.conf", func(s string) string {
			return strings.Replace(s, "ARRAY /dev/md/root", "ARRAY <ignore>", 1)
		})},
		"only in a comment": {[]string{"no ARRAY line names array " + array}, inside(func(m map[string]string) {
			m["etc/mdadm/mdadm.conf"] = strings.ReplaceAll(m["etc/mdadm/mdadm.conf"], "ARRAY ", "#ARRAY ")
		})},
		"table cut short":        {[]string{"disk /dev/vdb: partition table is damaged: primary"}, func(w *world) { w.Disks[1].Write(make([]byte, 512), 512) }},
		"fstab with a slash":     {nil, edit("etc/fstab", swap(" /srv\t", " /srv/\t"))},
		"fstab by the disk's id": {[]string{"/etc/fstab: line", "/dev/disk/by-id/virtio-SER-vda-part4"}, edit("etc/fstab", swap("UUID="+p.Target.Swaps()[0].Ref.ID(), "/dev/disk/by-id/virtio-SER-vda-part4"))},
		"degraded start":         {[]string{"scripts/local-block/mdadm"}, inside(func(m map[string]string) { delete(m, "scripts/local-block/mdadm") })},
		"old resume":             {[]string{"conf/conf.d/resume", sim.OldSwap}, inside(func(m map[string]string) { m["conf/conf.d/resume"] = "RESUME=UUID=" + sim.OldSwap })},
		"other kernel": {[]string{"no modules of kernel " + sim.Release}, inside(func(m map[string]string) {
			for n, s := range m {
				if strings.HasSuffix(n, ".ko") {
					delete(m, n)
					m[strings.Replace(n, sim.Release, "6.1.0-1-amd64", 1)] = s
				}
			}
		})},
		"no initrd":          {[]string{initrdName}, remove(initrdName)},
		"cut initrd":         {[]string{initrdName}, edit(initrdName, func(s string) string { return s[:len(s)/2] })},
		"no kernel":          {[]string{"vmlinuz"}, remove(kernel)},
		"not a kernel":       {[]string{kernel}, edit(kernel, func(s string) string { return "text" })},
		"no modules":         {[]string{"no modules of its release"}, remove("usr/lib/modules/" + sim.Release + "/modules.dep")},
		"no fstab":           {[]string{"/etc/fstab"}, remove("etc/fstab")},
		"fstab old swap":     {[]string{"/etc/fstab: line", sim.OldSwap}, edit("etc/fstab", swap(p.Target.Swaps()[0].Ref.ID(), sim.OldSwap))},
		"fstab without root": {[]string{"/etc/fstab: /", root}, edit("etc/fstab", swap("UUID="+root, "/dev/vda2"))},
		"fstab without srv":  {[]string{"/etc/fstab: /srv"}, edit("etc/fstab", swap(" /srv", " /other"))},
		"no grub.cfg":        {[]string{"grub.cfg"}, remove("boot/grub/grub.cfg")},
		"old in grub.cfg":    {[]string{"boot/grub/grub.cfg", "still names", sim.OldRoot}, edit("boot/grub/grub.cfg", func(s string) string { return s + "\necho " + sim.OldRoot + "\n" })},
		"history in grub.cfg": {nil, edit("boot/grub/grub.cfg", func(s string) string {
			return s + "\n# root was " + sim.OldRoot + "\ntrue # LABEL=rootfs\n"
		})},
		"old label in grub.cfg":  {[]string{"boot/grub/grub.cfg", "still names LABEL=rootfs"}, edit("boot/grub/grub.cfg", func(s string) string { return s + "\nsearch --no-floppy --set=root --label rootfs\n" })},
		"a custom entry's file":  {nil, edit("boot/grub/grub.cfg", func(s string) string { return s + "menuentry x {\nlinux /boot/vmlinuz-4 root=UUID=" + root + "\n}\n" })},
		"root by a link":         {nil, edit("boot/grub/grub.cfg", swap("root=UUID="+root, "root=/dev/disk/by-uuid/"+strings.ToUpper(root)))},
		"root quoted":            {nil, edit("boot/grub/grub.cfg", swap("root=UUID="+root, "\"root=UUID="+root+"\""))},
		"root by the array":      {nil, edit("boot/grub/grub.cfg", swap("root=UUID="+root, "root=/dev/md/root"))},
		"root by partition name": {[]string{"has root=PARTLABEL=root, planned UUID"}, edit("boot/grub/grub.cfg", swap("root=UUID="+root, "root=PARTLABEL=root"))},
		"root by number":         {[]string{"has root=9:0, planned UUID"}, edit("boot/grub/grub.cfg", swap("root=UUID="+root, "root=9:0"))},
		"fstab by links":         {nil, edit("etc/fstab", swap("UUID="+root, "/dev/disk/by-uuid/"+root))},
		"fstab by old label":     {[]string{"/etc/fstab: line", sim.OldRoot, "by-label/rootfs"}, edit("etc/fstab", func(s string) string { return s + "/dev/disk/by-label/rootfs /x ext4 nofail 0 0\n" })},
		"an entry put aside": {nil, func(w *world) {
			w.Trees[root]["boot/loader/entries/d.conf.bak"] = &fstest.MapFile{Data: []byte("options root=UUID=" + sim.OldRoot + "\n")}
		}},
		"an entry": {[]string{"boot/loader/entries/d.conf", "still names " + sim.OldRoot}, func(w *world) {
			w.Trees[root]["boot/loader/entries/d.conf"] = &fstest.MapFile{Data: []byte("# was UUID=" + sim.OldSwap + "\noptions root=UUID=" + sim.OldRoot + "\n")}
		}},
		"root by node":       {[]string{"grub.cfg", "root=UUID=" + root}, edit("boot/grub/grub.cfg", swap("UUID="+root, "/dev/md0"))},
		"root by label":      {[]string{"has root=LABEL=rootfs"}, edit("boot/grub/grub.cfg", swap(" quiet", " root=LABEL=rootfs quiet"))},
		"entry's kernel":     {[]string{"vmlinuz-5"}, edit("boot/grub/grub.cfg", swap("vmlinuz-"+sim.Release, "vmlinuz-5"))},
		"cut grub.cfg":       {[]string{"grub.cfg"}, edit("boot/grub/grub.cfg", func(s string) string { return s[:strings.Index(s, "initrd")] })},
		"default/grub":       {[]string{"etc/default/grub", sim.OldSwap}, edit("etc/default/grub", func(s string) string { return s + "X=" + sim.OldSwap })},
		"partition GUID":     {[]string{"etc/default/grub", "aaaaaaaa-0000-4000-8000-000000000002"}, edit("etc/default/grub", func(s string) string { return s + "X=PARTUUID=AAAAAAAA-0000-4000-8000-000000000002" })},
		"core without md":    {[]string{"mdraid1x missing from GRUB's core image"}, core(prefix, "biosdisk", "part_gpt", "ext2", "diskfilter")},
		"core without ext2":  {[]string{"ext2 missing from GRUB's core image"}, core(prefix, "biosdisk", "part_gpt", "mdraid1x", "diskfilter")},
		"core's prefix":      {[]string{"looks for its files in (hd0,gpt2)/boot/grub"}, core("(hd0,gpt2)/boot/grub", "part_gpt", "mdraid1x", "ext2", "diskfilter")},
		"core is damaged":    {[]string{"disk /dev/vdb"}, func(w *world) { w.Disks[1].Write(make([]byte, 400), sim.MiB+700) }},
		"no init":            {[]string{"init: "}, inside(func(m map[string]string) { delete(m, "init") })},
		"old node in conf":   {[]string{"conf/param.conf", "/dev/vda4"}, inside(func(m map[string]string) { m["conf/param.conf"] = "RESUME=/dev/vda4\n" })},
		"history in conf":    {nil, inside(func(m map[string]string) { m["conf/param.conf"] = "# RESUME=/dev/vda4\nX=/dev/vda44\n" })},
		"no system init":     {[]string{"init", "/sbin/init"}, remove("usr/sbin/init")},
		"init leads nowhere": {[]string{"init", "/sbin/init"}, remove("usr/lib/systemd/systemd")},
		"init not executable": {[]string{"not executable (mode 0644)"}, func(w *world) {
			w.Trees[root]["usr/lib/systemd/systemd"] = &fstest.MapFile{Data: sim.Program(""), Mode: 0o644}
		}},
		"init is a directory": {[]string{"/usr/lib/systemd/systemd is not a regular file"}, func(w *world) {
			w.Trees[root]["usr/lib/systemd/systemd"] = &fstest.MapFile{Data: sim.Program(""), Mode: fs.ModeDir | 0o755}
		}},
		"init's interpreter":      {[]string{"init", "/bin/zsh"}, edit("usr/lib/systemd/systemd", func(string) string { return "#!/bin/zsh\n" })},
		"comment in default/grub": {nil, edit("etc/default/grub", func(s string) string { return s + "  # root was UUID=" + sim.OldRoot + "\n" })},
		"a script switched off": {nil, func(w *world) {
			w.Trees[root]["etc/grub.d/40_old"] = &fstest.MapFile{Data: []byte("root=/dev/vda2"), Mode: 0o644}
		}},
		"a script": {[]string{"etc/grub.d/40_old", "/dev/vda2"}, func(w *world) {
			w.Trees[root]["etc/grub.d/40_old"] = &fstest.MapFile{Data: []byte("root=/dev/vda2"), Mode: 0o755}
		}},
		"a setting put aside": {nil, func(w *world) {
			w.Trees[root]["etc/default/grub.d/x.dpkg-old"] = &fstest.MapFile{Data: []byte("X=" + sim.OldRoot)}
		}},
		"behind a link": {[]string{"etc/default/grub", "/dev/vda2"}, func(w *world) {
			w.Trees[root]["data/grub"] = &fstest.MapFile{Data: []byte("GRUB_DEVICE=/dev/vda2\n")}
			w.Trees[root]["etc/default/grub"] = &fstest.MapFile{Data: []byte("/data/grub"), Mode: fs.ModeSymlink | 0o777}
		}},
		"node in default/grub": {[]string{"etc/default/grub", "/dev/vda2"}, edit("etc/default/grub", func(s string) string { return s + "GRUB_DEVICE=/dev/vda2\n" })},
		"other system, last": {nil, edit("boot/grub/grub.cfg", func(s string) string {
			return s + "menuentry 'other' {\n\tsearch --fs-uuid --set=root 99999999-9999-4999-8999-999999999999\n\tlinux /vmlinuz root=/dev/sdx1\n}\n"
		})},
		"other system, first": {[]string{`entry "other" is booted by default`, `root=/dev/sdx1`}, edit("boot/grub/grub.cfg", func(s string) string {
			return "menuentry 'other' {\n\tsearch --fs-uuid --set=root 99999999-9999-4999-8999-999999999999\n\tlinux /vmlinuz root=/dev/sdx1\n}\n" + s
		})},
		"memtest": {nil, edit("boot/grub/grub.cfg", func(s string) string {
			return s + "menuentry 'memtest' {\n\tlinux16 /boot/vmlinuz-" + sim.Release + "\n}\n"
		})},
		"memtest by default": {[]string{`entry "memtest" is booted by default`}, func(w *world) {
			edit("boot/grub/grub.cfg", func(s string) string {
				return strings.Replace(s, `default="0"`, `default="${saved_entry}"`, 1) + "menuentry 'memtest' {\n\tlinux16 /boot/vmlinuz-" + sim.Release + "\n}\n"
			})(w)
			env := boot.NewGrubenv()
			if err := env.Set("saved_entry", "memtest"); err != nil {
				t.Fatal(err)
			}
			w.Trees[root]["boot/grub/grubenv"] = &fstest.MapFile{Data: env.Bytes()}
		}},
		"no initrd by default": {[]string{"is booted by default", "and has no initrd"}, edit("boot/grub/grub.cfg", func(s string) string { return s[:strings.Index(s, "\tinitrd")] + s[strings.Index(s, "}\nif [ -f"):] })},
		"a kernel left over": {nil, func(w *world) {
			w.Trees[root]["boot/vmlinuz-5.10.0-1-amd64"] = &fstest.MapFile{Data: sim.KernelImage("5.10.0-1-amd64")}
		}},
		"a kernel of one's own": {nil, custom("5.10.0-1-amd64")},
		"one's own by default": {[]string{"the initrd of its kernel /boot/vmlinuz-5.10.0-1-amd64 was not proved"}, func(w *world) {
			custom("5.10.0-1-amd64")(w)
			edit("boot/grub/grub.cfg", func(s string) string {
				return strings.Replace(s, "linux\t/boot/vmlinuz-"+sim.Release, "linux\t/boot/vmlinuz-5.10.0-1-amd64", 1)
			})(w)
		}},
		"no normal.mod":    {[]string{"/boot/grub/i386-pc/normal.mod"}, remove("boot/grub/i386-pc/normal.mod")},
		"core's directory": {[]string{"looks for its files in", prefix + "2"}, core(prefix+"2", "part_gpt", "mdraid1x", "ext2", "diskfilter")},
		"core outside": {[]string{"core image is at sector"}, func(w *world) {
			w.Disks[1].Write(sim.GRUBBootSector(40)[:440], 0)
			w.Disks[1].Write(sim.GRUBCore(40, prefix, "part_gpt", "mdraid1x", "ext2", "diskfilter"), 40*512)
		}},
		"no boot sector": {[]string{"disk /dev/vdb: boot sector"}, func(w *world) { w.Disks[1].Write(make([]byte, 400), 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := start.clone(t)
			// The stages before it have run: prove alone is what is asked.
			w.Boot()
			e := w.env(p, text)
			e.Machine = w
			p := *p
			p.Phases = []plan.Phase{{Where: plan.InImage, By: plan.ByBoot, Stages: []string{"reveal", "check", "prove"}}}
			e.Plan = &p
			c.break_(w)
			err := Run(context.Background(), e)
			if len(c.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("not found")
			}
			for _, s := range c.want {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q is not in: %v", s, err)
				}
			}
		})
	}
}

func TestNeedsAreOfTheFamily(t *testing.T) {
	if _, err := distro.Of(&plan.Plan{Machine: plan.Host{Family: "arch", Initrd: "mkinitcpio"}}); err == nil || !strings.Contains(err.Error(), "arch with mkinitcpio") {
		t.Errorf("%v", err)
	}
}

// TestUnpacks: what the kernel drops is found, and microcode without directories is passed.
func TestUnpacks(t *testing.T) {
	newc := func(name string, mode uint32) string {
		h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(name)+1, 0) + name + "\x00"
		return h + strings.Repeat("\x00", (4-len(h)%4)%4)
	}
	const file, dir = cpio.ModeRegular | 0o755, cpio.ModeDir | 0o755
	for _, c := range []struct {
		want  string
		image string
	}{
		{"", newc("kernel/x86/microcode/GenuineIntel.bin", file) + newc("init", file)},
		{"", newc("sbin", dir) + newc("sbin/mdadm", file) + newc("init", file)},
		{"leave out sbin/mdadm", newc("sbin/mdadm", file) + newc("sbin", dir) + newc("init", file)},
		{"not an executable file", newc("init", cpio.ModeRegular|0o644)},
		{"not an executable file", newc("init", dir)},
		{"init", newc("sbin", dir)},
	} {
		a, err := cpio.Index(strings.NewReader(c.image), cpio.IndexOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := unpacks(a); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestCoreDrivers(t *testing.T) {
	root := sim.Files(map[string]string{"sys/module/nvme/initstate": "live\n", "sys/module/pcieportdrv/uevent": ""})
	got := coreDrivers(root, []string{"nvme", "pcieportdrv", "pcie-portdrv", "absent"})
	if len(got) != 1 || !got["pcieportdrv"] {
		t.Errorf("%v", got)
	}
	if got := coreDrivers(nil, []string{"nvme"}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
