package elf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"migrate-init/pkg/rootfs"
)

// tree reads below a root and records each symbolic link and file that was added.
type tree struct {
	root fs.ReadLinkFS
	seen map[string]File
}

func newTree(root fs.ReadLinkFS) *tree { return &tree{root: root, seen: map[string]File{}} }

// resolve follows all symbolic links inside the root. It returns the real path and the links on
// the way, so that the file system never has to follow one itself.
func (t *tree) resolve(p string) (final string, links []File, info fs.FileInfo, err error) {
	f, err := rootfs.Resolve(t.root, p, rootfs.Options{})
	if errors.Is(err, rootfs.ErrNotDirectory) {
		// The loader continues its search, as it does after ENOENT.
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	for _, l := range f.Links {
		links = append(links, File{Path: l.Path, Link: l.Target})
	}
	return f.Path, links, f.Info, err
}

// add resolves a regular file and records it with its links.
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

// exists reports whether p leads to a regular file.
func (t *tree) exists(p string) bool {
	_, _, info, err := t.resolve(p)
	return err == nil && info.Mode().IsRegular()
}

// firstLine returns the first line of a file without its newline, from at most the 256 bytes that
// the kernel reads.
func (t *tree) firstLine(final string) (string, error) {
	f, err := t.root.Open(rootfs.Name(final))
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

// read returns a whole file of at most limit bytes.
func (t *tree) read(final string, limit int64) ([]byte, error) {
	f, err := t.root.Open(rootfs.Name(final))
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
