package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Subvolume is a btrfs subvolume. The top level of a filesystem is not one of them.
type Subvolume struct {
	Path     string // below the top level, without a leading slash
	ReadOnly bool
	Snapshot bool // it was made as a snapshot of another
	Default  bool // what a mount without subvol= shows
}

// include/uapi/linux/btrfs_tree.h and btrfs.h.
const (
	btrfsRootTree, btrfsTop, btrfsRootDir = 1, 5, 6
	btrfsFirstFree, btrfsLastFree         = 256, ^uint64(255)
	btrfsDirItem, btrfsRootItem           = 84, 132
	btrfsRootBackref                      = 144
	btrfsArgs                             = 4096
	btrfsSearchKey, btrfsSearchHeader     = 104, 32

	rootItemFlags, rootItemRefs, rootItemParent, rootItemLen = 208, 216, 263, 439
	rootReadOnly                                             = 1
	// maxSubvolumes bounds the memory of a list, and the time to resolve their paths.
	maxSubvolumes = 100_000
)

func btrfsCreateReq() uint { return ioc(iocWrite, 0x94, 14, btrfsArgs) }
func btrfsSearchReq() uint { return ioc(iocRead|iocWrite, 0x94, 17, btrfsArgs) }
func btrfsLookupReq() uint { return ioc(iocRead|iocWrite, 0x94, 18, btrfsArgs) }

// makeSubvolume creates an empty subvolume; like mkdir it does not replace anything.
func makeSubvolume(dir int, name string) error {
	var args [btrfsArgs]byte
	if len(name) > 255 {
		return unix.ENAMETOOLONG
	}
	copy(args[8:], name)
	return ioctl(dir, btrfsCreateReq(), unsafe.Pointer(&args))
}

// subvolume is one that is being listed.
type subvolume struct {
	Subvolume
	parent, dir uint64
	name        string
	refs        uint32
}

// Subvolumes lists the subvolumes of the btrfs that is mounted at dir, sorted by path, whichever of them is mounted there. One that
// is being deleted is left out. It needs root.
func Subvolumes(dir string) ([]Subvolume, error) {
	fail := func(err error) ([]Subvolume, error) {
		return nil, fmt.Errorf("subvolumes of %s: %w", dir, err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if !iocNumbers() {
		return fail(errors.ErrUnsupported)
	}
	list := map[uint64]*subvolume{}
	le := binary.LittleEndian
	err = btrfsItems(fd, btrfsFirstFree, btrfsLastFree, btrfsRootItem, btrfsRootBackref, func(id uint64, typ uint32, offset uint64, b []byte) error {
		if typ != btrfsRootItem && typ != btrfsRootBackref {
			return nil
		}
		s := list[id]
		if s == nil {
			if len(list) == maxSubvolumes {
				return fmt.Errorf("there are more than %d", maxSubvolumes)
			}
			s = &subvolume{}
			list[id] = s
		}
		switch {
		case typ == btrfsRootItem && len(b) >= rootItemRefs+4:
			s.ReadOnly, s.refs = le.Uint64(b[rootItemFlags:])&rootReadOnly != 0, le.Uint32(b[rootItemRefs:])
			s.Snapshot = len(b) >= rootItemLen && slices.ContainsFunc(b[rootItemParent:rootItemParent+16], func(c byte) bool { return c != 0 })
		case typ == btrfsRootBackref && len(b) >= 18 && len(b) >= 18+int(le.Uint16(b[16:])):
			s.parent, s.dir, s.name = offset, le.Uint64(b), string(b[18:18+int(le.Uint16(b[16:]))])
		default:
			return fmt.Errorf("item of %d bytes of subvolume %d: %w", len(b), id, unix.EUCLEAN)
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	first := uint64(btrfsTop)
	err = btrfsItems(fd, btrfsRootDir, btrfsRootDir, btrfsDirItem, btrfsDirItem, func(_ uint64, _ uint32, _ uint64, b []byte) error {
		if len(b) >= 17 {
			first = le.Uint64(b)
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	var out []Subvolume
	for id, s := range list {
		if s.refs == 0 || s.parent == 0 {
			continue
		}
		if s.Path, err = btrfsPath(fd, list, id, 0); err != nil {
			return fail(err)
		}
		s.Default = id == first
		out = append(out, s.Subvolume)
	}
	slices.SortFunc(out, func(a, b Subvolume) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// btrfsPath leads up to the top level. A loop, which only a damaged filesystem has, ends at the depth that paths have.
func btrfsPath(fd int, list map[uint64]*subvolume, id uint64, depth int) (string, error) {
	if id == btrfsTop {
		return "", nil
	}
	s := list[id]
	if s == nil || s.parent == 0 || depth > unix.PathMax/2 {
		return "", fmt.Errorf("subvolume %d: no path leads to it: %w", id, unix.EUCLEAN)
	}
	up, err := btrfsPath(fd, list, s.parent, depth+1)
	if err != nil {
		return "", err
	}
	var args [btrfsArgs]byte
	binary.LittleEndian.PutUint64(args[0:], s.parent)
	binary.LittleEndian.PutUint64(args[8:], s.dir)
	if err := ioctl(fd, btrfsLookupReq(), unsafe.Pointer(&args)); err != nil {
		return "", fmt.Errorf("subvolume %d: look up its directory: %w", id, err)
	}
	in, _, _ := strings.Cut(string(args[16:]), "\x00")
	return path.Join(up, in, s.name), nil
}

// btrfsItems calls f for the items of the root tree in a range of keys, in their order. There may be items of other types between.
func btrfsItems(fd int, first, last uint64, least, most uint32, f func(id uint64, typ uint32, offset uint64, b []byte) error) error {
	le := binary.LittleEndian
	id, typ, offset := first, least, uint64(0)
	for {
		var args [btrfsArgs]byte
		for i, v := range []uint64{btrfsRootTree, id, last, offset, ^uint64(0), 0, ^uint64(0)} {
			le.PutUint64(args[8*i:], v)
		}
		le.PutUint32(args[56:], typ)
		le.PutUint32(args[60:], most)
		le.PutUint32(args[64:], 4096)
		if err := ioctl(fd, btrfsSearchReq(), unsafe.Pointer(&args)); err != nil {
			return fmt.Errorf("search: %w", err)
		}
		n := le.Uint32(args[64:])
		if n == 0 {
			return nil
		}
		b := args[btrfsSearchKey:]
		for range n {
			if len(b) < btrfsSearchHeader {
				return fmt.Errorf("search: %w", unix.EUCLEAN)
			}
			size := int(le.Uint32(b[28:]))
			id, offset, typ = le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint32(b[24:])
			if b = b[btrfsSearchHeader:]; size > len(b) {
				return fmt.Errorf("search: %w", unix.EUCLEAN)
			}
			if err := f(id, typ, offset, b[:size]); err != nil {
				return err
			}
			b = b[size:]
		}
		// The next key.
		switch {
		case offset != ^uint64(0):
			offset++
		case typ < 255:
			typ, offset = typ+1, 0
		case id < last:
			id, typ, offset = id+1, 0, 0
		default:
			return nil
		}
		if id > last || id == last && typ > most {
			return nil
		}
	}
}

// errUnlisted is what a copy ends with at a subvolume that its caller did not name.
var errUnlisted = errors.New("it is a subvolume that was not there when the subvolumes were listed")

// subvolume reports whether a directory of the source is to be a subvolume.
func (o *Options) subvolume(listed map[string]bool, magic int64, d *dir) (bool, error) {
	is := magic == unix.BTRFS_SUPER_MAGIC && d.parent != nil && d.meta.ino == btrfsFirstFree
	if wanted := listed[d.path("")]; is && !wanted {
		return false, errUnlisted
	} else if wanted {
		return true, nil
	}
	return false, nil
}

// FinishSubvolumes returns the commands that give the subvolumes of a copy at dir what can only be given at the end: those that are
// read-only, and the default one where that is not the top level.
func FinishSubvolumes(dir string, readOnly []string, first string) (out [][]string) {
	for _, name := range readOnly {
		out = append(out, []string{"btrfs", "property", "set", "-ts", path.Join(dir, name), "ro", "true"})
	}
	if first != "" {
		out = append(out, []string{"btrfs", "subvolume", "set-default", path.Join(dir, first)})
	}
	return out
}
