package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

const (
	maxLinks = 40        // as the kernel's
	maxFile  = 256 << 20 // no program, library, module or firmware comes near it
)

// host reads the machine's files. Symbolic links are followed here, inside of the root, so that another root than "/"
// means the same.
type host struct{ root fs.ReadLinkFS }

func inside(p string) string {
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p != "" {
		return p
	}
	return "."
}

// resolve gives the real path of p, absolute, and what is there.
func (h host) resolve(p string) (string, fs.FileInfo, error) {
	at, rest := "/", strings.Split(inside(p), "/")
	info, err := h.root.Lstat(".")
	for n := 0; err == nil && len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		next := path.Join(at, part)
		if info, err = h.root.Lstat(inside(next)); err != nil {
			break
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if n++; n > maxLinks {
			return "", nil, fmt.Errorf("%s: too many levels of symbolic links", p)
		}
		var target string
		if target, err = h.root.ReadLink(inside(next)); err != nil {
			break
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	if err != nil {
		return "", nil, err
	}
	return at, info, nil
}

// regular tells whether p leads to a regular file, and how large.
func (h host) regular(p string) (int64, bool) {
	_, info, err := h.resolve(p)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	return info.Size(), true
}

// read gives the content of a regular file, at most limit bytes of it when cut, else an error beyond.
func (h host) read(p string, limit int64, cut bool) ([]byte, error) {
	final, info, err := h.resolve(p)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file but %v", final, info.Mode().Type())
	}
	f, err := h.root.Open(inside(final))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", final, err)
	}
	if int64(len(data)) > limit {
		if !cut {
			return nil, fmt.Errorf("%s: more than %d bytes", final, limit)
		}
		data = data[:limit]
	}
	return data, nil
}

// cause leaves of a path error what happened: the caller names the file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
