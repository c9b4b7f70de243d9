package image

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/kmod"
)

// wanted is a module that was asked for, by name or alias. One that may be absent is silently left out.
type wanted struct {
	name, why string
	may       bool
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
	seen := map[wanted]bool{}
	for _, k := range kinds() {
		for _, n := range slices.Concat(p.Source, p.Target) {
			if !k.is(&n) || k.modules == nil {
				continue
			}
			for _, w := range k.modules(c, x, &n) {
				if !seen[w] {
					seen[w] = true
					out = append(out, w)
				}
			}
		}
	}
	return out
}

// builtinWithoutName reports whether a driver is built into the running kernel, and that kernel is the plan's. What cannot be a
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
