package sim

import (
	"testing/fstest"

	"migrate-init/boot"
)

// What the made-up Debian is named by.
const (
	MiB      = int64(1) << 20
	Release  = "6.1.0-40-amd64"
	OldRoot  = "11111111-1111-4111-8111-111111111111"
	OldSrv   = "22222222-2222-4222-8222-222222222222"
	OldSwap  = "33333333-3333-4333-8333-333333333333"
	OldTable = "aaaaaaaa-0000-4000-8000-000000000000"
)

// GRUBConfig is the skeleton of Debian's: what reads grubenv and custom.cfg, and an entry.
func GRUBConfig(root, cmdline string) string {
	return `if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
	linux	/boot/vmlinuz-` + Release + ` root=` + root + ` ro ` + cmdline + ` quiet
	initrd	/boot/initrd.img-` + Release + `
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`
}

// DebianRoot is what the root filesystem holds: a merged /usr, GRUB, initramfs-tools, mdadm and systemd. fstab are its lines.
func DebianRoot(fstab string) fstest.MapFS {
	env := boot.NewGrubenv()
	files := map[string]string{
		"etc/fstab":                         "# /etc/fstab: static file system information.\n# / was on /dev/vda2 during installation\n" + fstab,
		"etc/hostname":                      "server\n",
		"etc/machine-id":                    "0123456789abcdef0123456789abcdef\n",
		"etc/os-release":                    "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n",
		"etc/mke2fs.conf":                   "[defaults]\n",
		"etc/default/grub":                  "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX=\"console=ttyS0 resume=UUID=" + OldSwap + "\"\n",
		"etc/initramfs-tools/conf.d/resume": "RESUME=UUID=" + OldSwap + "\n",
		"etc/systemd/system/x.service":      "",
		"boot/vmlinuz-" + Release:           string(KernelImage(Release)),
		"boot/initrd.img-" + Release:        "old initrd",
		"boot/grub/grub.cfg":                GRUBConfig("UUID="+OldRoot, "console=ttyS0"),
		"boot/grub/grubenv":                 string(env.Bytes()),
		"var/cache/debconf/config.dat":      "Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/disk/by-id/virtio-SER-vda\nOwners: grub-pc\n\n",
		"home/u/file":                       "kept",
	}
	for _, p := range []string{"mdadm", "e2fsprogs", "grub-pc", "initramfs-tools"} {
		files["var/lib/dpkg/status"] += "Package: " + p + "\nStatus: install ok installed\n\n"
	}
	for _, f := range []string{"normal.mod", "linux.mod", "part_gpt.mod", "part_msdos.mod", "diskfilter.mod", "mdraid1x.mod", "mdraid09.mod", "raid5rec.mod", "ext2.mod",
		"search.mod", "search_fs_uuid.mod", "test.mod", "loadenv.mod", "configfile.mod", "command.lst"} {
		files["boot/grub/i386-pc/"+f], files["usr/lib/grub/i386-pc/"+f] = "mod", "mod"
	}
	for _, f := range []string{"boot.img", "diskboot.img", "kernel.img", "lzma_decompress.img", "moddep.lst", "biosdisk.mod"} {
		files["usr/lib/grub/i386-pc/"+f] = "mod"
	}
	// What initramfs-tools and mdadm's hook read.
	files["boot/config-"+Release] = "CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n"
	files["etc/initramfs-tools/initramfs.conf"] = "MODULES=most\nBUSYBOX=auto\nCOMPRESS=zstd\n"
	files["etc/initramfs-tools/update-initramfs.conf"] = "update_initramfs=yes\nbackup_initramfs=no\n"
	files["usr/share/initramfs-tools/scripts/local-block/mdadm"] = "mdadm -q --run /dev/md?*\n"
	files["usr/lib/udev/rules.d/64-md-raid-assembly.rules"] = "#\n"
	root := Files(files)
	for name, text := range map[string]string{"usr/share/initramfs-tools/hooks/mdadm": "#!/bin/sh\n", "etc/grub.d/10_linux": "#!/bin/sh\n", "usr/sbin/grub-mkconfig": "#!/bin/sh\nfor x in ${sysconfdir}/default/grub.d/*.cfg\n"} {
		addFile(root, name, 0o755, []byte(text))
	}
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib/systemd", "usr/lib64", "dev", "proc", "sys", "run", "tmp", "mnt", "srv", "var/tmp", "etc/default/grub.d"} {
		addDir(root, d)
	}
	addPrograms(root)
	addModules(root)
	return root
}
