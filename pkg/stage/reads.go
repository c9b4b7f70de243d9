package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/rootfs"
)

// readings are files of a system, by path, and what of each decides a result that is made from it: mode, size, and the contents of
// a small file or one below /etc, else the time of its last change. A copy keeps that time to the nanosecond.
type readings map[string]string

// wholly is up to which size a file's contents are read, and not its time.
const wholly = 1 << 20

// reader makes readings of one root, through symbolic links inside it.
type reader struct {
	root fs.FS
	dirs map[string]string // where directories really are
}

func newReader(root fs.FS) *reader { return &reader{root, map[string]string{}} }

// all reads what patterns match; of directories everything below. A pattern that matches nothing yields nothing: what comes there
// later is noticed.
func (r *reader) all(patterns []string) (readings, error) {
	out := readings{}
	for _, p := range patterns {
		names, err := r.expand(strings.Trim(p, "/"))
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if err := r.tree("/"+n, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// expand is glob with signs in any component.
func (r *reader) expand(pattern string) ([]string, error) {
	dir, base := path.Split(pattern)
	dirs := []string{""}
	if dir != "" {
		var err error
		if dirs, err = r.expand(strings.TrimSuffix(dir, "/")); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, d := range dirs {
		names, err := glob(r.root, path.Join(d, base))
		if errors.Is(err, rootfs.ErrNotDirectory) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, names...)
	}
	return out, nil
}

func (r *reader) tree(name string, out readings) error {
	v, err := r.value(name)
	if err != nil || v == "" {
		return err
	}
	out[name] = v
	if v != directory {
		return nil
	}
	at, err := throughLinks(r.root, name)
	if err != nil {
		return err
	}
	list, err := fs.ReadDir(r.root, nonRoot(at))
	if err != nil {
		return fmt.Errorf("directory %s: %w", name, err)
	}
	for _, x := range list {
		sub := path.Join(name, x.Name())
		// A link to a directory says where it leads, and no more: it may lead anywhere.
		if x.Type()&fs.ModeSymlink != 0 {
			if st, err := r.stat(sub); err == nil && st.IsDir() {
				to, err := fs.ReadLink(r.root, path.Join(nonRoot(at), x.Name()))
				if err != nil {
					return fmt.Errorf("link %s: %w", sub, err)
				}
				out[sub] = "link to " + to
				continue
			}
		}
		if err := r.tree(sub, out); err != nil {
			return err
		}
	}
	return nil
}

const directory = "directory"

// stat follows links. Where the directory of a file is, is found out once.
func (r *reader) stat(name string) (fs.FileInfo, error) {
	st, _, err := r.find(name)
	return st, err
}

func (r *reader) find(name string) (fs.FileInfo, string, error) {
	dir := path.Dir(name)
	real, ok := r.dirs[dir]
	if !ok {
		var err error
		if real, err = throughLinks(r.root, dir); err != nil {
			return nil, "", err
		}
		r.dirs[dir] = real
	}
	at := path.Join(real, path.Base(name))
	st, err := fs.Lstat(r.root, nonRoot(at))
	if err == nil && st.Mode()&fs.ModeSymlink != 0 {
		if at, err = throughLinks(r.root, at); err != nil {
			return nil, "", fs.ErrNotExist // a link that leads nowhere, perhaps in a circle
		}
		st, err = fs.Stat(r.root, nonRoot(at))
	}
	return st, at, err
}

// value says what a file is, "" for one that is not there or leads nowhere.
func (r *reader) value(name string) (string, error) {
	st, at, err := r.find(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, rootfs.ErrNotDirectory):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("file %s: %w", name, err)
	case st.IsDir():
		return directory, nil
	case !st.Mode().IsRegular():
		return st.Mode().String(), nil
	case st.Size() > wholly && !strings.HasPrefix(name, "/etc/"):
		return stampOf(st), nil
	}
	sum, n, err := digest(r.root, at)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%04o %d %s", st.Mode().Perm(), n, sum), nil
}

// stamp is value without reading anything, for files of packages, of which there are thousands. It says nothing of directories.
func (r *reader) stamp(name string) (string, error) {
	if strings.HasPrefix(name, "/etc/") {
		return r.value(name)
	}
	st, _, err := r.find(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, rootfs.ErrNotDirectory):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("file %s: %w", name, err)
	case !st.Mode().IsRegular():
		return "", nil
	}
	return stampOf(st), nil
}

func stampOf(st fs.FileInfo) string {
	return fmt.Sprintf("%04o %d at %d", st.Mode().Perm(), st.Size(), st.ModTime().UnixNano())
}

// digest is the SHA-256 of a file, whose path leads through no links, and its size.
func digest(root fs.FS, name string) (sum string, size int64, err error) {
	f, err := root.Open(nonRoot(name))
	if err != nil {
		return "", 0, fmt.Errorf("file %s: %w", name, err)
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("file %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// changed names what is not as it was, "" for nothing.
func (was readings) changed(now readings) string {
	var first string
	n := 0
	for _, name := range slices.Sorted(maps.Keys(union(was, now))) {
		a, b := was[name], now[name]
		if a == b {
			continue
		}
		if n++; n > 1 {
			continue
		}
		switch {
		case a == "":
			first = name + " is new"
		case b == "":
			first = name + " is gone"
		default:
			first = name + " has changed"
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s, and %d more", first, n-1)
	}
	return first
}

func union(a, b readings) readings {
	out := readings{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}
