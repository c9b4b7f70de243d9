package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"migrate-init/pkg/rootfs"
)

// hostTree is a directory of the host for [rootfs.Resolve]. Unlike os.DirFS it accepts names that are not UTF-8.
type hostTree string

func (t hostTree) Lstat(name string) (fs.FileInfo, error) {
	return os.Lstat(filepath.Join(string(t), name))
}

func (t hostTree) ReadLink(name string) (string, error) {
	return os.Readlink(filepath.Join(string(t), name))
}

// resolveIn returns the path on the host of what a process with the root directory root sees at the absolute path name.
func resolveIn(root, name string) (string, error) {
	f, err := rootfs.Resolve(hostTree(root), name, rootfs.Options{})
	return filepath.Join(root, f.Path), err
}

// executableIn returns an error unless name is an executable regular file for a process with the root directory root.
func executableIn(root, name string) error {
	host, err := resolveIn(root, name)
	if err != nil {
		return err
	}
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return pathError("execute", name, errors.New("not a regular file"))
	}
	if info.Mode()&0o111 == 0 {
		return pathError("execute", name, fs.ErrPermission)
	}
	return nil
}

// lookPath searches the PATH of env for the program name, and returns its path inside root.
func lookPath(root, name string, env []string) (string, error) {
	if root == "" {
		root = "/"
	}
	if name == "" {
		return "", errors.New("program has no name")
	}
	if strings.HasPrefix(name, "/") {
		return name, executableIn(root, name)
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs := pathOf(env)
	for dir := range strings.SplitSeq(dirs, ":") {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if p := path.Join(dir, name); executableIn(root, p) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("program %s: not found in %s of %s: %w", name, dirs, root, fs.ErrNotExist)
}

func pathOf(env []string) string {
	dirs := defaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			dirs = v
		}
	}
	return dirs
}
