package tree

import (
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The flags of FS_IOC_GETFLAGS (include/uapi/linux/fs.h) that chattr can set. The others describe the layout (extents, index,
// inline data, encrypted, verity ...).
const (
	flSecrm       = 0x00000001
	flUnrm        = 0x00000002
	flCompr       = 0x00000004
	flSync        = 0x00000008
	flImmutable   = 0x00000010
	flAppend      = 0x00000020
	flNodump      = 0x00000040
	flNoatime     = 0x00000080
	flNocomp      = 0x00000400
	flEncrypt     = 0x00000800
	flJournalData = 0x00004000
	flNotail      = 0x00008000
	flDirsync     = 0x00010000
	flTopdir      = 0x00020000
	flVerity      = 0x00100000
	flNocow       = 0x00800000
	flDax         = 0x02000000
	flProjinherit = 0x20000000
	flCasefold    = 0x40000000

	flCopied = flSecrm | flUnrm | flCompr | flSync | flImmutable | flAppend | flNodump | flNoatime | flNocomp |
		flJournalData | flNotail | flDirsync | flTopdir | flNocow | flDax | flProjinherit | flCasefold
	// flEarly take effect, or are allowed, only while the object is empty.
	flEarly = flCompr | flNocomp | flNocow | flCasefold
	// flFrozen forbid further changes, including new links.
	flFrozen = flImmutable | flAppend
)

// The flags of FS_IOC_FSGETXATTR (include/uapi/linux/fs.h): the same flags with other bits, and those that only it has.
const (
	xfRealtime     = 0x00000001
	xfImmutable    = 0x00000008
	xfAppend       = 0x00000010
	xfSync         = 0x00000020
	xfNoatime      = 0x00000040
	xfNodump       = 0x00000080
	xfRtinherit    = 0x00000100
	xfProjinherit  = 0x00000200
	xfNosymlinks   = 0x00000400
	xfExtsize      = 0x00000800
	xfExtszinherit = 0x00001000
	xfNodefrag     = 0x00002000
	xfFilestream   = 0x00004000
	xfDax          = 0x00008000
	xfCowextsize   = 0x00010000

	xfOnly  = xfRtinherit | xfNosymlinks | xfExtsize | xfExtszinherit | xfNodefrag | xfFilestream | xfCowextsize
	xfEarly = xfExtsize | xfCowextsize
)

type bitName struct {
	bit  uint32
	name string
}

func flagNames() []bitName {
	return []bitName{{flSecrm, "secrm"}, {flUnrm, "unrm"}, {flCompr, "compr"}, {flSync, "sync"}, {flImmutable, "immutable"},
		{flAppend, "append"}, {flNodump, "nodump"}, {flNoatime, "noatime"}, {flNocomp, "nocomp"}, {flEncrypt, "encrypt"}, {flJournalData, "journal_data"},
		{flNotail, "notail"}, {flDirsync, "dirsync"}, {flTopdir, "topdir"}, {flVerity, "verity"}, {flNocow, "nocow"}, {flDax, "dax"},
		{flProjinherit, "projinherit"}, {flCasefold, "casefold"}}
}

func xflagNames() []bitName {
	return []bitName{{xfRtinherit, "rtinherit"}, {xfNosymlinks, "nosymlinks"}, {xfExtsize, "extsize"},
		{xfExtszinherit, "extszinherit"}, {xfNodefrag, "nodefrag"}, {xfFilestream, "filestream"}, {xfCowextsize, "cowextsize"}}
}

// formatBits returns the names of the bits that are set, or "none".
func formatBits(v uint32, names []bitName) string {
	var s []string
	for _, n := range names {
		if v&n.bit != 0 {
			s = append(s, n.name)
		}
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ",")
}

func flagsFromX(x uint32) (f uint32) {
	for _, p := range [...][2]uint32{{xfImmutable, flImmutable}, {xfAppend, flAppend}, {xfSync, flSync}, {xfNoatime, flNoatime},
		{xfNodump, flNodump}, {xfProjinherit, flProjinherit}, {xfDax, flDax}} {
		if x&p[0] != 0 {
			f |= p[1]
		}
	}
	return f
}

// fileAttr is struct file_attr of include/uapi/linux/fs.h, Linux 6.17: the fields of FSGETXATTR, for objects that cannot be
// opened.
type fileAttr struct {
	xflags                                uint64
	extsize, nextents, projid, cowextsize uint32
}

// readAttr sets the flags and fsx of m; they are zero on filesystems without them. For what cannot be opened (symlinks,
// devices, fifos, sockets) they can only be read if the kernel has file_getattr.
func (o object) readAttr(magic int64, m *meta) error {
	if o.name != "" {
		var a fileAttr
		if !o.fileAttr(unix.SYS_FILE_GETATTR, &a) {
			if m.attrs&unix.STATX_ATTR_IMMUTABLE != 0 {
				m.flags |= flImmutable
			}
			if m.attrs&unix.STATX_ATTR_APPEND != 0 {
				m.flags |= flAppend
			}
			// Not nodump: symlinks and fifos inherit it on ext4, and statx reports it, but it cannot be set on them.
			return nil
		}
		m.flags = flagsFromX(uint32(a.xflags)) & flCopied
		m.fsx.projid = a.projid
		return nil
	}
	if magic != unix.XFS_SUPER_MAGIC { // on xfs, the xflags have everything
		f, err := getFlags(o.fd)
		if err != nil && !noAttr(err) {
			return err
		}
		m.flags = f & flCopied
	}
	x, err := getFSX(o.fd)
	if err != nil {
		if noAttr(err) {
			return nil
		}
		return err
	}
	m.flags |= flagsFromX(x.xflags) & flCopied
	m.fsx = fsxattr{xflags: x.xflags & xfOnly, projid: x.projid}
	if x.xflags&(xfExtsize|xfExtszinherit) != 0 {
		m.fsx.extsize = x.extsize
	}
	if x.xflags&xfCowextsize != 0 {
		m.fsx.cowextsize = x.cowextsize
	}
	return nil
}

func noAttr(err error) bool {
	return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

func (o object) fileAttr(nr uintptr, a *fileAttr) bool {
	p, err := unix.BytePtrFromString(o.name)
	if err != nil {
		return false
	}
	_, _, e := unix.Syscall6(nr, uintptr(o.fd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a), unix.AT_SYMLINK_NOFOLLOW, 0)
	return e == 0
}

// addFlags sets the bits of want that are in mask, clears the other bits of mask, and returns the bits that the object refused.
// If the kernel refuses the combination, it sets them one by one.
func (o object) addFlags(want, mask uint32) (refused uint32, err error) {
	if o.name != "" {
		var a fileAttr
		if !o.fileAttr(unix.SYS_FILE_GETATTR, &a) {
			return want & mask, unix.EOPNOTSUPP
		}
		for _, p := range [...][2]uint32{{xfImmutable, flImmutable}, {xfAppend, flAppend}, {xfSync, flSync}, {xfNoatime, flNoatime}, {xfNodump, flNodump}} {
			if mask&p[1] != 0 {
				a.xflags &^= uint64(p[0])
				if want&p[1] != 0 {
					a.xflags |= uint64(p[0])
				}
			}
		}
		if !o.fileAttr(unix.SYS_FILE_SETATTR, &a) {
			return want & mask, unix.EOPNOTSUPP
		}
		return 0, nil
	}
	have, err := getFlags(o.fd)
	if err != nil {
		return want & mask, err
	}
	goal := have&^mask | want&mask
	if goal == have {
		return 0, nil
	}
	if err = setFlags(o.fd, goal); err != nil {
		for bit := uint32(1); bit != 0; bit <<= 1 {
			if (goal^have)&bit == 0 {
				continue
			}
			if e := setFlags(o.fd, have^bit); e == nil {
				have ^= bit
			}
		}
	} else if have, err = getFlags(o.fd); err != nil {
		return 0, err
	}
	if refused = want & mask &^ have; refused != 0 && err == nil {
		err = unix.EOPNOTSUPP // the call succeeded without effect
	}
	if refused == 0 {
		err = nil
	}
	return refused, err
}

// setFSX sets the project id and those xfs-specific flags that are in mask.
func (o object) setFSX(want fsxattr, mask uint32) error {
	if o.name != "" {
		var a fileAttr
		if !o.fileAttr(unix.SYS_FILE_GETATTR, &a) {
			return unix.EOPNOTSUPP
		}
		if a.projid == want.projid {
			return nil
		}
		if a.projid = want.projid; !o.fileAttr(unix.SYS_FILE_SETATTR, &a) {
			return unix.EOPNOTSUPP
		}
		return nil
	}
	x, err := getFSX(o.fd)
	if err != nil {
		return err
	}
	y := x
	y.projid = want.projid
	y.xflags = x.xflags&^mask | want.xflags&mask
	if mask&(xfExtsize|xfExtszinherit) != 0 {
		y.extsize = want.extsize
	}
	if mask&xfCowextsize != 0 {
		y.cowextsize = want.cowextsize
	}
	if y == x {
		return nil
	}
	if err := setFSX(o.fd, y); err != nil {
		return err
	}
	// ext4 silently ignores what it does not support.
	if x, err = getFSX(o.fd); err == nil && ((x.xflags^y.xflags)&mask != 0 || x.projid != y.projid) {
		err = unix.EOPNOTSUPP
	}
	return err
}
