package kmod

import (
	"fmt"
	"slices"
	"strings"
)

// Module is a file to load.
type Module struct {
	Name    string // canonical
	Path    string // relative to the release's directory
	Options string // for finit_module
	Why     string // "asked for", "needed by NAME", "before NAME" or "after NAME" (softdep)
	// Soft is set if only soft dependencies lead to it. Loading it may then fail, as with crc32c_intel
	// on a processor without the instruction.
	Soft bool
}

// MissingError is the error for a name that is neither a module nor built in nor an alias.
type MissingError struct {
	Name string
	By   string // the module that depends on it; "" if the caller asked for it
}

func (e *MissingError) Error() string {
	if e.By != "" {
		return fmt.Sprintf("module %s: not found, and %s depends on it", e.Name, e.By)
	}
	return fmt.Sprintf("module %s: not found, neither as a file, nor built in, nor as an alias", e.Name)
}

// RefusedError is the error for a module that the configuration forbids. By is the module that depends on it, if any;
// Where is the line or kernel parameter that forbids it.
type RefusedError struct{ Name, By, Where string }

func (e *RefusedError) Error() string {
	if e.By != "" && e.By != e.Name {
		return fmt.Sprintf("module %s (%s depends on it): forbidden by %s", e.Name, e.By, e.Where)
	}
	return fmt.Sprintf("module %s: forbidden by %s", e.Name, e.Where)
}

// Lookup returns the modules for a name or modalias, including built-in ones. Like modprobe, it uses the first of
// these that has any: aliases of modprobe.d, modules, modules.alias, built-in modules, aliases of built-in modules.
// Modules that are blacklisted, refused, or disabled by `install NAME /bin/true` are not found by an alias. The
// result is empty if there are none.
func (x *Index) Lookup(nameOrAlias string) []string {
	found, _ := x.lookup(nameOrAlias)
	return found
}

// lookup also reports whether there was anything before the blacklist was applied.
func (x *Index) lookup(s string) (found []string, known bool) {
	alias := normalAlias(s)
	name := Name(s)
	if list := x.config.find(alias); len(list) > 0 {
		return x.allowed(list), true
	}
	if strings.ContainsRune(s, ':') {
		name = ""
	}
	if _, ok := x.modules[name]; ok {
		return []string{name}, true
	}
	if list := x.aliases.find(alias); len(list) > 0 {
		return x.allowed(list), true
	}
	if _, ok := x.builtin[name]; ok {
		return []string{name}, true
	}
	list := x.native.find(alias)
	return x.allowed(list), len(list) > 0
}

func (x *Index) allowed(list []string) []string {
	return slices.DeleteFunc(list, func(m string) bool {
		_, black := x.conf.Blacklist[m]
		_, refused := x.conf.Refused[m]
		return black || refused || x.disabled(m)
	})
}

// Builtin reports whether the module is part of the kernel.
func (x *Index) Builtin(name string) bool {
	_, ok := x.builtin[Name(name)]
	return ok
}

// Options returns the parameters for a module as finit_module(2) takes them: first those of modprobe.d, then those of
// the kernel command line.
func (x *Index) Options(name string) string {
	return strings.Join(x.conf.Options[Name(name)], " ")
}

// Resolve returns the files to load for names and modaliases, each once and in
// order: before a module come its dependencies and its soft dependencies `pre:`,
// after it those of `post:`. All softdep lines count; modprobe uses only the first
// for each module. Built-in modules are left out, and so are soft dependencies that
// are missing or forbidden.
//
// Anything else that is missing is a [*MissingError]. A module that was asked for or
// is depended on is a [*RefusedError] if it is refused or has an `install` command,
// because it is not known what the command would load. An alias whose modules are
// all blacklisted yields nothing. A dependency cycle is an error that shows it.
func (x *Index) Resolve(names ...string) ([]Module, error) {
	r := resolver{x: x, state: map[string]int{}, hard: map[string]bool{}}
	for _, name := range names {
		found, known := x.lookup(name)
		if !known {
			return nil, &MissingError{Name: name}
		}
		for _, m := range found {
			if err := r.visit(m, "asked for", ""); err != nil {
				return nil, err
			}
			if err := r.after(); err != nil {
				return nil, err
			}
			r.needed(m)
		}
	}
	for i := range r.order {
		r.order[i].Soft = !r.hard[r.order[i].Name]
	}
	return r.order, nil
}

type resolver struct {
	x     *Index
	state map[string]int // 1: its dependencies are being visited; 2: it is in order
	chain []string
	order []Module
	posts []SoftDep
	hard  map[string]bool
}

// needed marks a module and all its dependencies; visit has made sure that there is no cycle.
func (r *resolver) needed(name string) {
	if r.hard[name] {
		return
	}
	r.hard[name] = true
	for _, d := range r.x.modules[name].deps {
		r.needed(d)
	}
}

// maxChain limits the depth of dependencies; real ones stay below 20.
const maxChain = 1000

func (r *resolver) visit(name, why, by string) error {
	if r.state[name] == 2 {
		return nil
	}
	if r.state[name] == 1 {
		at := slices.Index(r.chain, name)
		return fmt.Errorf("module %s: dependency cycle %s -> %s", name, strings.Join(r.chain[at:], " -> "), name)
	}
	e, ok := r.x.modules[name]
	if !ok {
		if r.x.Builtin(name) {
			return nil
		}
		return &MissingError{Name: name, By: by}
	}
	if where := r.x.forbidden(name); where != "" {
		return &RefusedError{Name: name, By: by, Where: where}
	}
	if len(r.chain) == maxChain {
		return fmt.Errorf("module %s: chain of more than %d dependencies", name, maxChain)
	}
	r.state[name] = 1
	r.chain = append(r.chain, name)
	soft := r.x.soft[name]
	if err := r.visitSoft(soft.Pre, "before "+name); err != nil {
		return err
	}
	// modules.dep lists a dependency before its own dependencies.
	for _, dep := range slices.Backward(e.deps) {
		if err := r.visit(dep, "needed by "+name, name); err != nil {
			return err
		}
	}
	r.state[name] = 2
	r.chain = r.chain[:len(r.chain)-1]
	r.order = append(r.order, Module{Name: name, Path: e.path, Options: r.x.Options(name), Why: why})
	r.posts = append(r.posts, soft)
	return nil
}

// after adds the soft dependencies `post:` of the modules in order. It must run when no visit
// is in progress, because they may need a module that is still waiting for its dependencies.
func (r *resolver) after() error {
	for len(r.posts) > 0 {
		soft := r.posts[0]
		r.posts = r.posts[1:]
		if err := r.visitSoft(soft.Post, "after "+soft.Module); err != nil {
			return err
		}
	}
	return nil
}

// disabled reports whether the only purpose of an install command is to prevent loading.
func (x *Index) disabled(name string) bool {
	for _, i := range x.conf.Installs {
		if i.Module == name {
			switch i.Command {
			case "/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false", "true", "false":
				return true
			}
		}
	}
	return false
}

// forbidden returns the line or kernel parameter that forbids a module, or "".
func (x *Index) forbidden(name string) string {
	if where, ok := x.conf.Refused[name]; ok {
		return where
	}
	for _, i := range x.conf.Installs {
		if i.Module == name {
			return fmt.Sprintf("%s: install %s %s", i.Where, i.Module, i.Command)
		}
	}
	return ""
}

// visitSoft visits soft dependencies. It leaves out modules that are missing or forbidden, or depend on such a module.
func (r *resolver) visitSoft(names []string, why string) error {
	for _, n := range names {
		found, _ := r.x.lookup(n)
		for _, m := range found {
			if !r.x.loadable(m, map[string]bool{}) {
				continue
			}
			if err := r.visit(m, why, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadable reports whether a module and all its dependencies are present and allowed.
func (x *Index) loadable(name string, seen map[string]bool) bool {
	if seen[name] {
		return true // visit reports a cycle
	}
	seen[name] = true
	e, ok := x.modules[name]
	if !ok {
		return x.Builtin(name)
	}
	if x.forbidden(name) != "" || len(seen) > maxChain {
		return false
	}
	for _, d := range e.deps {
		if !x.loadable(d, seen) {
			return false
		}
	}
	return true
}
