package tree

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// entry is one name of a directory. typ is a DT_ constant.
type entry struct {
	ino  uint64
	name string
	typ  uint8
}

const chunkEntries = 64 << 10

// readChunk reads about limit names from fd, from where the last call ended. It sorts them: files before subdirectories, both
// by inode number, which is the order of the inode table. more reports whether there may be others. With an error it returns
// the names that were read before it.
func readChunk(fd int, buf []byte, limit int) (es []entry, more bool, err error) {
	return readNames(limit, func() (int, error) { return unix.Getdents(fd, buf) }, buf)
}

// readNames is like readChunk, with a getdents function that fills buf.
func readNames(limit int, getdents func() (int, error), buf []byte) (es []entry, more bool, err error) {
	ne := binary.NativeEndian
	var arena strings.Builder
	type raw struct {
		ino      uint64
		off, end int
		typ      uint8
	}
	var raws []raw
	if limit <= 0 {
		limit = chunkEntries
	}
	for len(raws) < limit && err == nil {
		var n int
		n, err = getdents()
		if err == unix.EINTR {
			err = nil
			continue
		}
		if n <= 0 {
			break
		}
		// struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name
		for b := buf[:n]; len(b) >= 19; {
			l := int(ne.Uint16(b[16:]))
			if l < 20 || l > len(b) {
				err = unix.EBADMSG
				break
			}
			name := b[19:l]
			if i := slices.Index(name, 0); i >= 0 {
				name = name[:i]
			}
			if s := string(name); s != "." && s != ".." {
				if len(s) == 0 || strings.IndexByte(s, '/') >= 0 {
					err = unix.EUCLEAN
					break
				}
				off := arena.Len()
				arena.Write(name)
				raws = append(raws, raw{ne.Uint64(b), off, arena.Len(), b[18]})
			}
			b = b[l:]
		}
		more = err == nil && len(raws) >= limit
	}
	names := arena.String()
	es = make([]entry, len(raws))
	for i, r := range raws {
		es[i] = entry{r.ino, names[r.off:r.end], r.typ}
	}
	slices.SortFunc(es, func(a, b entry) int {
		if x, y := a.typ == unix.DT_DIR, b.typ == unix.DT_DIR; x != y {
			if y {
				return -1
			}
			return 1
		}
		switch {
		case a.ino < b.ino:
			return -1
		case a.ino > b.ino:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return es, more, err
}

// countNames counts the names in a directory, without "." and "..".
func countNames(fd int, buf []byte) (n int64, err error) {
	for {
		m, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return n - 2, err // "." and ".."
		}
		for b := buf[:m]; len(b) >= 19; n++ {
			l := int(binary.NativeEndian.Uint16(b[16:]))
			if l < 20 || l > len(b) {
				return 0, unix.EBADMSG
			}
			b = b[l:]
		}
	}
}
