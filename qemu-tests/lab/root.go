package lab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Recipe says what the root filesystem is made of; its text is the cache key.
type Recipe struct {
	Name     string // in the cache, where a recipe's old roots are removed by it
	Suite    string
	Packages []string
	Preseed  []string // debconf selections
	Exclude  []string // dpkg path-exclude patterns
	ZFS      bool     // with the package zfs-modules, which the lab makes, and the component that has ZFS's programs
}

// rootFormat is raised when Root makes something else of the same recipe.
const rootFormat = "1"

// Debian12 is a small server as an administrator would have it: systemd, GRUB for BIOS by the grub-pc package with its
// install device recorded in debconf, Debian's cloud kernel, initramfs-tools and mdadm.
func Debian12() Recipe {
	return Recipe{
		Name: "debian", Suite: "bookworm",
		Packages: []string{
			"systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "util-linux", "e2fsprogs", "fdisk", "gdisk",
			"linux-image-cloud-amd64", "initramfs-tools", "zstd",
			// Without busybox initramfs-tools' mdadm script fails with "rm: not found".
			"busybox", "grub-pc", "mdadm", "acl", "attr", "libcap2-bin",
		},
		Preseed: []string{
			"mdadm mdadm/initrdstart string all",
			"grub-pc grub-pc/install_devices multiselect /dev/vda",
			"grub-pc grub-pc/install_devices_empty boolean false",
		},
		Exclude: []string{"/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"},
	}
}

// Fast is Debian12 with fewer kernel modules, for tests that boot or copy many times. It boots only in the lab.
func Fast() Recipe {
	r := Debian12()
	r.Name = "fast"
	for _, d := range []string{"net", "fs/btrfs", "fs/xfs", "fs/nfs", "fs/nfsd", "fs/ceph", "fs/smb", "fs/ocfs2", "fs/gfs2", "fs/f2fs", "fs/jfs", "fs/udf", "drivers/net", "drivers/gpu", "drivers/infiniband", "drivers/media", "drivers/usb", "drivers/scsi", "drivers/ata", "drivers/hid", "drivers/input", "drivers/video", "drivers/hv", "drivers/target", "drivers/iio"} {
		r.Exclude = append(r.Exclude, "/lib/modules/*/kernel/"+d+"/*", "/usr/lib/modules/*/kernel/"+d+"/*")
	}
	// 22 MB of hardware names, and translations of systemd's messages.
	r.Exclude = append(r.Exclude, "/lib/udev/hwdb.d/*", "/usr/lib/udev/hwdb.d/*", "/usr/lib/systemd/catalog/*.*.catalog", "/usr/share/zoneinfo/*")
	return r
}

// Layered is Fast with every tool and module that md, LVM, LUKS, xfs and btrfs need, and the modules of virtio-scsi. The
// source systems that have layers are made by it and of it (System).
func Layered() Recipe {
	r := Fast()
	r.Name = "layered"
	r.Packages = append(r.Packages, "lvm2", "cryptsetup-initramfs", "xfsprogs", "btrfs-progs")
	return r.with("fs/btrfs", "fs/xfs", "drivers/scsi")
}

// Generic is Fast with Debian's generic kernel, which knows real hardware: AHCI is not in the cloud kernel.
func Generic() Recipe {
	r := Fast()
	r.Name = "generic"
	r.Packages[slices.Index(r.Packages, "linux-image-cloud-amd64")] = "linux-image-amd64"
	// What the cloud kernel is made without and no test needs.
	for _, d := range []string{"sound", "drivers/bluetooth", "drivers/isdn", "drivers/staging", "drivers/mtd", "drivers/mmc",
		"drivers/firewire", "drivers/hwmon", "drivers/platform", "drivers/thunderbolt"} {
		r.Exclude = append(r.Exclude, "/lib/modules/*/kernel/"+d+"/*", "/usr/lib/modules/*/kernel/"+d+"/*")
	}
	return r.with("drivers/scsi", "drivers/ata")
}

// with takes directories of modules back out of what is excluded.
func (r Recipe) with(dirs ...string) Recipe {
	r.Exclude = slices.DeleteFunc(slices.Clone(r.Exclude), func(e string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasSuffix(e, "/kernel/"+d+"/*") })
	})
	return r
}

func (r Recipe) text() string {
	text := []string{rootFormat, r.Suite, strings.Join(r.Packages, " "), strings.Join(r.Preseed, "\n"), strings.Join(r.Exclude, "\n")}
	if r.ZFS {
		text = append(text, zfsScript)
	}
	return strings.Join(text, "\n")
}

// Root returns the path of the recipe's root as a zstd tarball, made by mmdebstrap from the mirror that this machine's apt
// is configured with.
func (l *Lab) Root(ctx context.Context, r Recipe) (string, error) {
	return l.cached(ctx, "root-"+r.Suite+"-"+r.Name+"-"+key(r.text())+".tar.zst", func(path string) error {
		return l.timed("root of "+r.Suite+" by mmdebstrap, once", func() error { return l.debootstrap(ctx, r, path) })
	})
}

func (l *Lab) debootstrap(ctx context.Context, r Recipe, path string) error {
	dir, err := os.MkdirTemp("", "lab-root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	preseed := filepath.Join(dir, "preseed")
	if err := os.WriteFile(preseed, []byte(strings.Join(r.Preseed, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	own, components := "", []string(nil)
	if r.ZFS {
		archive, err := l.zfsModules(ctx, r.Suite)
		if err != nil {
			return err
		}
		own, components = "deb [trusted=yes] copy://"+archive+" ./\n", []string{contrib}
	}
	// The suffix tells mmdebstrap what to make; the cache's temporary name has another.
	out := filepath.Join(filepath.Dir(path), filepath.Base(path)+".tar.zst")
	defer os.Remove(out)
	args := []string{"--format=tar", `--essential-hook=chroot "$1" debconf-set-selections < ` + preseed}
	for _, e := range r.Exclude {
		args = append(args, "--dpkgopt=path-exclude="+e)
	}
	if err := l.mmdebstrap(ctx, r.Suite, own, out, components, r.Packages, args...); err != nil {
		return err
	}
	return os.Rename(out, path)
}

// mmdebstrap makes a root of a suite in out. Own are lines of sources.list beside the mirror's, which has main and components.
func (l *Lab) mmdebstrap(ctx context.Context, suite, own, out string, components, packages []string, more ...string) error {
	sources, err := mirror(os.DirFS("/"), suite, components...)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lab-mmdebstrap-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(list, []byte(sources+own), 0o644); err != nil {
		return err
	}
	args := append([]string{"--mode=root", "--variant=minbase", "--skip=check/qemu",
		`--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Languages "none"`, "--dpkgopt=force-unsafe-io",
		"--include=" + strings.Join(packages, ","),
	}, more...)
	return command(ctx, []string{"TMPDIR=" + dir}, "mmdebstrap", append(args, suite, out, list)...)
}
