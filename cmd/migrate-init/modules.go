package main

import (
	"context"
	"fmt"
	"os"
	"path"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/machine"
)

// loader loads modules of the running kernel by name, dependencies first. A system without /lib/modules for its kernel
// has everything built in, or fails at what is missing.
func loader(m machine.Machine) func(ctx context.Context, names ...string) error {
	var index *kmod.Index
	dir := ""
	return func(ctx context.Context, names ...string) error {
		if index == nil {
			rel, err := os.ReadFile("/proc/sys/kernel/osrelease")
			if err != nil {
				return fmt.Errorf("kernel release: %w", err)
			}
			dir = path.Join("/lib/modules", string(trimNL(rel)))
			conf, err := kmod.ReadConfig(os.DirFS("/"))
			if err != nil {
				return err
			}
			if index, err = kmod.NewIndex(os.DirFS(dir), conf); err != nil {
				return err
			}
		}
		mods, err := index.Resolve(names...)
		if err != nil {
			return err
		}
		for _, x := range mods {
			if _, err := os.Stat(path.Join("/sys/module", x.Name)); err == nil {
				continue
			}
			eff := machine.LoadModule{Path: path.Join(dir, x.Path), Options: x.Options}
			if path.Ext(x.Path) != ".ko" {
				b, err := os.ReadFile(eff.Path)
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

func trimNL(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	return b
}
