package image

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/rootfs"
)

// modules puts in the modules of the plan's kernel, their tables and their configuration.
func (c *collector) modules() {
	release := c.in.Plan.Boot.Release
	dir := path.Join("/lib/modules", release)
	pkg := c.in.Family.ReinstallKernel(release)
	final, info, err := c.host.resolve(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		c.refuse("kernel modules: directory %s for kernel %s: %w; %s", dir, release, cause(err), pkg)
		return
	}
	tree, err := fs.Sub(c.in.Root, rootfs.Name(final))
	if err != nil {
		c.refuse("kernel modules: %w", err)
		return
	}
	conf, err := c.modprobeConf()
	if err != nil {
		c.refuse("%w", err)
		return
	}
	index, err := kmod.NewIndex(tree, conf)
	if err != nil {
		c.refuse("%w; repair it with `depmod %s`, or %s", err, release, pkg)
		return
	}
	s := &selection{index: index, chosen: map[string]kmod.Module{}, why: map[string]string{}}
	for _, w := range c.wantedModules(index) {
		if err := s.take(w); err != nil {
			c.refuse("kernel %s: %s: %w; %s", release, w.why, err, moduleFix(err, pkg))
		}
	}
	for _, w := range overlayModules(c.in.Plan) {
		if err := s.take(w); err != nil && w.may {
			c.warn("kernel %s: %s: %v", release, w.why, err)
		} else if err != nil {
			c.refuse("kernel %s: %s: %w; %s", release, w.why, err, moduleFix(err, pkg))
		}
	}
	for _, w := range s.partners() {
		if err := s.take(w); err != nil {
			c.warn("kernel %s: %s: %v", release, w.why, err)
		}
	}
	c.watchdogs(s, release)
	for _, m := range s.sorted() {
		c.module(tree, dir, m, s.why[m.Name], pkg)
	}
	if err := c.tables(tree, dir, s); err != nil {
		c.refuse("%w", err)
	}
}

func moduleFix(err error, pkg string) string {
	var refused *kmod.RefusedError
	if errors.As(err, &refused) {
		return "remove that line from " + refused.Where
	}
	return pkg
}

// selection is the closure of what was taken.
type selection struct {
	index  *kmod.Index
	chosen map[string]kmod.Module
	why    map[string]string
}

func (s *selection) take(w wanted) error {
	if w.may && len(s.index.Lookup(w.name)) == 0 {
		return nil
	}
	mods, err := s.index.Resolve(w.name)
	if err != nil {
		return err
	}
	for _, m := range mods {
		if _, there := s.chosen[m.Name]; there {
			continue
		}
		s.chosen[m.Name] = m
		s.why[m.Name] = w.why
		if m.Why != "asked for" {
			s.why[m.Name] = w.why + ": " + m.Why
		}
	}
	return nil
}

// partners: a SCSI or ATA driver finds disks, and sd_mod makes block devices of them.
func (s *selection) partners() []wanted {
	for _, m := range s.chosen {
		for _, d := range []string{"/drivers/scsi/", "/drivers/ata/", "/drivers/usb/storage/", "/drivers/message/fusion/"} {
			if strings.Contains("/"+m.Path, d) {
				return []wanted{{"sd_mod", "disks of SCSI and ATA controllers", true}}
			}
		}
	}
	return nil
}

func (s *selection) sorted() []kmod.Module {
	var all []kmod.Module
	for _, name := range sortedKeys(s.chosen) {
		all = append(all, s.chosen[name])
	}
	return all
}

// module unpacks one file, and takes it only if the kernel would.
func (c *collector) module(tree fs.FS, dir string, m kmod.Module, why, pkg string) {
	release := c.in.Plan.Boot.Release
	raw, err := c.host.read(path.Join(dir, m.Path), maxFile, false)
	if err != nil {
		c.refuse("module %s of kernel %s: %s: %w; %s", m.Name, release, m.Path, cause(err), pkg)
		return
	}
	data, err := kmod.Decompress(m.Path, raw)
	if err != nil {
		c.refuse("module %s of kernel %s: %w; %s", m.Name, release, err, pkg)
		return
	}
	info, err := kmod.ReadInfo(data)
	if err != nil {
		c.refuse("module %s of kernel %s: %s: %w; %s", m.Name, release, m.Path, err, pkg)
		return
	}
	if info.Release() != release {
		c.refuse("module %s: %s was built for kernel %q, not %s, which would refuse it; %s", m.Name, m.Path, info.Release(), release, pkg)
		return
	}
	c.file(path.Join(dir, plainName(m.Path)), 0o644, data, why)
	for _, name := range info.Firmware {
		c.firmware(name, m.Name)
	}
}

// plainName is a module's path without the suffix of its compression.
func plainName(p string) string {
	for _, s := range []string{".gz", ".xz", ".zst"} {
		if rest, ok := strings.CutSuffix(p, s); ok {
			return rest
		}
	}
	return p
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
