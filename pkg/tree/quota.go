package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quotas are the kinds of quota that a filesystem keeps. If files is set, it may keep them in files in its root, which are copied
// as files; otherwise they are in hidden inodes.
type quotas struct {
	kinds []string
	files bool
}

// addQuotaFinding adds the finding about quota limits that are lost. The walk has already reported quota files in the root.
func (s *scanner) addQuotaFinding() {
	q := s.quotas(s.src)
	if len(q.kinds) == 0 || q.files && s.quotaFiles {
		return
	}
	fix := "save the list (repquota -v -u -g -P MOUNT), and set them on the new system (setquota; mkfs.ext4 -O quota,project)"
	switch s.src.magic {
	case unix.XFS_SUPER_MAGIC:
		fix = "save them (xfs_quota -x -c 'dump -u -f FILE' MOUNT, and -g, -p), and set them on the new system (xfs_quota -x -c 'restore -u -f FILE' MOUNT)"
	case unix.BTRFS_SUPER_MAGIC:
		fix = "save the list (btrfs qgroup show -re MOUNT), and set them on the new system (btrfs quota enable, btrfs qgroup limit)"
	}
	s.find("tree.quota", Loss, "", fix, "the source's %s keeps %s quotas where a copy by files cannot read them: limits and grace times, if any are set, will be lost", fsName(s.src.magic), strings.Join(q.kinds, ", "))
}

// quotasOf asks the kernel for the quotas that are enabled, and reads those that the mount does not use from the superblock:
// ext4 disables quotas on a read-only mount.
func quotasOf(r *root) quotas {
	switch r.magic {
	case unix.BTRFS_SUPER_MAGIC:
		return quotas{kinds: btrfsQuotas(r.fd)}
	case unix.XFS_SUPER_MAGIC:
		if on := quotasOn(r); len(on) > 0 {
			return quotas{kinds: on}
		}
		sb, err := firstBlock(r.st.dev)
		if err != nil {
			return quotas{} // no superblock can be read, and nothing is enabled
		}
		return quotas{kinds: xfsQuotas(sb)}
	case unix.EXT4_SUPER_MAGIC:
		if sb, err := firstBlock(r.st.dev); err == nil {
			if kinds := extQuotas(sb); len(kinds) > 0 {
				return quotas{kinds: kinds}
			}
		}
	}
	return quotas{kinds: quotasOn(r), files: true}
}

// include/uapi/linux/dqblk_xfs.h. All filesystems support it, and it needs no privilege.
const xgetqstat = ('X'<<8 + 5) << 8 // QCMD(Q_XGETQSTAT, USRQUOTA)

// quotasOn returns the kinds of quota that the kernel accounts at present.
func quotasOn(r *root) []string {
	var st [256]byte // struct fs_quota_stat has 80
	_, _, e := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(r.fd), xgetqstat, 0, uintptr(unsafe.Pointer(&st)), 0, 0)
	if errors.Is(e, unix.ENOSYS) { // nothing is enabled, or the kernel is older than 5.14
		name, err := blockDevice(r.st.dev)
		if err != nil {
			return nil
		}
		p, err := unix.BytePtrFromString(name)
		if err != nil {
			return nil
		}
		_, _, e = unix.Syscall6(unix.SYS_QUOTACTL, xgetqstat, uintptr(unsafe.Pointer(p)), 0, uintptr(unsafe.Pointer(&st)), 0, 0)
	}
	if e != 0 {
		return nil
	}
	return quotaKinds(binary.NativeEndian.Uint16(st[2:]))
}

// quotaKinds decodes qs_flags: the bits FS_QUOTA_UDQ_ACCT, GDQ_ACCT and PDQ_ACCT, each followed by its ENFD.
func quotaKinds(flags uint16) (kinds []string) {
	for i, k := range []string{"user", "group", "project"} {
		if flags>>(2*i)&3 != 0 {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// extQuotas reads the feature EXT4_FEATURE_RO_COMPAT_QUOTA and the numbers of the quota inodes from a superblock.
func extQuotas(b []byte) (kinds []string) {
	le := binary.LittleEndian
	if len(b) < 2048 || le.Uint16(b[1024+0x38:]) != 0xef53 || le.Uint32(b[1024+0x64:])&0x100 == 0 {
		return nil
	}
	for _, k := range []struct {
		name string
		at   int
	}{{"user", 0x240}, {"group", 0x244}, {"project", 0x26c}} {
		if le.Uint32(b[1024+k.at:]) != 0 {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// xfsQuotas reads sb_uquotino, sb_gquotino and, in version 5, sb_pquotino from a superblock.
func xfsQuotas(b []byte) (kinds []string) {
	be := binary.BigEndian
	if len(b) < 240 || string(b[:4]) != "XFSB" {
		return nil
	}
	has := func(at int) bool { ino := be.Uint64(b[at:]); return ino != 0 && ino != 1<<64-1 }
	v5 := be.Uint16(b[100:])&15 == 5
	if has(160) {
		kinds = append(kinds, "user")
	}
	if has(168) && v5 {
		kinds = append(kinds, "group")
	} else if has(168) {
		kinds = append(kinds, "group or project")
	}
	if v5 && has(232) {
		kinds = append(kinds, "project")
	}
	return kinds
}

// btrfsQuotas looks for quota groups in sysfs, where they are listed since Linux 5.9. BTRFS_IOC_FS_INFO returns the UUID, which
// is the name of the filesystem's directory there.
func btrfsQuotas(fd int) []string {
	var info [1024]byte
	if err := ioctl(fd, ioc(iocRead, 0x94, 31, uint(len(info))), unsafe.Pointer(&info)); err != nil {
		return nil
	}
	u := info[16:32]
	if _, err := os.Stat(fmt.Sprintf("/sys/fs/btrfs/%x-%x-%x-%x-%x/qgroups", u[:4], u[4:6], u[6:8], u[8:10], u[10:])); err != nil {
		return nil
	}
	return []string{"group (qgroup)"}
}

// blockDevice returns the path of the node of dev, which is major<<32 | minor.
func blockDevice(dev uint64) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/uevent", dev>>32, uint32(dev)))
	if err != nil {
		return "", err
	}
	for l := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(l), "DEVNAME="); ok {
			return "/dev/" + name, nil
		}
	}
	return "", fs.ErrNotExist
}

// firstBlock reads the first 2 KiB of a device: the superblock of ext4 is in the second KiB, that of xfs in the first.
func firstBlock(dev uint64) ([]byte, error) {
	name, err := blockDevice(dev)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st stat
	if err := statFD(fd, &st); err != nil {
		return nil, err
	}
	if st.typ() != unix.S_IFBLK || st.rdev != dev {
		return nil, unix.ENODEV
	}
	b := make([]byte, 2048)
	if n, err := unix.Pread(fd, b, 0); err != nil || n < len(b) {
		return nil, errors.Join(err, unix.EIO)
	}
	return b, nil
}
