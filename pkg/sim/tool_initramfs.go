package sim

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/machine"
)

// updateInitramfs makes an initrd a kernel, from what the tree's configuration says. Half done, it leaves the last one cut.
func (m *Machine) updateInitramfs(root string, torn bool) error {
	in := m.Below(root)
	if _, err := fs.Stat(in, "proc"); err != nil {
		return fmt.Errorf("update-initramfs: %w", err)
	}
	if f := in["etc/initramfs-tools/fails"]; f != nil {
		return &machine.ExecError{Argv: []string{"update-initramfs"}, Code: 1, Stderr: f.Data}
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
		m.store(root, strings.Replace(k, "vmlinuz", "initrd.img", 1), img)
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
				for _, mod := range words[1:] {
					files["usr/lib/modules/"+rel+"/kernel/drivers/"+mod+".ko.xz"] = "m"
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
	return Archive(files)
}

// Archive is an initrd of files.
func Archive(files map[string]string) ([]byte, error) {
	var es []cpio.Entry
	for n, s := range files {
		es = append(es, cpio.Entry{Name: n, Mode: cpio.ModeRegular | 0o755, Size: int64(len(s)), Body: strings.NewReader(s)})
	}
	var b bytes.Buffer
	err := cpio.WriteImage(&b, es, cpio.ImageOptions{Method: cpio.Gzip})
	return b.Bytes(), err
}
