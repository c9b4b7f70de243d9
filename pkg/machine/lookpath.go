package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const maxLinks = 40 // as the kernel's limit for one path

// resolveIn returns the host's path of what name (absolute) is for a process whose root is root: every symbolic link,
// the last one too, is read against root, and ".." never leaves it.
func resolveIn(root, name string) (string, error) {
	var done []string
	todo := strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = done[:max(0, len(done)-1)]
			continue
		}
		host := filepath.Join(root, filepath.Join(done...), part)
		info, err := os.Lstat(host)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = append(done, part)
			continue
		}
		if links++; links > maxLinks {
			return "", pathError("resolve", path.Join("/", name), errors.New("too many symbolic links"))
		}
		target, err := os.Readlink(host)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			done = nil
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return filepath.Join(root, filepath.Join(done...)), nil
}

// executableIn fails unless name is an executable regular file for a process whose root is root.
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

// lookPath returns the path, as seen inside root, of the program name in the PATH of env.
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
