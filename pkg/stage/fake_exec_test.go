package stage

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing/fstest"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/machine"
)

// exec plays the programs of the image and of the system in the chroot.
func (w *world) exec(e machine.Exec, torn bool) error {
	arg := func(flag string) string {
		if i := indexOf(e.Argv, flag); i >= 0 && i+1 < len(e.Argv) {
			return e.Argv[i+1]
		}
		return ""
	}
	last := e.Argv[len(e.Argv)-1]
	switch path.Base(e.Argv[0]) {
	case "mke2fs":
		b := w.dev(last)
		if b == nil || w.mountOf(b) != "" {
			return fmt.Errorf("mke2fs %s: missing, or mounted", last)
		}
		id := arg("-U")
		if torn {
			return w.put(b, make([]byte, 512), 1024, e)
		}
		w.trees[id] = fstest.MapFS{}
		delete(w.loose, id)
		return w.put(b, extSuper(id, arg("-L"), b.size, 0), 1024, e)
	case "mkswap":
		b := w.dev(last)
		if b == nil {
			return fmt.Errorf("mkswap %s: %w", last, fs.ErrNotExist)
		}
		if torn {
			return w.put(b, make([]byte, 512), 1024, e)
		}
		return w.put(b, swapHead(arg("-U"), b.size), 0, e)
	case "tune2fs", "e2fsck", "resize2fs":
		return w.e2fs(e, last, torn)
	case "update-initramfs":
		return w.updateInitramfs(e.Root, torn)
	case "grub-install":
		return w.grubInstall(e.Root, last, torn)
	case "update-grub":
		return w.updateGRUB(e.Root, torn)
	}
	return fmt.Errorf("program %s: not known here", e.Argv[0])
}

// store is a program's write: in the page cache until somebody syncs the filesystem.
func (w *world) store(root, name string, data []byte) {
	tree, rel, _ := w.at(path.Join("/", root, name))
	w.loosen(tree, rel)
	for d := path.Dir(rel); d != "."; d = path.Dir(d) {
		if tree[d] == nil {
			tree[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
	}
	tree[rel] = &fstest.MapFile{Data: data, Mode: 0o644}
}

// updateInitramfs makes an initrd a kernel, from what the tree's configuration says. Half done, it leaves the last one cut.
func (w *world) updateInitramfs(root string, torn bool) error {
	in := w.below(root)
	if _, err := fs.Stat(in, "proc"); err != nil {
		return fmt.Errorf("update-initramfs: %w", err)
	}
	kernels, _ := fs.Glob(in, "boot/vmlinuz-*")
	for i, k := range kernels {
		rel, err := kmod.Release(in[k].Data)
		if err != nil {
			return err
		}
		img, err := initrd(rel, in)
		if err != nil {
			return err
		}
		if torn && i == len(kernels)-1 {
			img = img[:len(img)/2]
		}
		w.store(root, strings.Replace(k, "vmlinuz", "initrd.img", 1), img)
	}
	return nil
}

// initrd is one as initramfs-tools with mdadm's hook makes it.
func initrd(rel string, in fstest.MapFS) ([]byte, error) {
	files := map[string]string{"init": "#!/bin/sh\n", "sbin/mdadm": "ELF", "lib/udev/rules.d/64-md-raid-assembly.rules": "#", "scripts/local-block/mdadm": "mdadm -q --run /dev/md?*\n",
		"usr/lib/modules/" + rel + "/kernel/drivers/md/md-mod.ko": "m", "usr/lib/modules/" + rel + "/modules.builtin": "kernel/fs/ext4/ext4.ko\n"}
	if f := in["etc/initramfs-tools/hooks/migrate-init"]; f != nil {
		for line := range strings.Lines(string(f.Data)) {
			words := strings.Fields(line)
			if len(words) > 1 && (words[0] == "force_load" || words[0] == "manual_add_modules") {
				for _, m := range words[1:] {
					files["usr/lib/modules/"+rel+"/kernel/drivers/"+m+".ko.xz"] = "m"
				}
			}
		}
	}
	if f := in["etc/mdadm/mdadm.conf"]; f != nil {
		files["etc/mdadm/mdadm.conf"] = string(f.Data)
	}
	if f := in["etc/initramfs-tools/conf.d/resume"]; f != nil {
		files["conf/conf.d/resume"] = string(f.Data)
	}
	return archive(files)
}

func archive(files map[string]string) ([]byte, error) {
	var es []cpio.Entry
	for n, s := range files {
		es = append(es, cpio.Entry{Name: n, Mode: cpio.ModeRegular | 0o755, Size: int64(len(s)), Body: strings.NewReader(s)})
	}
	var b bytes.Buffer
	err := cpio.WriteImage(&b, es, cpio.ImageOptions{Method: cpio.Gzip})
	return b.Bytes(), err
}

// under gives the device that a directory's filesystem is on.
func (w *world) under(dir string) *bdev {
	best, dev := -1, (*bdev)(nil)
	for _, m := range w.mounts {
		if (m.dir == "/" || dir == m.dir || strings.HasPrefix(dir, m.dir+"/")) && len(m.dir) >= best {
			best, dev = len(m.dir), w.dev(m.src)
		}
	}
	return dev
}

func (w *world) grubInstall(root, disk string, torn bool) error {
	b, on := w.dev(disk), w.under(path.Join("/", root, "boot/grub"))
	if b == nil || on == nil {
		return fmt.Errorf("grub-install %s: no such disk, or /boot/grub is on none", disk)
	}
	a := w.arrays[on.name]
	if a == nil {
		return fmt.Errorf("grub-install: %s is no array", on.name)
	}
	w.guard(b, "grub-install")
	for _, m := range []string{"normal", "linux"} {
		w.store(root, "boot/grub/i386-pc/"+m+".mod", []byte("mod"))
	}
	return embedGRUB(b, "(mduuid/"+strings.ReplaceAll(a.uuid, ":", "")+")/boot/grub", torn)
}

// updateGRUB writes grub.cfg: by UUID only where /dev/disk/by-uuid has the link, as grub-mkconfig does.
func (w *world) updateGRUB(root string, torn bool) error {
	in := w.below(root)
	id := w.fsOn(w.under(path.Join("/", root)))
	dev := "/dev/" + w.under(path.Join("/", root)).name
	if in["dev/disk/by-uuid/"+id] != nil {
		dev = "UUID=" + id
	}
	if in["etc/default/grub.d/migrate-init.cfg"] == nil {
		dev = "UUID=" + oldRoot // os-prober finds the old system
	}
	cmdline := ""
	if f := in["etc/default/grub"]; f != nil {
		for line := range strings.Lines(string(f.Data)) {
			if v, ok := strings.CutPrefix(line, "GRUB_CMDLINE_LINUX="); ok {
				cmdline = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	cfg := grubCfg(dev, cmdline)
	if torn {
		cfg = cfg[:len(cfg)/3]
	}
	w.store(root, "boot/grub/grub.cfg", []byte(cfg))
	return nil
}

// halfway marks, in a tree, a filesystem whose checksums are rewritten in part. It is no file that anything else would look at.
const halfway = "\x00half"

// e2fs plays the tools that give a copy by blocks its identity. What was cut short while all metadata was rewritten is no
// filesystem to any of them.
func (w *world) e2fs(e machine.Exec, dev string, torn bool) error {
	b := w.dev(dev)
	if b == nil || w.mountOf(b) != "" {
		return fmt.Errorf("%s %s: missing, or mounted", e.Argv[0], dev)
	}
	tree := w.trees[w.fsOn(b)]
	if tree == nil {
		return fmt.Errorf("%s %s: no filesystem", e.Argv[0], dev)
	}
	if tree[halfway] != nil {
		return fmt.Errorf("%s %s: checksums do not match", e.Argv[0], dev)
	}
	if torn && e.Argv[0] == "tune2fs" {
		tree[halfway] = &fstest.MapFile{}
	}
	return nil
}
