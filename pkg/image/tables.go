package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/kmod"
)

// tables writes depmod's tables cut down to what was chosen, in the order of the host's. Those of what is built in stay
// whole: they tell a name that needs no file from one that is missing.
func (c *collector) tables(tree fs.FS, dir string, s *selection) error {
	chosen := func(name string) bool { _, ok := s.chosen[kmod.Name(name)]; return ok }
	for _, t := range []struct {
		name string
		line func(string) (string, bool) // nil copies
	}{
		{"modules.dep", func(l string) (string, bool) { return depLine(l, chosen) }},
		{"modules.alias", func(l string) (string, bool) {
			f := strings.Fields(l)
			return l, len(f) == 3 && chosen(f[2])
		}},
		{"modules.softdep", func(l string) (string, bool) {
			f := strings.Fields(l)
			return l, len(f) > 1 && f[0] == "softdep" && chosen(f[1])
		}},
		{"modules.builtin", nil},
		{"modules.builtin.alias", nil},
		{"modules.builtin.modinfo", nil},
	} {
		data, err := fs.ReadFile(tree, t.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // NewIndex has insisted on those that must be there
		}
		if err != nil {
			return fmt.Errorf("kernel modules: %s: %w", t.name, cause(err))
		}
		why := "names of what is built in"
		if t.line != nil {
			data, why = cutTable(data, t.line), "table of the modules above"
		}
		c.file(path.Join(dir, t.name), 0o644, data, why)
	}
	return nil
}

func cutTable(data []byte, keep func(string) (string, bool)) []byte {
	var out bytes.Buffer
	for l := range strings.Lines(string(data)) {
		if l, ok := keep(strings.TrimSuffix(l, "\n")); ok {
			out.WriteString(l + "\n")
		}
	}
	return out.Bytes()
}

// depLine is a line of modules.dep with the paths of an image; old depmods wrote them absolute.
func depLine(l string, chosen func(string) bool) (string, bool) {
	file, deps, ok := strings.Cut(l, ":")
	if !ok || !chosen(file) {
		return "", false
	}
	short := func(p string) string {
		if rest, ok := strings.CutPrefix(p, "/lib/modules/"); ok {
			_, p, _ = strings.Cut(rest, "/")
		}
		return plainName(p)
	}
	out := short(file) + ":"
	for _, d := range strings.Fields(deps) {
		out += " " + short(d)
	}
	return out, true
}
