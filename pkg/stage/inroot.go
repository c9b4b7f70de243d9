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
func inRoot(root fs.FS, name string) (string, error) {
	done, left := "/", strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	for links := 0; len(left) > 1; {
		next := path.Join(done, left[0])
		left = left[1:]
		target, err := fs.ReadLink(root, strings.TrimPrefix(next, "/"))
		var pe *fs.PathError
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist), errors.As(err, &pe):
			// Not a link, or not there yet.
			done = next
			continue
		default:
			return "", fmt.Errorf("file %s: %w", name, err)
		}
		if links++; links > 40 {
			return "", fmt.Errorf("file %s: too many symbolic links on the way", name)
		}
		if !path.IsAbs(target) {
			target = path.Join(done, target)
		}
		done, left = "/", append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), left...)
	}
	return path.Join(done, left[0]), nil
}
