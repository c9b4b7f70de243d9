package elf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// tree reads below a root and remembers each symbolic link and file that was
// asked for.
type tree struct {
	root fs.ReadLinkFS
	seen map[string]File
}

func newTree(root fs.ReadLinkFS) *tree { return &tree{root: root, seen: map[string]File{}} }

const maxLinks = 40 // as the kernel's

// inside is the name that the fs packages want.
func inside(p string) string {
	if p = strings.TrimPrefix(p, "/"); p != "" {
		return p
	}
	return "."
}

// resolve follows all symbolic links inside of the root, and gives the real path and the links
// that it met. The file system below never has to follow one itself.
func (t *tree) resolve(p string) (final string, links []File, info fs.FileInfo, err error) {
	rest := strings.Split(strings.TrimPrefix(path.Clean("/"+p), "/"), "/")
	final = "/"
	if info, err = t.root.Lstat("."); err != nil {
		return "", nil, nil, err
	}
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			final = path.Dir(final)
			continue
		}
		next := path.Join(final, part)
		if info, err = t.root.Lstat(inside(next)); err != nil {
			return "", nil, nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if len(rest) > 0 && !info.IsDir() {
				return "", nil, nil, fmt.Errorf("%s is not a directory: %w", next, fs.ErrNotExist)
			}
			final = next
			continue
		}
		target, err := t.root.ReadLink(inside(next))
		if err != nil {
			return "", nil, nil, err
		}
		links = append(links, File{Path: next, Link: target})
		if len(links) > maxLinks || len(target) > pathMax {
			return "", nil, nil, fmt.Errorf("%s: too many levels of symbolic links", p)
		}
		if strings.HasPrefix(target, "/") {
			final = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	if final == "/" || len(links) > 0 {
		// The last step may have been ".." or a link to a directory above.
		if info, err = t.root.Lstat(inside(final)); err != nil {
			return "", nil, nil, err
		}
	}
	return final, links, info, nil
}

// add resolves a regular file and remembers it with its links.
func (t *tree) add(p, why string) (string, error) {
	final, links, info, err := t.resolve(p)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file but %v", final, info.Mode().Type())
	}
	for _, l := range links {
		t.remember(l, "link on the way to "+final)
	}
	t.remember(File{Path: final}, why)
	return final, nil
}

func (t *tree) remember(f File, why string) {
	if _, there := t.seen[f.Path]; !there {
		f.Why = why
		t.seen[f.Path] = f
	}
}

// exists tells whether p leads to a regular file.
func (t *tree) exists(p string) bool {
	_, _, info, err := t.resolve(p)
	return err == nil && info.Mode().IsRegular()
}

// firstLine gives the beginning of a file up to its first line's end, at most the 256
// bytes that the kernel looks at.
func (t *tree) firstLine(final string) (string, error) {
	f, err := t.root.Open(inside(final))
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	buf := make([]byte, 256)
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	line, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	return string(line), nil
}

// read gives a whole file of at most limit bytes.
func (t *tree) read(final string, limit int64) ([]byte, error) {
	f, err := t.root.Open(inside(final))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", final, limit)
	}
	return data, err
}
