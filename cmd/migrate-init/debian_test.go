package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/gpt"
)

// The made-up machine: a virtual machine with Debian, GRUB on BIOS, one disk with root and swap, and a second one, empty.
const (
	release  = "6.1.0-18-amd64"
	rootUUID = "11111111-1111-4111-8111-111111111111"
	swapUUID = "33333333-3333-4333-8333-333333333333"
	diskSize = 4096 * mib
)

const grubCfg = `set prefix=($root)/boot/grub
if [ -s $prefix/grubenv ]; then
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
	linux	/boot/vmlinuz-` + release + ` root=UUID=` + rootUUID + ` ro console=ttyS0
	initrd	/boot/initrd.img-` + release + `
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`

func debianFiles() map[string]string {
	env := boot.NewGrubenv()
	files := map[string]string{
		"etc/machine-id":                     "0123456789abcdef0123456789abcdef\n",
		"etc/os-release":                     "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
		"etc/hostname":                       "host1\n",
		"etc/fstab":                          "# static file system information\nUUID=" + rootUUID + " / ext4 errors=remount-ro 0 1\nUUID=" + swapUUID + " none swap sw 0 0\n",
		"etc/default/grub":                   "GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX=\"console=ttyS0\"\n",
		"etc/initramfs-tools/conf.d/resume":  "RESUME=UUID=" + swapUUID + "\n",
		"etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
		"etc/mdadm/mdadm.conf":               "HOMEHOST <system>\n",
		"boot/grub/grub.cfg":                 grubCfg,
		"boot/grub/grubenv":                  string(env.Bytes()),
		"boot/vmlinuz-" + release:            kernelImage(release),
		"boot/initrd.img-" + release:         "070701",
		"usr/sbin/update-initramfs":          "#!/bin/sh\n",
		"usr/lib/systemd/systemd":            program(),
		"usr/sbin/migrate-init":              program(),
		"usr/sbin/mke2fs":                    program(),
		"usr/sbin/e2fsck":                    program(),
		"usr/sbin/mkswap":                    program(),
		"etc/mke2fs.conf":                    "[defaults]\n",
		"var/cache/debconf/config.dat":       "Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/vda\nOwners: grub-pc\n\n",
		"proc/sys/kernel/hostname":           "host1\n",
		"proc/sys/kernel/osrelease":          release + "\n",
		"proc/sys/kernel/random/boot_id":     "b0000000-0000-4000-8000-000000000001\n",
		"proc/meminfo":                       "MemTotal:        2048000 kB\n",
		"proc/cmdline":                       "BOOT_IMAGE=/boot/vmlinuz-" + release + " root=UUID=" + rootUUID + " ro console=tty0 console=ttyS0,115200\n",
		"proc/swaps":                         "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vda3                               partition\t524284\t\t0\t\t-2\n",
		"proc/self/mountinfo":                mountLine(1, "254:2", "/", "ext4", "/dev/vda2") + "22 1 0:20 / /proc rw - proc proc rw\n",
		"sys/class/dmi/id/product_uuid":      "aaaaaaaa-0000-0000-0000-000000000001\n",
	}
	for _, m := range []string{"normal", "part_gpt", "part_msdos", "diskfilter", "mdraid1x", "ext2"} {
		files["boot/grub/i386-pc/"+m+".mod"] = "mod"
	}
	var status strings.Builder
	for _, p := range []string{"mdadm", "e2fsprogs", "grub-pc", "initramfs-tools"} {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nVersion: 1\n\n", p)
	}
	files["var/lib/dpkg/status"] = status.String()
	mods := "usr/lib/modules/" + release + "/"
	var dep strings.Builder
	for _, m := range []struct{ file, deps string }{
		{"kernel/drivers/block/virtio_blk.ko", "kernel/drivers/virtio/virtio.ko"},
		{"kernel/drivers/virtio/virtio_pci.ko", "kernel/drivers/virtio/virtio.ko"},
		{"kernel/drivers/virtio/virtio.ko", ""},
		{"kernel/drivers/md/md-mod.ko", ""},
		{"kernel/drivers/md/raid1.ko", "kernel/drivers/md/md-mod.ko"},
		{"kernel/fs/ext4/ext4.ko", ""},
		{"kernel/crypto/crc32c_generic.ko", ""},
	} {
		files[mods+m.file] = moduleFile(release)
		dep.WriteString(strings.TrimSpace(m.file+": "+m.deps) + "\n")
	}
	files[mods+"modules.dep"] = dep.String()
	files[mods+"modules.alias"] = "alias fs-ext4 ext4\nalias crypto-crc32c crc32c_generic\n"
	files[mods+"modules.softdep"] = ""
	files[mods+"modules.builtin"] = ""
	files[mods+"modules.order"] = ""
	return files
}

func mountLine(id int, dev, at, typ, source string) string {
	return fmt.Sprintf("%d 1 %s / %s rw,relatime - %s %s rw\n", 30+id, dev, at, typ, source)
}

func put(root, name, data string, mode fs.FileMode) error {
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, []byte(data), mode)
}

// link makes a symbolic link, relative as those of sysfs are, so that it stays inside of the made-up root.
func link(root, name, to string) error {
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	rel, err := filepath.Rel(filepath.Dir(p), filepath.Join(root, to))
	if err != nil {
		return err
	}
	return os.Symlink(rel, p)
}

func buildWorld(dir string) error {
	root := filepath.Join(dir, "root")
	for n, data := range debianFiles() {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(n, "usr/sbin/") {
			mode = 0o755
		}
		if err := put(root, n, data, mode); err != nil {
			return err
		}
	}
	for _, l := range []string{"bin", "sbin", "lib"} {
		if err := link(root, l, "usr/"+l); err != nil {
			return err
		}
	}
	for _, m := range []string{"virtio_blk", "virtio_pci", "ext4"} {
		if err := put(root, "sys/module/"+m+"/initstate", "live\n", 0o444); err != nil {
			return err
		}
	}
	if err := put(dir, "uid", "0\n", 0o644); err != nil {
		return err
	}
	if err := put(dir, "unused", "-1\n", 0o644); err != nil {
		return err
	}
	if err := put(dir, "free", strconv.FormatInt(1024*mib, 10)+"\n", 0o644); err != nil {
		return err
	}
	for i, d := range []struct{ name, serial string }{{"vda", "OLD1"}, {"vdb", "NEW1"}} {
		if err := addDisk(dir, d.name, d.serial, diskSize, i); err != nil {
			return err
		}
	}
	old := gpt.Table{Scheme: gpt.SchemeGPT, ID: "aaaaaaaa-0000-4000-8000-00000000000a", SectorSize: 512}
	for i, p := range []struct {
		kind        string
		start, size int64
	}{{"bios_grub", mib, mib}, {"linux", 2 * mib, 3072 * mib}, {"swap", 3074 * mib, 512 * mib}} {
		typ, err := gpt.TypeOf(gpt.SchemeGPT, p.kind)
		if err != nil {
			return err
		}
		old.Partitions = append(old.Partitions, gpt.Partition{Number: i + 1, Type: typ, ID: fmt.Sprintf("aaaaaaaa-0000-4000-8000-0000000000%02d", i+1), Start: p.start, Size: p.size})
	}
	if err := addTable(dir, "vda", diskSize, 0, old); err != nil {
		return err
	}
	if err := putAt(dir, "vda2", 1024, extSuper(rootUUID, 3072*mib, 3)); err != nil {
		return err
	}
	return putAt(dir, "vda3", 0, swapHeader(swapUUID, 512*mib, "SWAPSPACE2"))
}

// busOf is where the nth disk is attached.
func busOf(n int) string {
	return fmt.Sprintf("sys/devices/pci0000:00/0000:00:%02x.0/virtio%d", 4+n, n)
}

// addBlock makes a block device's directory in sysfs and the links to it.
func addBlock(root, at, name string, attrs map[string]string) error {
	for n, v := range attrs {
		if err := put(root, filepath.Join(at, n), v+"\n", 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, at, "holders"), 0o755); err != nil {
		return err
	}
	if err := put(root, "dev/"+name, "", 0o600); err != nil {
		return err
	}
	return link(root, "sys/class/block/"+name, at)
}

// addDisk adds an empty disk.
func addDisk(dir, name, serial string, size int64, n int) error {
	root := filepath.Join(dir, "root")
	file := filepath.Join(dir, "disks", name)
	if err := put(dir, "disks/"+name, "", 0o600); err != nil {
		return err
	}
	if err := os.Truncate(file, size); err != nil {
		return err
	}
	at := busOf(n) + "/block/" + name
	attrs := map[string]string{"size": strconv.FormatInt(size/512, 10), "ro": "0", "dev": fmt.Sprintf("254:%d", n*16), "removable": "0",
		"queue/logical_block_size": "512", "queue/rotational": "1"}
	if serial != "" {
		attrs["serial"] = serial
		if err := link(root, "dev/disk/by-id/virtio-"+serial, "dev/"+name); err != nil {
			return err
		}
	}
	if err := addBlock(root, at, name, attrs); err != nil {
		return err
	}
	for _, l := range [][2]string{
		{"sys/block/" + name, at}, {at + "/device", busOf(n)},
		{busOf(n) + "/driver", "sys/bus/virtio/drivers/virtio_blk"},
		{filepath.Dir(busOf(n)) + "/driver", "sys/bus/pci/drivers/virtio-pci"},
	} {
		if err := link(root, l[0], l[1]); err != nil {
			return err
		}
	}
	if n > 0 {
		return nil
	}
	if err := link(root, "sys/bus/virtio/drivers/virtio_blk/module", "sys/module/virtio_blk"); err != nil {
		return err
	}
	return link(root, "sys/bus/pci/drivers/virtio-pci/module", "sys/module/virtio_pci")
}

// addTable writes a table to the nth disk and lets the kernel see its partitions.
func addTable(dir, disk string, size int64, n int, t gpt.Table) error {
	if err := putTable(dir, disk, size, t); err != nil {
		return err
	}
	for _, p := range t.Partitions {
		name := disk + strconv.Itoa(p.Number)
		attrs := map[string]string{"size": strconv.FormatInt(p.Size/512, 10), "start": strconv.FormatInt(p.Start/512, 10), "partition": strconv.Itoa(p.Number),
			"ro": "0", "dev": fmt.Sprintf("254:%d", n*16+p.Number)}
		if err := addBlock(filepath.Join(dir, "root"), busOf(n)+"/block/"+disk+"/"+name, name, attrs); err != nil {
			return err
		}
	}
	return nil
}
