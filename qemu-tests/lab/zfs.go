package lab

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
)

//go:embed zfs.sh
var zfsScript string

// zfsBuilder is what the modules of ZFS are made in.
func zfsBuilder() []string {
	return []string{"linux-headers-cloud-amd64", "make", "gcc", "libc6-dev", "perl", "gawk", "file"}
}

// contrib is the component of Debian's archive that has ZFS.
const contrib = "contrib"

// ZFS is Fast with ZFS, made for its kernel, and what md and a second disk need. Debian has ZFS as source only, so that its
// modules are built once.
func ZFS() Recipe {
	r := Layered()
	r.Name, r.ZFS = "zfs", true
	var rest []string
	for _, p := range r.Packages {
		switch p {
		case "linux-image-cloud-amd64": // the one that the modules are for comes with them
		case "lvm2", "cryptsetup-initramfs", "xfsprogs", "btrfs-progs":
		default:
			rest = append(rest, p)
		}
	}
	r.Packages = append(rest, "zfs-modules", "zfsutils-linux", "zfs-initramfs")
	return r
}

// ZFSDebian is LayeredDebian with ZFS.
func ZFSDebian() DiskSpec {
	s := LayeredDebian()
	s.Root, s.Hostname = ZFS(), "zfs"
	s.ModuleList = []string{"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ext4", "raid1"}
	return s
}

// zfsModules returns a directory with the package of ZFS's modules, as an archive that apt reads.
func (l *Lab) zfsModules(ctx context.Context, suite string) (string, error) {
	return l.cached(ctx, "zfs-modules-"+suite+"-"+key(rootFormat, zfsScript)+".archive", func(path string) error {
		return l.timed("modules of ZFS, once", func() error {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			script := filepath.Join(path, "zfs.sh")
			if err := os.WriteFile(script, []byte(zfsScript), 0o644); err != nil {
				return err
			}
			defer os.Remove(script)
			return l.mmdebstrap(ctx, suite, "", "/dev/null", []string{contrib}, zfsBuilder(),
				"--format=null",
				"--customize-hook=copy-in "+script+" /tmp",
				`--customize-hook=chroot "$1" sh /tmp/zfs.sh`,
				"--customize-hook=copy-out /tmp/out/zfs-modules.deb /tmp/out/Packages "+path)
		})
	})
}
