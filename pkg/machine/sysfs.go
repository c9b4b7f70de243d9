package machine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxSmall is far larger than any attribute that is read here, in bytes.
const maxSmall = 4 << 10

func readSmall(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxSmall {
		return "", errors.New("too long")
	}
	return strings.TrimSpace(string(text)), nil
}

// Consoles returns the device paths of the kernel's consoles in the kernel's order: the last one is that of /dev/console. If
// sysfs does not list them, it returns /dev/console.
func Consoles() []string { return consoles(os.DirFS("/")) }

func consoles(fsys fs.FS) []string {
	text, err := readSmall(fsys, "sys/class/tty/console/active")
	if err != nil {
		return []string{"/dev/console"}
	}
	var out []string
	for name := range strings.FieldsSeq(text) {
		if !strings.Contains(name, "..") {
			out = append(out, "/dev/"+name)
		}
	}
	if out == nil {
		return []string{"/dev/console"}
	}
	return out
}
