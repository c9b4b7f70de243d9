package kmod

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Index holds the modules of one kernel release. Create it with [NewIndex].
type Index struct {
	conf    *Config
	modules map[string]entry  // by canonical name
	builtin map[string]string // canonical name -> path as in modules.builtin
	aliases aliasTable        // modules.alias
	native  aliasTable        // aliases of built-in modules
	config  aliasTable        // modprobe.d
	soft    map[string]SoftDep
}

type entry struct {
	path string
	deps []string // canonical names, in the order of modules.dep
}

// NewIndex reads the tables in a directory such as /lib/modules/RELEASE. modules.dep must exist
// (depmod creates it); modules.alias, modules.softdep, modules.builtin, modules.builtin.alias
// and modules.builtin.modinfo may be absent. conf may be nil.
func NewIndex(dir fs.FS, conf *Config) (*Index, error) {
	if conf == nil {
		conf = &Config{}
	}
	x := &Index{conf: conf, modules: map[string]entry{}, builtin: map[string]string{}, soft: map[string]SoftDep{}}
	for _, table := range []struct {
		name  string
		parse func(string, []byte) error
		must  bool
	}{
		{"modules.dep", x.parseDep, true},
		{"modules.alias", x.aliases.parse, false},
		{"modules.softdep", x.parseSoftDep, false},
		{"modules.builtin", x.parseBuiltin, false},
		{"modules.builtin.alias", x.native.parse, false},
		{"modules.builtin.modinfo", x.parseModinfo, false},
	} {
		data, err := readTable(dir, table.name)
		if errors.Is(err, fs.ErrNotExist) {
			if !table.must {
				continue
			}
			err = fmt.Errorf("%w (run depmod)", err)
		}
		if err != nil {
			return nil, fmt.Errorf("kernel modules: %w", err)
		}
		if err := table.parse(table.name, data); err != nil {
			return nil, fmt.Errorf("kernel modules: %w", err)
		}
	}
	for _, a := range conf.Aliases {
		x.config.add(a.Pattern, a.Module)
	}
	for _, d := range conf.SoftDeps {
		x.addSoft(d)
	}
	return x, nil
}

func (x *Index) addSoft(d SoftDep) {
	have := x.soft[d.Module]
	have.Module = d.Module
	have.Pre = append(have.Pre, d.Pre...)
	have.Post = append(have.Post, d.Post...)
	x.soft[d.Module] = have
}

// relative makes a path relative to the release's directory; old versions of depmod write absolute paths.
func relative(p string) string {
	if rest, ok := strings.CutPrefix(p, "/lib/modules/"); ok {
		if _, in, ok := strings.Cut(rest, "/"); ok {
			return in
		}
	}
	return p
}

func (x *Index) parseDep(name string, data []byte) error {
	return lines(name, data, func(line int, s string) error {
		file, deps, ok := strings.Cut(s, ":")
		if !ok {
			return fmt.Errorf("%s:%d: no colon in %.80q", name, line, s)
		}
		file = relative(file)
		if !fs.ValidPath(file) {
			return fmt.Errorf("%s:%d: path %.80q leads outside the directory", name, line, file)
		}
		e := entry{path: file}
		for _, d := range strings.Fields(deps) {
			e.deps = append(e.deps, Name(d))
		}
		x.modules[Name(file)] = e
		return nil
	})
}

func (x *Index) parseSoftDep(name string, data []byte) error {
	return lines(name, data, func(line int, s string) error {
		f := strings.Fields(s)
		if f[0] != "softdep" || len(f) < 2 {
			return fmt.Errorf("%s:%d: %.80q is not a softdep", name, line, s)
		}
		x.addSoft(parseSoftDep(f))
		return nil
	})
}

func (x *Index) parseBuiltin(name string, data []byte) error {
	return lines(name, data, func(_ int, s string) error {
		x.builtin[Name(s)] = s
		return nil
	})
}

// parseModinfo reads the aliases from NUL-terminated strings MODULE.KEY=VALUE.
func (x *Index) parseModinfo(_ string, data []byte) error {
	for s := range bytes.SplitSeq(data, []byte{0}) {
		key, value, ok := bytes.Cut(s, []byte("="))
		module, isAlias := bytes.CutSuffix(key, []byte(".alias"))
		if ok && isAlias {
			x.native.add(normalAlias(string(value)), Name(string(module)))
		}
	}
	return nil
}

// aliasTable groups patterns by the text before their first ':' ("pci", "usb", "fs_ext4" ...), which
// avoids almost all comparisons.
type aliasTable struct {
	bus map[string][]Alias
	any []Alias // patterns with a wildcard before the first ':'
}

func (t *aliasTable) parse(name string, data []byte) error {
	return lines(name, data, func(line int, s string) error {
		f := strings.Fields(s)
		if len(f) != 3 || f[0] != "alias" {
			return fmt.Errorf("%s:%d: %.80q is not an alias", name, line, s)
		}
		t.add(normalAlias(f[1]), Name(f[2]))
		return nil
	})
}

func (t *aliasTable) add(pattern, module string) {
	bus, _, _ := strings.Cut(pattern, ":")
	if strings.ContainsAny(bus, `*?[\`) {
		t.any = append(t.any, Alias{pattern, module})
		return
	}
	if t.bus == nil {
		t.bus = map[string][]Alias{}
	}
	t.bus[bus] = append(t.bus[bus], Alias{pattern, module})
}

// find returns the modules of all patterns that match, each once, in the order of the table.
func (t *aliasTable) find(alias string) []string {
	bus, _, _ := strings.Cut(alias, ":")
	var found []string
	seen := map[string]bool{}
	for _, list := range [][]Alias{t.bus[bus], t.any} {
		for _, a := range list {
			if !seen[a.Module] && match(a.Pattern, alias) {
				seen[a.Module] = true
				found = append(found, a.Module)
			}
		}
	}
	return found
}

func readBounded(name string, r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return data, nil
}
