package image

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/elf"
)

// tool is a program of the host that the migration runs.
type tool struct {
	name, pkg, why string
	files          []string // configuration, when it exists
	dlopen         []string // libraries that it opens by itself
	may            bool     // nice to have
}

// tools puts in the host's programs with their libraries.
func (c *collector) tools() {
	seen := map[string]bool{}
	for _, t := range c.wantedTools() {
		if seen[t.name] {
			continue
		}
		seen[t.name] = true
		c.tool(t)
	}
}

// wantedTools lists what the stages of this plan run.
func (c *collector) wantedTools() []tool {
	p := c.in.Plan
	var out []tool
	for _, k := range kinds() {
		for i := range p.Source {
			if n := &p.Source[i]; k.is(n) && k.sources != nil {
				out = append(out, k.sources(c, n)...)
			}
		}
		for i := range p.Target {
			if n := &p.Target[i]; k.is(n) && k.tools != nil {
				out = append(out, k.tools(c, n)...)
			}
		}
	}
	if p.Policy.OnFailure == "shell" {
		const why = "policy on_failure is shell"
		out = append(out, tool{name: "sh", pkg: "dash", why: why})
		for _, n := range []string{"ls", "cat", "mount", "umount", "dmesg"} {
			out = append(out, tool{name: n, why: why, may: true})
		}
	}
	return out
}

// pathDirs is the PATH with which the init starts programs.
func pathDirs() []string { return []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} }

func (c *collector) tool(t tool) {
	p := c.find(t.name)
	if p == "" {
		if !t.may {
			c.refuse("tool %s: not found in %s, and it %s; %s", t.name, strings.Join(pathDirs(), ":"), t.why, c.in.Family.InstallCommand(t.pkg))
		}
		return
	}
	files, err := elf.Closure(c.host.root, []string{p}, t.dlopen)
	if err != nil {
		var lib *elf.MissingError
		if errors.As(err, &lib) { // it names the tool by itself
			err = lib
		}
		if !t.may {
			c.refuse("%w; %s", err, c.in.Family.ReinstallCommand(t.pkg))
		}
		return
	}
	c.closure(t, p, files)
	for _, f := range t.files {
		data, err := c.host.read(f, 1<<20, false)
		switch {
		case err == nil:
			c.file(f, 0o644, data, "configuration of "+t.name)
		case !errors.Is(err, fs.ErrNotExist):
			c.refuse("configuration %s of %s: %w", f, t.name, cause(err))
		}
	}
}

// find looks for an executable as execvp would.
func (c *collector) find(name string) string {
	for _, dir := range pathDirs() {
		p := path.Join(dir, name)
		if _, info, err := c.host.resolve(p); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func (c *collector) closure(t tool, p string, files []elf.File) {
	standard := ""              // a directory that the loader searches by itself
	cached := map[string]bool{} // directories that it knows from its cache, which is not in the image
	for _, f := range files {
		if f.SearchDir != "" {
			if dir, _, err := c.host.resolve(f.SearchDir); err == nil {
				cached[dir] = true
			}
		} else if strings.HasPrefix(path.Base(f.Path), "libc.so") {
			standard = path.Dir(f.Path)
		}
	}
	if len(cached) > 0 && standard == "" {
		c.refuse("tool %s: its libraries in %s are found only by ld.so.conf, and no directory is known that its loader searches by itself", p, strings.Join(sortedKeys(cached), ", "))
		return
	}
	for _, f := range files {
		why := f.Why
		if why == "tool" {
			why = t.why
		}
		if dir := path.Dir(f.Path); cached[dir] && dir != standard && f.Path != p {
			c.link(path.Join(standard, path.Base(f.Path)), f.Path, "found only by ld.so.conf")
		}
		if f.Link != "" {
			c.link(f.Path, f.Link, why)
			continue
		}
		data, err := c.host.read(f.Path, maxFile, false)
		if err != nil {
			c.refuse("file %s of %s: %w; %s", f.Path, p, cause(err), c.in.Family.ReinstallCommand(t.pkg))
			continue
		}
		c.file(f.Path, 0o755, data, why)
	}
}
