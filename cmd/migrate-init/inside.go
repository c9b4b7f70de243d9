package main

import (
	"io/fs"
	"os"
)

// inside is a directory as a root that no symbolic link leads out of. It is opened for every look and closed again: a
// directory that stays open keeps its filesystem from being unmounted.
type inside struct{ dir string }

func newInside(dir string) (fs.FS, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return inside{dir}, r.Close()
}

func within[T any](d inside, f func(r *os.Root) (T, error)) (T, error) {
	r, err := os.OpenRoot(d.dir)
	if err != nil {
		var none T
		return none, err
	}
	defer r.Close()
	return f(r)
}

// Open implements fs.FS; what it opens outlives the root.
func (d inside) Open(name string) (fs.File, error) {
	return within(d, func(r *os.Root) (fs.File, error) { return r.FS().Open(name) })
}

// Stat implements fs.StatFS.
func (d inside) Stat(name string) (fs.FileInfo, error) {
	return within(d, func(r *os.Root) (fs.FileInfo, error) { return fs.Stat(r.FS(), name) })
}

// Lstat implements fs.ReadLinkFS.
func (d inside) Lstat(name string) (fs.FileInfo, error) {
	return within(d, func(r *os.Root) (fs.FileInfo, error) { return fs.Lstat(r.FS(), name) })
}

// ReadLink implements fs.ReadLinkFS.
func (d inside) ReadLink(name string) (string, error) {
	return within(d, func(r *os.Root) (string, error) { return fs.ReadLink(r.FS(), name) })
}

// ReadDir implements fs.ReadDirFS.
func (d inside) ReadDir(name string) ([]fs.DirEntry, error) {
	return within(d, func(r *os.Root) ([]fs.DirEntry, error) { return fs.ReadDir(r.FS(), name) })
}

// ReadFile implements fs.ReadFileFS.
func (d inside) ReadFile(name string) ([]byte, error) {
	return within(d, func(r *os.Root) ([]byte, error) { return fs.ReadFile(r.FS(), name) })
}
