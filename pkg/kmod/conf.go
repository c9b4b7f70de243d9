package kmod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Alias is one line `alias PATTERN MODULE`.
type Alias struct{ Pattern, Module string }

// SoftDep is one line `softdep MODULE pre: ... post: ...`.
type SoftDep struct {
	Module    string
	Pre, Post []string
}

// Install is one line `install MODULE COMMAND`.
type Install struct {
	Module, Command string
	Where           string // "file:line"
}

// Config is the configuration of modprobe.d(5) and the kernel command line. The
// zero value is empty.
type Config struct {
	Aliases  []Alias
	Options  map[string][]string // module -> options in order
	SoftDeps []SoftDep
	Installs []Install
	// Blacklist holds modules whose aliases are ignored (modprobe.d); they can still be loaded by name.
	Blacklist map[string]string // module -> "file:line" or kernel parameter
	// Refused holds modules that must not be loaded at all: module_blacklist= and
	// rd.driver.blacklist=.
	Refused map[string]string // module -> kernel parameter
	// Ignored holds the lines that modprobe, too, would report and skip: "file:line: text".
	Ignored []string
}

// maxTable limits a text table of depmod or modprobe, in bytes; modules.alias of a
// distribution kernel has 1-2 MiB.
const maxTable = 64 << 20

// ConfigDirs returns the directories of modprobe.d(5), relative to the root, in descending priority.
func ConfigDirs() []string {
	return []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"}
}

// ReadConfig reads the *.conf files of ConfigDirs below a root, in the order of
// their names. Of files with the same name only the one in the directory with the
// highest priority counts. ReadConfig skips absent directories.
func ReadConfig(root fs.FS) (*Config, error) {
	files := map[string]string{}
	for _, dir := range ConfigDirs() {
		list, err := fs.ReadDir(root, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("modprobe configuration: %w", err)
		}
		for _, e := range list {
			p := path.Join(dir, e.Name())
			if _, masked := files[e.Name()]; masked || e.Name()[0] == '.' || !strings.HasSuffix(e.Name(), ".conf") {
				continue
			}
			// Dangling links and directories are skipped, and hide no file of that name elsewhere.
			info, err := fs.Stat(root, p)
			if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("modprobe configuration: %w", err)
			}
			files[e.Name()] = p
		}
	}
	c := &Config{}
	order := make([]string, 0, len(files))
	for name := range files {
		order = append(order, name)
	}
	slices.Sort(order)
	for _, name := range order {
		data, err := readTable(root, files[name])
		if err != nil {
			return nil, fmt.Errorf("modprobe configuration: %w", err)
		}
		if err := c.parse(files[name], data); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// parse adds one file of modprobe.d; name is for messages. It fails only on a
// line of more than 1 MiB.
func (c *Config) parse(name string, data []byte) error {
	return wrapped(name, data, func(line int, s string) error {
		where := fmt.Sprintf("%s:%d", name, line)
		if !c.parseLine(strings.Fields(s), s, where) {
			c.Ignored = append(c.Ignored, where+": "+s)
		}
		return nil
	})
}

// parseLine reports whether it understood the line.
func (c *Config) parseLine(f []string, s, where string) bool {
	words := map[string]int{"alias": 3, "blacklist": 2, "options": 3, "install": 3, "softdep": 2}
	if len(f) < words[f[0]] {
		return false
	}
	switch f[0] {
	case "alias":
		c.Aliases = append(c.Aliases, Alias{normalAlias(f[1]), Name(f[2])})
	case "blacklist":
		c.Blacklist = put(c.Blacklist, Name(f[1]), where)
	case "options":
		c.addOption(Name(f[1]), afterWords(s, 2))
	case "install":
		c.Installs = append(c.Installs, Install{Name(f[1]), afterWords(s, 2), where})
	case "softdep":
		c.SoftDeps = append(c.SoftDeps, parseSoftDep(f))
	case "weakdep", "remove":
		// They do not change which modules are loaded.
	default:
		return false
	}
	return true
}

// Cmdline adds what the kernel command line says about modules: MODULE.PARAM[=VALUE],
// module_blacklist= and rd.driver.blacklist= (never loaded), modprobe.blacklist= (aliases ignored).
// words are the parameters as the kernel splits them, without quotes.
func (c *Config) Cmdline(words []string) {
	for _, w := range words {
		key, value, has := strings.Cut(w, "=")
		switch key {
		case "module_blacklist", "rd.driver.blacklist", "modprobe.blacklist":
			for m := range strings.SplitSeq(value, ",") {
				if m == "" {
					continue
				}
				if key == "modprobe.blacklist" {
					c.Blacklist = put(c.Blacklist, Name(m), w)
				} else {
					c.Refused = put(c.Refused, Name(m), w)
				}
			}
			continue
		}
		module, param, dotted := strings.Cut(key, ".")
		if !dotted || module == "" || param == "" {
			continue
		}
		if has {
			if strings.ContainsAny(value, " \t") {
				value = `"` + value + `"`
			}
			param += "=" + value
		}
		c.addOption(Name(module), param)
	}
}

func (c *Config) addOption(module, option string) {
	if c.Options == nil {
		c.Options = map[string][]string{}
	}
	c.Options[module] = append(c.Options[module], option)
}

func put(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	if _, there := m[k]; !there {
		m[k] = v
	}
	return m
}

// parseSoftDep reads a line of at least two words. modprobe ignores words before pre: or post:, which cifs of
// Linux 6.1 has.
func parseSoftDep(f []string) SoftDep {
	d := SoftDep{Module: Name(f[1])}
	var before []string
	list := &before
	for _, w := range f[2:] {
		switch w {
		case "pre:":
			list = &d.Pre
		case "post:":
			list = &d.Post
		default:
			*list = append(*list, w)
		}
	}
	return d
}

// afterWords returns s without its first n words, with its inner spaces unchanged.
func afterWords(s string, n int) string {
	for range n {
		s = strings.TrimLeft(s, " \t")
		if i := strings.IndexAny(s, " \t"); i >= 0 {
			s = s[i:]
		}
	}
	return strings.TrimSpace(s)
}

// maxLine limits a line, in bytes, after continued lines are joined.
const maxLine = 1 << 20

// lines calls fn with each line of a depmod table that is neither empty nor a comment.
func lines(name string, data []byte, fn func(line int, s string) error) error {
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		if s := strings.TrimSpace(sc.Text()); s != "" && s[0] != '#' {
			if err := fn(n, s); err != nil {
				return err
			}
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// wrapped is lines for modprobe's configuration: a backslash is removed, and with it a newline after it, so that the
// next line continues this one (freadline_wrapped in kmod's shared/util.c).
func wrapped(name string, data []byte, fn func(line int, s string) error) error {
	var b strings.Builder
	number, start := 1, 1
	end := func() error {
		s := strings.TrimSpace(b.String())
		b.Reset()
		if s == "" || s[0] == '#' {
			return nil
		}
		return fn(start, s)
	}
	for i := 0; i < len(data); i++ {
		c := data[i]
		if c == '\n' {
			number++
			if err := end(); err != nil {
				return err
			}
			start = number
			continue
		}
		if c == '\\' {
			if i++; i == len(data) {
				break
			}
			if c = data[i]; c == '\n' {
				number++
				continue
			}
		}
		if b.Len() == maxLine {
			return fmt.Errorf("%s:%d: %w", name, start, bufio.ErrTooLong)
		}
		b.WriteByte(c)
	}
	return end()
}

func readTable(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return readBounded(name, f, maxTable)
}
