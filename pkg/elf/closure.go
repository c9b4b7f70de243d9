package elf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// File is one file that an image needs.
type File struct {
	Path      string // absolute in the root; no component of its directory is a symbolic link
	Link      string // target of a symbolic link as stored; "" for a regular file
	Why       string // "tool", "loader of /usr/bin/x", "libc.so.6, needed by /usr/bin/x" ...
	SearchDir string // the directory of a library that the loader finds only through ld.so.conf; otherwise ""
}

// MissingError is the error for a library that is in none of the directories.
type MissingError struct {
	Tool    string   // the file that the caller asked for
	Library string   // name of the library
	By      string   // the object that needs it
	Dirs    []string // directories that were searched
	Passed  []string // files with that name that do not match, with the reason
}

func (e *MissingError) Error() string {
	s := fmt.Sprintf("tool %s: library %s, needed by %s: not found in %s", e.Tool, e.Library, e.By, strings.Join(e.Dirs, ":"))
	if len(e.Passed) > 0 {
		s += " (" + strings.Join(e.Passed, "; ") + ")"
	}
	return s
}

func (e *MissingError) pass(why string) {
	if why != "" && !slices.Contains(e.Passed, why) {
		e.Passed = append(e.Passed, why)
	}
}

// Bounds, far above what real programs have.
const (
	maxObjects = 4096 // in one closure
	maxNeeded  = 1024 // of one object
	maxScripts = 4    // nested interpreters that are scripts, as in the kernel
	pathMax    = 4096
)

// Closure returns all files that the tools at paths need, including the tools, each
// once and sorted by Path. root is their tree, the FS of an [os.Root] or [os.DirFS];
// absolute symbolic links lead to paths inside root. dlopen names libraries to add
// with all that they need: a path, or a name ("libgcc_s.so.1") that is searched for in
// the default directories of the first ELF tool.
//
// A missing library is a [*MissingError]. The error for a missing tool, interpreter or
// loader wraps [fs.ErrNotExist] and names the tool. A tool that is neither ELF nor a
// script is an error.
func Closure(root fs.ReadLinkFS, paths []string, dlopen []string) ([]File, error) {
	c := &closure{tree: newTree(root), objects: map[string]*object{}, searched: map[string]string{}}
	if err := c.readConf(); err != nil {
		return nil, err
	}
	for _, p := range paths {
		if err := c.tool(absolute(p), "tool", 0); err != nil {
			return nil, fmt.Errorf("tool %s: %w", absolute(p), err)
		}
	}
	for _, lib := range dlopen {
		if err := c.dlopen(lib); err != nil {
			return nil, err
		}
	}
	return c.answer(), nil
}

type closure struct {
	tree     *tree
	conf     []string           // directories of ld.so.conf
	objects  map[string]*object // by real path
	abi      *object            // of the first ELF tool
	searched map[string]string  // real path of a library -> its SearchDir
}

func absolute(p string) string { return path.Clean("/" + p) }

func (c *closure) answer() []File {
	files := make([]File, 0, len(c.tree.seen))
	for _, f := range c.tree.seen {
		f.SearchDir = c.searched[f.Path]
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// tool adds a program or script. Its errors do not name the tool.
func (c *closure) tool(p, why string, depth int) error {
	final, err := c.tree.add(p, why)
	if err != nil {
		return err
	}
	line, err := c.tree.firstLine(final)
	if err != nil {
		return err
	}
	if script, ok := strings.CutPrefix(line, "#!"); ok {
		if depth == maxScripts {
			return fmt.Errorf("more than %d nested scripts as interpreters", maxScripts)
		}
		return c.script(final, script, depth)
	}
	o, err := c.object(final)
	if err != nil {
		return err
	}
	if c.abi == nil {
		c.abi = o
	}
	l := &loaded{object: o, path: final}
	return c.load(p, l)
}

// script adds the interpreter, and the program that env looks for.
func (c *closure) script(final, line string, depth int) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return errors.New("the script names no interpreter")
	}
	why := "interpreter of " + final
	if err := c.tool(absolute(words[0]), why, depth+1); err != nil {
		return fmt.Errorf("interpreter %s: %w", words[0], err)
	}
	if path.Base(words[0]) != "env" {
		return nil
	}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
			p := path.Join(dir, w)
			if strings.HasPrefix(w, "/") {
				p = w
			}
			if c.tree.exists(p) {
				return c.tool(p, why, depth+1)
			}
		}
		return fmt.Errorf("interpreter %s, by env: %w", w, fs.ErrNotExist)
	}
	return nil
}

func (c *closure) object(final string) (*object, error) {
	if o, ok := c.objects[final]; ok {
		return o, nil
	}
	if len(c.objects) == maxObjects {
		return nil, fmt.Errorf("closure has more than %d objects", maxObjects)
	}
	o, err := c.tree.readObject(final)
	if err != nil {
		return nil, err
	}
	c.objects[final] = o
	return o, nil
}

// loaded is an object in one process.
type loaded struct {
	*object
	path string  // as it was found
	by   *loaded // the object that needs it
}

// load adds what an object needs, breadth first, as the loader does: a library that is already
// loaded satisfies a later need with the same name.
func (c *closure) load(tool string, first *loaded) error {
	have := map[string]bool{path.Base(first.path): true, first.soname: true}
	if first.interp != "" {
		if _, err := c.tree.add(absolute(first.interp), "loader of "+first.path); err != nil {
			return fmt.Errorf("loader %s: %w", first.interp, err)
		}
		have[path.Base(first.interp)] = true
	}
	for queue := []*loaded{first}; len(queue) > 0; queue = queue[1:] {
		user := queue[0]
		for _, name := range user.needed {
			if have[name] {
				continue
			}
			have[name] = true
			lib, err := c.find(tool, name, user, first.interp)
			if err != nil {
				return err
			}
			have[lib.soname] = true
			queue = append(queue, lib)
		}
	}
	return nil
}

func (c *closure) dlopen(lib string) error {
	if strings.Contains(lib, "/") {
		p := absolute(lib)
		final, err := c.tree.add(p, "opened by dlopen")
		if err != nil {
			return fmt.Errorf("library %s: %w", p, err)
		}
		o, err := c.object(final)
		if err != nil {
			return fmt.Errorf("library %s: %w", p, err)
		}
		return c.load(p, &loaded{object: o, path: p})
	}
	if c.abi == nil {
		return fmt.Errorf("library %s: unknown architecture, as there is no ELF tool", lib)
	}
	user := &loaded{object: &object{abi: c.abi.abi}, path: "dlopen"}
	l, err := c.find("dlopen", lib, user, c.abi.interp)
	if err != nil {
		return err
	}
	return c.load(l.path, l)
}
