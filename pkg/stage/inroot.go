package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// inRoot follows the symbolic links on the way to a file of another root, inside that root, and returns the file's own
// place in it. The last component is not followed. An administrator's /var may be a link to /data/var; taken from the
// initramfs that link would lead out of the copy.
func inRoot(root fs.FS, name string) (string, error) { return follow(root, name, 1) }

// throughLinks is inRoot with the last component followed too.
func throughLinks(root fs.FS, name string) (string, error) { return follow(root, name, 0) }

// follow leaves the last keep components as they are.
func follow(root fs.FS, name string, keep int) (string, error) {
	done, left := "/", strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	for links := 0; len(left) > keep; {
		next := path.Join(done, left[0])
		left = left[1:]
		st, err := fs.Lstat(root, nonRoot(next))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("file %s: %w", name, err)
		}
		// What is not there yet is no link either.
		if err != nil || st.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		target, err := fs.ReadLink(root, nonRoot(next))
		if err != nil {
			return "", fmt.Errorf("file %s: %w", name, err)
		}
		if links++; links > 40 {
			return "", fmt.Errorf("file %s: too many symbolic links on the way", name)
		}
		if !path.IsAbs(target) {
			target = path.Join(done, target)
		}
		if target = path.Clean(target); target != "/" {
			left = append(strings.Split(strings.Trim(target, "/"), "/"), left...)
		}
		done = "/"
	}
	return path.Join(append([]string{done}, left...)...), nil
}

// nonRoot is a path as the fs packages want it.
func nonRoot(p string) string {
	if p = strings.TrimPrefix(p, "/"); p == "" {
		return "."
	}
	return p
}

// glob lists what matches a pattern, whose last component alone may have signs, through links inside the root. Unlike
// fs.Glob it tells a directory that cannot be read from an empty one. A pattern without signs is its own answer.
func glob(root fs.FS, pattern string) ([]string, error) {
	dir, base := path.Split(pattern)
	if !strings.ContainsAny(base, "*?[") {
		return []string{pattern}, nil
	}
	at, err := throughLinks(root, dir)
	if err != nil {
		return nil, err
	}
	list, err := fs.ReadDir(root, nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("directory /%s: %w", strings.Trim(dir, "/"), err)
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
