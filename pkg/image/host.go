package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"migrate-init/pkg/rootfs"
)

const maxFile = 256 << 20 // no program, library, module or firmware comes near it

// host reads the machine's files. Symbolic links are followed here, inside of the root, so that another root than "/"
// means the same.
type host struct{ root fs.ReadLinkFS }

// resolve gives the real path of p, absolute, and what is there.
func (h host) resolve(p string) (string, fs.FileInfo, error) {
	f, err := rootfs.Resolve(h.root, p, rootfs.Options{})
	return f.Path, f.Info, err
}

// regular reports whether p leads to a regular file, and how large.
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
	f, err := h.root.Open(rootfs.Name(final))
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
	var r *rootfs.Error
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &r):
		return r.Err
	}
	return err
}
