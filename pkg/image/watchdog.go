package image

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// watchdogs puts in the drivers of the host's watchdogs. One that the firmware or the old system left running would reset
// the machine in the middle of a long copy; the kernel feeds it as soon as its driver is there (watchdog_core, until
// someone opens the device), or the driver stops it (ipmi_watchdog). A migration without is what most machines do.
func (c *collector) watchdogs(s *selection, release string) {
	names := c.watchdogDrivers()
	for _, n := range names {
		if err := s.take(wanted{n, "watchdog of this machine", true}); err != nil {
			c.warn("kernel %s: watchdog driver: %v", release, err)
		}
	}
	if len(names) > 0 {
		c.file(WatchdogPath, 0o644, []byte(strings.Join(names, "\n")+"\n"), "watchdog drivers to load")
	}
}

// watchdogDrivers walks from each watchdog up to its bus, as the controller of one may be a module too (iTCO_wdt sits on
// i2c_i801). A baseboard controller's watchdog has no class of its own in sysfs.
func (c *collector) watchdogDrivers() []string {
	const class = "sys/class/watchdog"
	var names []string
	list, err := fs.ReadDir(c.in.Root, class)
	if err != nil {
		list = nil // a kernel without watchdogs
	}
	for _, e := range list {
		link, err := c.host.root.ReadLink(path.Join(class, e.Name()))
		if err != nil {
			continue
		}
		for at := path.Join(class, link); strings.HasPrefix(at, "sys/devices/"); at = path.Dir(at) {
			if m, err := c.host.root.ReadLink(path.Join(at, "driver/module")); err == nil {
				names = append(names, path.Base(m))
			}
		}
	}
	if _, err := fs.Stat(c.in.Root, "sys/module/ipmi_watchdog"); err == nil {
		names = append(names, "ipmi_si", "ipmi_watchdog")
	}
	slices.Sort(names)
	return slices.Compact(names)
}
