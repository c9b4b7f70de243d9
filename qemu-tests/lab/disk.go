package lab

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"migrate-init/qemu-tests/lab/manifest"
)

//go:embed mkdisk.sh
var mkdisk string

// DiskSpec is a disk with an installed system: GPT with bios_grub, ext4 root and swap, booted by its own GRUB, everything
// by UUID, console on ttyS0 with root logged in.
type DiskSpec struct {
	Root     Recipe
	Size     int64 // bytes of the disk
	SwapMiB  int
	TailMiB  int // left free at the disk's end: room for a copy by blocks, which needs a target at least as large
	Hostname string
	Fixture  manifest.Size
	Cmdline  string // GRUB_CMDLINE_LINUX

	// MODULES and COMPRESSLEVEL of initramfs-tools; empty leaves Debian's most and 9 (zstd). "list" holds virtio and
	// raid1 and takes half of most's time in the guest.
	InitramfsModules  string
	InitramfsCompress string

	ModuleList []string // with MODULES=list; empty is what a plain disk or a RAID1 of virtio disks needs

	Mask []string // systemd units that are never started
}

// words let a guest exec three times faster and turn a panic into an exit.
// no_timer_check: on a busy host a guest can find that its timer does not work, and panics.
const words = "console=ttyS0 norandmaps mitigations=off no_timer_check panic=10"

// Debian is the disk of the scenarios that show the whole transcript: 2 GiB, a normal initrd.
func Debian() DiskSpec {
	return DiskSpec{Root: Debian12(), Size: 2 << 30, SwapMiB: 128, Hostname: "server", Cmdline: words,
		Fixture: manifest.Size{Files: 1500, Big: 40 << 20}}
}

// FastDebian is the same on a smaller root, with a small initrd that the guest rebuilds quickly.
func FastDebian() DiskSpec {
	return DiskSpec{Root: Fast(), Size: 1 << 30, SwapMiB: 32, Hostname: "fast", Cmdline: words,
		Fixture:          manifest.Size{Files: 200, Big: 8 << 20},
		InitramfsModules: "list", InitramfsCompress: "1",
		Mask: []string{"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
			"e2scrub_reap.service", "fstrim.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service",
			"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
			"modprobe@drm.service", "modprobe@fuse.service", "modprobe@efi_pstore.service", "systemd-pstore.service"}}
}

// LayeredDebian is FastDebian on 2 GiB with every tool and module that layers and other filesystems need: the source of
// tests whose targets have them, and what makes the disks of a System.
func LayeredDebian() DiskSpec {
	s := FastDebian()
	s.Root, s.Size, s.SwapMiB, s.Hostname = Layered(), 2<<30, 64, "layered"
	s.ModuleList = []string{"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "nvme", "ext4", "xfs", "btrfs", "raid0", "raid1", "raid10", "raid456",
		"dm_mod", "dm_crypt", "dm_raid", "dm_mirror", "dm_snapshot"}
	return s
}

// GenericDebian is FastDebian with the generic kernel, and Debian's own choice of modules in the initrd.
func GenericDebian() DiskSpec {
	s := FastDebian()
	s.Root, s.Hostname, s.InitramfsModules = Generic(), "generic", ""
	s.Size = 1536 << 20
	return s
}

// Disk returns the path of the disk's master image in the cache. It is read-only: Copy it and boot the copy.
func (l *Lab) Disk(ctx context.Context, s DiskSpec) (string, error) {
	agent, err := l.Agent(ctx)
	if err != nil {
		return "", err
	}
	name := s.Hostname + "-" + key(fmt.Sprintf("%#v", s), s.Root.text(), filepath.Base(agent), mkdisk) + ".raw"
	return l.cached(ctx, name, func(path string) error {
		tar, err := l.Root(ctx, s.Root)
		if err != nil {
			return err
		}
		return l.timed(fmt.Sprintf("disk %s: GPT, ext4, %d MiB, GRUB by grub-install", s.Hostname, s.Size>>20), func() error {
			return l.mkdisk(ctx, s, tar, agent, path)
		})
	})
}

// Masters are the disks of the spec, which is one.
func (s DiskSpec) Masters(ctx context.Context, l *Lab) ([]string, error) {
	master, err := l.Disk(ctx, s)
	return []string{master}, err
}

func (l *Lab) mkdisk(ctx context.Context, s DiskSpec, tar, agent, path string) error {
	list := s.ModuleList
	if list == nil {
		list = []string{"virtio_pci", "virtio_blk", "ext4", "raid1"}
	}
	env := []string{"TAR=" + tar, "OUT=" + path, fmt.Sprint("SIZE=", s.Size), fmt.Sprint("SWAP=", s.SwapMiB), fmt.Sprint("TAIL=", s.TailMiB), "AGENT=" + agent,
		"HOST=" + s.Hostname, fmt.Sprint("FILES=", s.Fixture.Files), fmt.Sprint("BIG=", s.Fixture.Big), "CMDLINE=" + s.Cmdline,
		"MODULES=" + s.InitramfsModules, "COMPRESSLEVEL=" + s.InitramfsCompress,
		"MODULELIST=" + strings.Join(list, " "), "MASK=" + strings.Join(s.Mask, " "),
		"LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	err := command(ctx, env, "unshare", "--mount", "bash", "-c", mkdisk)
	// The script frees its loop device unless it was killed outright.
	releaseLoops(path)
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o444)
}

// releaseLoops detaches the loop devices of one image, and no other. Their partitions go first: they would outlive the
// device, and the mount namespace of the script that held one takes a moment to end.
func releaseLoops(image string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "losetup", "--associated", image, "--noheadings", "--output", "NAME").Output()
	if err != nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, loop := range strings.Fields(string(out)) {
		for range 100 {
			_ = exec.CommandContext(ctx, "partx", "--delete", loop).Run()
			name := filepath.Base(loop)
			if parts, _ := filepath.Glob(filepath.Join("/sys/block", name, name+"p*")); len(parts) == 0 {
				break
			}
			<-tick.C
		}
		_ = exec.CommandContext(ctx, "losetup", "--detach", loop).Run()
	}
}
