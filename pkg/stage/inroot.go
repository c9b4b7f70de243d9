package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/rootfs"
)

// inRoot follows the symbolic links on the way to a file of another root, inside that root, and returns the file's own
// place in it. The last component is not followed. An administrator's /var may be a link to /data/var; taken from the
// initramfs that link would lead out of the copy.
func inRoot(root fs.FS, name string) (string, error) {
	f, err := rootfs.Resolve(rootfs.Of(root), name, rootfs.Options{NoFollow: true, Missing: true})
	return f.Path, err
}

// throughLinks is inRoot with the last component followed too.
func throughLinks(root fs.FS, name string) (string, error) {
	f, err := rootfs.Resolve(rootfs.Of(root), name, rootfs.Options{Missing: true})
	return f.Path, err
}

// nonRoot is a path as the fs packages want it.
func nonRoot(p string) string { return rootfs.Name(p) }

// listDir lists a directory through links inside the root, and says where it really is, "" for one that does not exist.
func listDir(root fs.FS, dir string) (at string, list []fs.DirEntry, err error) {
	if at, err = throughLinks(root, dir); err != nil {
		return "", nil, err
	}
	list, err = fs.ReadDir(root, nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("directory /%s: %w", strings.Trim(dir, "/"), err)
	}
	return at, list, nil
}

// glob lists what matches a pattern, whose last component alone may have signs, through links inside the root. Unlike
// fs.Glob it tells a directory that cannot be read from an empty one. A pattern without signs is its own answer.
func glob(root fs.FS, pattern string) ([]string, error) {
	dir, base := path.Split(pattern)
	if !strings.ContainsAny(base, "*?[") {
		return []string{pattern}, nil
	}
	_, list, err := listDir(root, dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range list {
		if ok, err := path.Match(base, x.Name()); err != nil {
			return nil, fmt.Errorf("pattern %s: %w", pattern, err)
		} else if ok {
			out = append(out, dir+x.Name())
		}
	}
	return out, nil
}
