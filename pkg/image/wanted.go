package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
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
		for _, partner := range plan.FSTypeOf(t).Partners { // request_module finds no modprobe in an image
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
