package stage

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/machine"
)

// Modules returns what Env.Load needs: it loads modules of the running kernel by name, dependencies first. A system
// without /lib/modules for its kernel has everything built in, or fails at what is missing.
func Modules(root fs.FS, m machine.Machine) func(ctx context.Context, names ...string) error {
	l := &moduleLoader{root: root, m: m}
	return l.load
}

// moduleLoader reads the tables when the first module is asked for: by then /proc is mounted.
type moduleLoader struct {
	root  fs.FS
	m     machine.Machine
	dir   string // of the running kernel's modules
	index *kmod.Index
}

func (l *moduleLoader) load(ctx context.Context, names ...string) error {
	if err := l.open(); err != nil {
		return err
	}
	// A driver that can only be built in (pcieportdrv) is in no table at all.
	names = slices.DeleteFunc(slices.Clone(names), l.inKernel)
	mods, err := l.index.Resolve(names...)
	if err != nil {
		return err
	}
	for _, x := range mods {
		if l.inKernel(x.Name) {
			continue
		}
		e, err := l.effect(x)
		if err != nil {
			return err
		}
		// A soft dependency may refuse this processor: crc32c_intel does.
		if _, err := l.m.Do(ctx, e); err != nil && !x.Soft {
			return err
		}
	}
	return nil
}

func (l *moduleLoader) open() error {
	if l.index != nil {
		return nil
	}
	release, err := fs.ReadFile(l.root, "proc/sys/kernel/osrelease")
	if err != nil {
		return fmt.Errorf("kernel release: %w", err)
	}
	l.dir = path.Join("lib/modules", strings.TrimSpace(string(release)))
	conf, err := kmod.ReadConfig(l.root)
	if err != nil {
		return err
	}
	// The kernel applies the options on its command line to built-in drivers; those of modules are the loader's to find.
	if line, err := fs.ReadFile(l.root, "proc/cmdline"); err == nil {
		conf.Cmdline(boot.ParseCmdline(string(line)).Words())
	}
	tree, err := fs.Sub(l.root, l.dir)
	if err != nil {
		return fmt.Errorf("kernel release: %w", err)
	}
	l.index, err = kmod.NewIndex(tree, conf)
	return err
}

func (l *moduleLoader) effect(x kmod.Module) (machine.LoadModule, error) {
	e := machine.LoadModule{Path: path.Join("/", l.dir, x.Path), Options: x.Options}
	if path.Ext(x.Path) == ".ko" {
		return e, nil
	}
	b, err := fs.ReadFile(l.root, path.Join(l.dir, x.Path))
	if err == nil {
		e.Image, err = kmod.Decompress(x.Path, b)
	}
	if err != nil {
		return e, fmt.Errorf("module %s: %w", x.Name, err)
	}
	return e, nil
}

// inKernel reports whether a module is loaded or built in.
func (l *moduleLoader) inKernel(name string) bool {
	_, err := fs.Stat(l.root, path.Join("sys/module", kmod.Name(name)))
	return err == nil
}
