package machine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Bounds of what is read of sysfs: far above any real machine.
const (
	maxDepth    = 40
	maxAliases  = 1 << 16
	maxModalias = 4 << 10
)

// Modaliases returns the aliases of all devices present, sorted, each once, from fsys, which is rooted at "/". A device
// that vanishes while it is read is left out.
func Modaliases(fsys fs.FS) ([]string, error) {
	seen := map[string]bool{}
	err := fs.WalkDir(fsys, "sys/devices", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == "sys/devices":
			return err
		case err != nil:
			return nil
		case len(seen) >= maxAliases:
			return fs.SkipAll
		case d.IsDir() && strings.Count(name, "/") > maxDepth:
			return fs.SkipDir
		case d.Type().IsRegular() && path.Base(name) == "modalias":
			if alias, err := readSmall(fsys, name); err == nil && alias != "" {
				seen[alias] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	aliases := make([]string, 0, len(seen))
	for a := range seen {
		aliases = append(aliases, a)
	}
	slices.Sort(aliases)
	return aliases, nil
}

func readSmall(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxModalias+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxModalias {
		return "", errors.New("too long")
	}
	return strings.TrimSpace(string(text)), nil
}

// Consoles returns the device paths of the kernel's consoles in its order: the last one is where /dev/console leads.
// Where sysfs does not tell it is /dev/console.
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
