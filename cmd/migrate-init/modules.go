package main

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/machine"
)

// loader loads modules of the running kernel by name, dependencies first. A system without /lib/modules for its kernel
// has everything built in, or fails at what is missing.
func (a *app) loader(m machine.Machine) func(ctx context.Context, names ...string) error {
	root := a.world().Root
	var index *kmod.Index
	dir := ""
	return func(ctx context.Context, names ...string) error {
		if index == nil {
			rel, err := fs.ReadFile(root, "proc/sys/kernel/osrelease")
			if err != nil {
				return fmt.Errorf("kernel release: %w", err)
			}
			dir = path.Join("lib/modules", strings.TrimSpace(string(rel)))
			conf, err := kmod.ReadConfig(root)
			if err != nil {
				return err
			}
			// The kernel hands options of its command line to what is built in; those of modules are the loader's to find.
			if line, err := fs.ReadFile(root, "proc/cmdline"); err == nil {
				conf.Cmdline(string(line))
			}
			tree, err := fs.Sub(root, dir)
			if err != nil {
				return fmt.Errorf("kernel release: %w", err)
			}
			if index, err = kmod.NewIndex(tree, conf); err != nil {
				return err
			}
		}
		// What can only be built in (pcieportdrv) is in no table at all, and is here.
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return inKernel(root, n) })
		mods, err := index.Resolve(names...)
		if err != nil {
			return err
		}
		for _, x := range mods {
			if inKernel(root, x.Name) {
				continue
			}
			eff := machine.LoadModule{Path: path.Join("/", dir, x.Path), Options: x.Options}
			if path.Ext(x.Path) != ".ko" {
				b, err := fs.ReadFile(root, path.Join(dir, x.Path))
				if err != nil {
					return fmt.Errorf("module %s: %w", x.Name, err)
				}
				if eff.Image, err = kmod.Decompress(x.Path, b); err != nil {
					return fmt.Errorf("module %s: %w", x.Name, err)
				}
			}
			// A soft dependency may refuse this processor: crc32c_intel does.
			if _, err := m.Do(ctx, eff); err != nil && !x.Soft {
				return err
			}
		}
		return nil
	}
}

// inKernel tells whether a module is loaded, or built in.
func inKernel(root fs.FS, name string) bool {
	_, err := fs.Stat(root, path.Join("sys/module", kmod.Name(name)))
	return err == nil
}
