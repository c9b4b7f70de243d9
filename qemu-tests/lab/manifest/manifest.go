// Package manifest states everything about a directory tree that a faithful copy must keep, and compares two statements.
//
// It is deliberately independent of pkg/tree, the engine it judges: it walks by plain paths and hashes with sha256.
// One filesystem only: what is mounted below the root is left out. Access times, change times, inode numbers and the
// allocation of blocks are not part of it.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Entry is one name in the tree. Path is relative to the root, "." for the root itself, and quoted as Go source does
// (strconv.Quote without the quotes) so that names which are not UTF-8 survive JSON.
type Entry struct {
	Path   string            `json:"path"`
	Mode   uint32            `json:"mode"` // st_mode, type bits included
	UID    uint32            `json:"uid"`
	GID    uint32            `json:"gid"`
	Size   int64             `json:"size"`            // of regular files and symlinks, 0 otherwise
	Mtime  int64             `json:"mtime"`           // nanoseconds since 1970
	Rdev   uint64            `json:"rdev,omitempty"`  // of devices
	Target string            `json:"to,omitempty"`    // of symlinks, quoted as Path
	Sum    string            `json:"sum,omitempty"`   // sha256 of regular files
	Link   string            `json:"link,omitempty"`  // first path, in walking order, of the same inode
	Xattr  map[string]string `json:"xattr,omitempty"` // every namespace the reader may see; values in hex
	Blocks int64             `json:"blocks"`          // allocated, in 512 bytes; informs, is not compared
}

func quote(s string) string {
	q := fmt.Sprintf("%q", s)
	return q[1 : len(q)-1]
}

// Walk calls emit for each entry below root in lexical order, the root included. Entries whose relative path is in skip
// are left out with all that is below them.
func Walk(root string, skip []string, emit func(Entry) error) error {
	var top unix.Stat_t
	if err := unix.Lstat(root, &top); err != nil {
		return fmt.Errorf("manifest root %s: %w", root, err)
	}
	leave := map[string]bool{}
	for _, s := range skip {
		leave[s] = true
	}
	first := map[uint64]string{}
	var visit func(rel string) error
	visit = func(rel string) error {
		if leave[rel] {
			return nil
		}
		path := filepath.Join(root, rel)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("manifest %s: %w", path, err)
		}
		if st.Dev != top.Dev {
			return nil
		}
		e, err := describe(path, &st)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", path, err)
		}
		e.Path = quote(rel)
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if st.Nlink > 1 && !isDir {
			if p, ok := first[st.Ino]; ok {
				e.Link = p
			} else {
				first[st.Ino] = e.Path
			}
		}
		if err := emit(e); err != nil {
			return err
		}
		if !isDir {
			return nil
		}
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		names, err := d.Readdirnames(-1)
		_ = d.Close()
		if err != nil {
			return err
		}
		sort.Strings(names)
		for _, n := range names {
			if err := visit(filepath.Join(rel, n)); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(".")
}

// Read is Walk into memory.
func Read(root string, skip []string) ([]Entry, error) {
	var all []Entry
	err := Walk(root, skip, func(e Entry) error { all = append(all, e); return nil })
	return all, err
}

func describe(path string, st *unix.Stat_t) (Entry, error) {
	e := Entry{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Mtime: st.Mtim.Nano(), Blocks: st.Blocks}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Size = st.Size
		sum, err := hash(path)
		if err != nil {
			return e, err
		}
		e.Sum = sum
	case unix.S_IFLNK:
		e.Size = st.Size
		to, err := os.Readlink(path)
		if err != nil {
			return e, err
		}
		e.Target = quote(to)
	case unix.S_IFCHR, unix.S_IFBLK:
		e.Rdev = st.Rdev
	}
	var err error
	e.Xattr, err = xattrs(path)
	return e, err
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func xattrs(path string) (map[string]string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err == unix.ENOTSUP || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list of extended attributes: %w", err)
	}
	out := map[string]string{}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		v, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("extended attribute %s: %w", name, err)
		}
		out[name] = hex.EncodeToString(value[:v])
	}
	return out, nil
}
