package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/kmod"
)

// wanted is a module that was asked for, by name or alias. One that may be absent is silently left out.
type wanted struct {
	name, why string
	may       bool
}

// modules puts in the modules of the plan's kernel, their tables and their configuration.
func (c *collector) modules() {
	release := c.in.Plan.Boot.Release
	dir := path.Join("/lib/modules", release)
	pkg := c.reinstall("linux-image-" + release)
	final, info, err := c.host.resolve(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		c.refuse("kernel modules: directory %s for kernel %s: %w; %s", dir, release, cause(err), pkg)
		return
	}
	tree, err := fs.Sub(c.in.Root, inside(final))
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
		c.refuse("%w; mend it with `depmod %s`, or %s", err, release, pkg)
		return
	}
	s := &selection{index: index, chosen: map[string]kmod.Module{}, why: map[string]string{}}
	for _, w := range c.wantedModules(index) {
		if err := s.take(w); err != nil {
			c.refuse("kernel %s: %s: %w; %s", release, w.why, err, mendModule(err, pkg))
		}
	}
	for _, w := range s.partners() {
		if err := s.take(w); err != nil {
			c.warn("kernel %s: %s: %v", release, w.why, err)
		}
	}
	for _, m := range s.sorted() {
		c.module(tree, dir, m, s.why[m.Name], pkg)
	}
	if err := c.tables(tree, dir, s); err != nil {
		c.refuse("%w", err)
	}
}

func mendModule(err error, pkg string) string {
	var refused *kmod.RefusedError
	if errors.As(err, &refused) {
		return "remove that line from " + refused.Where
	}
	return pkg
}

// wantedModules lists what the plan asks for. Drivers first: they are what a host-only image is about.
func (c *collector) wantedModules(x *kmod.Index) []wanted {
	p := c.in.Plan
	var out []wanted
	for _, d := range p.Drivers {
		if len(x.Lookup(d)) == 0 && c.builtinWithoutName(d) {
			continue
		}
		out = append(out, wanted{d, "driver of the planned disks", false})
		for _, partner := range driverPartners(d) {
			out = append(out, wanted{partner, "usual partner of " + d, true})
		}
	}
	for _, a := range p.Target.Arrays {
		out = append(out, wanted{"md_mod", "array " + a.Name, false}, wanted{personality(a.Level), fmt.Sprintf("array %s, level %d", a.Name, a.Level), false})
	}
	types := map[string]bool{}
	for _, f := range p.Source.Filesystems {
		types[f.Type] = true
	}
	for _, f := range p.Target.Filesystems {
		types[f.Type] = true
	}
	for _, t := range sortedKeys(types) {
		name := t
		if len(x.Lookup(t)) == 0 {
			name = "fs-" + t // MODULE_ALIAS_FS
		}
		out = append(out, wanted{name, "filesystem " + t, false})
		for _, partner := range filesystemPartners(t) {
			out = append(out, wanted{partner, "filesystem " + t, true})
		}
	}
	return append(out, wanted{"dm_mod", "snapshots", true}, wanted{"dm_snapshot", "snapshots", true})
}

// builtinWithoutName tells whether a driver is built into the running kernel, and that kernel is the plan's. What cannot be a
// module (pcieportdrv) is in /sys/module but not in modules.builtin; a loaded module has a file initstate there.
func (c *collector) builtinWithoutName(driver string) bool {
	running, err := fs.ReadFile(c.in.Root, "proc/sys/kernel/osrelease")
	if err != nil || strings.TrimSpace(string(running)) != c.in.Plan.Boot.Release || !fs.ValidPath(driver) {
		return false
	}
	if _, err := fs.Stat(c.in.Root, path.Join("sys/module", driver)); err != nil {
		return false
	}
	_, err = fs.Stat(c.in.Root, path.Join("sys/module", driver, "initstate"))
	return errors.Is(err, fs.ErrNotExist)
}

// personality is the module of a RAID level, as drivers/md names them.
func personality(level int) string {
	switch level {
	case -1:
		return "linear"
	case 4, 5, 6:
		return "raid456"
	}
	return fmt.Sprintf("raid%d", level)
}

// driverPartners are modules that a driver works with and does not depend on by name.
func driverPartners(driver string) []string {
	switch kmod.Name(driver) {
	case "virtio_blk", "virtio_scsi":
		return []string{"virtio_pci", "virtio_mmio"}
	case "nvme_core":
		return []string{"nvme"}
	case "xen_blkfront":
		return []string{"xen_privcmd"}
	case "hv_storvsc":
		return []string{"hv_vmbus", "pci_hyperv"}
	case "usb_storage", "uas":
		return []string{"xhci_pci", "ehci_pci"}
	case "mmc_block":
		return []string{"sdhci_pci", "sdhci_acpi"}
	}
	return nil
}

// filesystemPartners are what a filesystem asks the kernel for by request_module, which finds no modprobe in an image.
func filesystemPartners(typ string) []string {
	switch typ {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs":
		return []string{"crypto-crc32c", "crc32c_generic", "libcrc32c"}
	case "vfat":
		return []string{"nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}
	}
	return nil
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

// modprobeConf copies the configuration, and reads of it what will be there at boot.
func (c *collector) modprobeConf() (*kmod.Config, error) {
	for _, dir := range kmod.ConfigDirs() {
		if strings.HasPrefix(dir, "run/") {
			continue
		}
		list, err := fs.ReadDir(configOf{c.host}, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("modprobe configuration: %w", err)
		}
		for _, e := range list {
			if !strings.HasSuffix(e.Name(), ".conf") {
				continue
			}
			p := path.Join("/", dir, e.Name())
			_, info, err := c.host.resolve(p)
			if err != nil {
				return nil, fmt.Errorf("modprobe configuration %s: %w", p, cause(err))
			}
			var data []byte
			if info.Mode().IsRegular() { // else it is a link to /dev/null, which hides a file of the same name
				if data, err = c.host.read(p, 1<<20, false); err != nil {
					return nil, fmt.Errorf("modprobe configuration %s: %w", p, cause(err))
				}
			}
			c.add(item{path: p, mode: cpio.ModeRegular | 0o644, data: data, why: "options of kernel modules"})
		}
	}
	return kmod.ReadConfig(configOf{c.host})
}

// configOf is the host as the image will have it: without /run/modprobe.d.
type configOf struct{ host }

func (c configOf) Open(name string) (fs.File, error) {
	final, _, err := c.resolve(name)
	if err == nil && (final == "/run" || strings.HasPrefix(final, "/run/")) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: cause(err)}
	}
	return c.root.Open(inside(final))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
