package sim

import (
	"io/fs"
	"path"
	"strings"
	"testing/fstest"
)

// Loader is what dynamic programs ask to be loaded by.
const Loader = "/lib64/ld-linux-x86-64.so.2"

func addDir(root fstest.MapFS, name string) {
	for d := name; d != "."; d = path.Dir(d) {
		if root[d] == nil {
			root[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
	}
}

func addFile(root fstest.MapFS, name string, mode fs.FileMode, data []byte) {
	addDir(root, path.Dir(name))
	root[name] = &fstest.MapFile{Data: data, Mode: mode}
}

func addLink(root fstest.MapFS, name, to string) {
	root[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// addPrograms adds systemd and what the system's tools need to run.
func addPrograms(root fstest.MapFS) {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		addLink(root, name, "usr/"+name)
	}
	addFile(root, "usr/lib/systemd/systemd", 0o755, Program(""))
	addLink(root, "usr/sbin/init", "/lib/systemd/systemd") // absolute: it leads nowhere from the initramfs
	const libs = "usr/lib/x86_64-linux-gnu/"
	addLink(root, "usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-2.36.so")
	addFile(root, libs+"ld-2.36.so", 0o755, Program(""))
	addFile(root, libs+"libc.so.6", 0o755, Program("", "ld-linux-x86-64.so.2"))
	addLink(root, libs+"libext2fs.so.2", "libext2fs.so.2.4")
	addFile(root, libs+"libext2fs.so.2.4", 0o644, Program("", "libc.so.6"))
	for _, name := range []string{"sbin/mke2fs", "sbin/e2fsck", "sbin/tune2fs", "sbin/resize2fs", "sbin/mkswap", "sbin/mdadm", "sbin/mdmon", "sbin/update-initramfs", "bin/dash",
		"sbin/mkinitramfs", "bin/linux-version", "bin/cpio", "sbin/depmod", "sbin/modprobe", "bin/ldd", "sbin/grub-install", "sbin/update-grub", "sbin/grub-probe", "bin/grub-script-check"} {
		addFile(root, "usr/"+name, 0o755, Program(Loader, "libext2fs.so.2", "libc.so.6"))
	}
	addLink(root, "usr/bin/sh", "dash")
}

// addModules adds the kernel's modules and their tables.
func addModules(root fstest.MapFS) {
	dir := "usr/lib/modules/" + Release + "/"
	tables := map[string]string{
		"modules.alias":   "alias fs-ext4 ext4\nalias crypto-crc32c crc32c_generic\nalias md-personality-3 raid1\n",
		"modules.softdep": "# comment\nsoftdep ext4 pre: crc32c_generic\n",
		"modules.builtin": "kernel/fs/xfs/xfs.ko\n",
		"modules.order":   "not taken\n",
	}
	for _, m := range []struct{ file, deps string }{
		{"kernel/drivers/block/virtio_blk.ko", "kernel/drivers/virtio/virtio.ko"},
		{"kernel/drivers/virtio/virtio_pci.ko", "kernel/drivers/virtio/virtio.ko"},
		{"kernel/drivers/virtio/virtio.ko", ""},
		{"kernel/drivers/md/md-mod.ko", ""},
		{"kernel/drivers/md/raid1.ko", "kernel/drivers/md/md-mod.ko"},
		{"kernel/drivers/md/raid10.ko", "kernel/drivers/md/md-mod.ko"},
		{"kernel/drivers/md/raid456.ko", "kernel/drivers/md/md-mod.ko"},
		{"kernel/fs/ext4/ext4.ko", "kernel/fs/jbd2/jbd2.ko"},
		{"kernel/fs/jbd2/jbd2.ko", ""},
		{"kernel/crypto/crc32c_generic.ko", ""},
	} {
		addFile(root, dir+m.file, 0o644, Module(Release))
		tables["modules.dep"] += strings.TrimSpace(m.file+": "+m.deps) + "\n"
	}
	for name, text := range tables {
		addFile(root, dir+name, 0o644, []byte(text))
	}
}
