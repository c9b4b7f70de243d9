package elf

import (
	delf "debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/rootfs"
)

// find adds the library that the loader would use for name.
func (c *closure) find(tool, name string, user *loaded, interp string) (*loaded, error) {
	missing := &MissingError{Tool: tool, Library: name, By: user.path}
	if strings.Contains(name, "/") {
		// The name is relative to the working directory, which in the image is its root.
		for _, p := range expand(name, user) {
			l, why := c.try(absolute(p), user)
			if l != nil {
				return l, c.keep(l, name)
			}
			missing.pass(why)
			missing.Dirs = append(missing.Dirs, path.Dir(absolute(p)))
		}
		return nil, missing
	}
	own := user.dirs()
	defaults := defaultDirs(user.abi, interp)
	all := slices.Concat(own, c.conf, defaults)
	for _, level := range append([]string{""}, hwcaps(user.machine)...) {
		for i, dir := range all {
			l, why := c.try(path.Join(dir, level, name), user)
			if l == nil {
				missing.pass(why)
				continue
			}
			if i >= len(own) && i < len(own)+len(c.conf) && !c.isDefault(dir, defaults) {
				if final, _, _, err := c.tree.resolve(l.path); err == nil {
					c.searched[final] = dir
				}
			}
			return l, c.keep(l, name)
		}
	}
	missing.Dirs = unique(all)
	return nil, missing
}

// try returns nil if there is no such file, and nil with the reason if there is one that does not match.
func (c *closure) try(p string, user *loaded) (*loaded, string) {
	final, _, info, err := c.tree.resolve(p)
	if err != nil || !info.Mode().IsRegular() {
		return nil, ""
	}
	o, err := c.object(final)
	if err != nil {
		return nil, err.Error()
	}
	if o.abi != user.abi {
		return nil, fmt.Sprintf("%s is for %v %v", p, o.machine, o.class)
	}
	return &loaded{object: o, path: p, by: user}, ""
}

func (c *closure) keep(l *loaded, name string) error {
	_, err := c.tree.add(l.path, name+", needed by "+l.by.path)
	return err
}

// dirs returns an object's own directories. It inherits DT_RPATH from the objects that led to it;
// if it has a DT_RUNPATH, no DT_RPATH counts.
func (l *loaded) dirs() []string {
	if len(l.runpath) > 0 {
		return expandAll(l.runpath, l)
	}
	var dirs []string
	for o := l; o != nil; o = o.by {
		if len(o.runpath) == 0 {
			dirs = append(dirs, expandAll(o.rpath, o)...)
		}
	}
	return dirs
}

func expandAll(list []string, l *loaded) []string {
	var dirs []string
	for _, d := range list {
		if d != "" { // an empty name is the working directory, which is never intended
			for _, e := range expand(d, l) {
				dirs = append(dirs, absolute(e))
			}
		}
	}
	return dirs
}

// expand replaces $ORIGIN, $LIB and $PLATFORM. $LIB differs between distributions, so expand returns each variant.
func expand(s string, l *loaded) []string {
	if !strings.Contains(s, "$") {
		return []string{s}
	}
	replace := func(s, name, value string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "${"+name+"}", value), "$"+name, value)
	}
	s = replace(s, "ORIGIN", path.Dir(l.path))
	s = replace(s, "PLATFORM", platform(l.machine))
	if !strings.Contains(s, "$LIB") && !strings.Contains(s, "${LIB}") {
		return []string{s}
	}
	var all []string
	for _, lib := range []string{"lib/" + triplet(l.abi), "lib64", "lib"} {
		all = append(all, replace(s, "LIB", lib))
	}
	return all
}

func platform(m delf.Machine) string {
	switch m {
	case delf.EM_X86_64:
		return "x86_64"
	case delf.EM_AARCH64:
		return "aarch64"
	case delf.EM_386:
		return "i686"
	case delf.EM_RISCV:
		return "riscv64"
	}
	return ""
}

// triplet returns Debian's multiarch name, or "" if it is not known.
func triplet(a abi) string {
	switch a.machine {
	case delf.EM_X86_64:
		if a.class == delf.ELFCLASS32 {
			return "x86_64-linux-gnux32"
		}
		return "x86_64-linux-gnu"
	case delf.EM_386:
		return "i386-linux-gnu"
	case delf.EM_AARCH64:
		return "aarch64-linux-gnu"
	case delf.EM_ARM:
		return "arm-linux-gnueabihf"
	case delf.EM_RISCV:
		return "riscv64-linux-gnu"
	case delf.EM_PPC64:
		return "powerpc64le-linux-gnu"
	case delf.EM_S390:
		return "s390x-linux-gnu"
	}
	return ""
}

// defaultDirs returns the directories that are built into the loaders of all distributions. The
// last is the loader's own directory, for loaders in a prefix of their own (NixOS, Guix).
func defaultDirs(a abi, interp string) []string {
	var dirs []string
	if t := triplet(a); t != "" {
		dirs = append(dirs, "/lib/"+t, "/usr/lib/"+t)
	}
	if a.class == delf.ELFCLASS64 {
		dirs = append(dirs, "/lib64", "/usr/lib64")
	}
	dirs = append(dirs, "/lib", "/usr/lib")
	if strings.HasPrefix(path.Base(interp), "ld-musl") {
		dirs = append(dirs, "/usr/local/lib")
	}
	if interp != "" {
		dirs = append(dirs, path.Dir(absolute(interp)))
	}
	return unique(dirs)
}

func hwcaps(m delf.Machine) []string {
	switch m {
	case delf.EM_X86_64:
		return []string{"glibc-hwcaps/x86-64-v2", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v4"}
	case delf.EM_PPC64:
		return []string{"glibc-hwcaps/power9", "glibc-hwcaps/power10"}
	case delf.EM_S390:
		return []string{"glibc-hwcaps/z13", "glibc-hwcaps/z14", "glibc-hwcaps/z15"}
	}
	return nil
}

// isDefault compares real paths: /lib/x may be /usr/lib/x.
func (c *closure) isDefault(dir string, defaults []string) bool {
	final, _, _, err := c.tree.resolve(dir)
	for _, d := range defaults {
		other, _, _, otherErr := c.tree.resolve(d)
		if err == nil && otherErr == nil && final == other {
			return true
		}
	}
	return false
}

func unique(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
		twice := seen[s]
		seen[s] = true
		return twice
	})
}

// readConf reads /etc/ld.so.conf and the files that it includes (ldconfig(8)). It is not an error if there is none.
func (c *closure) readConf() error {
	err := c.confFile("/etc/ld.so.conf", 0)
	c.conf = unique(c.conf)
	return err
}

const (
	maxConf     = 1 << 20
	maxConfDirs = 1000
)

func (c *closure) confFile(p string, depth int) error {
	final, _, info, err := c.tree.resolve(p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("library directories: %w", err)
	}
	data, err := c.tree.read(final, maxConf)
	if err != nil {
		return fmt.Errorf("library directories: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "hwcap":
		case words[0] == "include":
			for _, pattern := range words[1:] {
				if !strings.HasPrefix(pattern, "/") {
					pattern = path.Join(path.Dir(p), pattern)
				}
				if err := c.confGlob(pattern, depth+1); err != nil {
					return err
				}
			}
		default:
			dir, _, _ := strings.Cut(words[0], "=") // "=libc6": a type that is no longer used
			c.conf = append(c.conf, absolute(dir))
		}
		if len(c.conf) > maxConfDirs {
			return fmt.Errorf("library directories: %s: more than %d", p, maxConfDirs)
		}
	}
	return nil
}

// confGlob includes the files that match, sorted; wildcards work only in the last component.
func (c *closure) confGlob(pattern string, depth int) error {
	if depth > 8 {
		return fmt.Errorf("library directories: %s: included more than 8 deep", pattern)
	}
	dir, base := path.Split(pattern)
	final, _, _, err := c.tree.resolve(dir)
	if err != nil {
		return nil //nolint:nilerr // ldconfig, too, continues if nothing matches
	}
	list, err := fs.ReadDir(c.tree.root, rootfs.Name(final))
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	for _, e := range list {
		if ok, err := path.Match(base, e.Name()); err != nil {
			return fmt.Errorf("library directories: pattern %q: %w", pattern, err)
		} else if ok {
			if err := c.confFile(path.Join(dir, e.Name()), depth); err != nil {
				return err
			}
		}
	}
	return nil
}
