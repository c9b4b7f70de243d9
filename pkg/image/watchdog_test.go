package image

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"migrate-init/pkg/sim"
)

func TestWatchdogDrivers(t *testing.T) {
	root := aHost()
	link := func(name, to string) { root[name] = &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte(to)} }
	const device = "sys/devices/pci0000:00/0000:00:1f.4/iTCO_wdt"
	link("sys/class/watchdog/watchdog0", "../../devices/pci0000:00/0000:00:1f.4/iTCO_wdt/watchdog/watchdog0")
	link("sys/class/watchdog/watchdog1", "../../devices/virtual/watchdog/watchdog1") // softdog has no driver
	root[device+"/watchdog/watchdog0/state"] = &fstest.MapFile{Data: []byte("inactive\n")}
	link(device+"/driver", "../../../../bus/platform/drivers/iTCO_wdt")
	link("sys/bus/platform/drivers/iTCO_wdt/module", "../../../../module/iTCO_wdt")
	link("sys/devices/pci0000:00/0000:00:1f.4/driver", "../../../bus/pci/drivers/i801_smbus")
	link("sys/bus/pci/drivers/i801_smbus/module", "../../../../module/i2c_i801")
	root["sys/module/ipmi_watchdog/initstate"] = &fstest.MapFile{Data: []byte("live\n")}
	dep := root[modDir+"modules.dep"]
	for file, deps := range map[string]string{
		"kernel/drivers/watchdog/iTCO_wdt.ko":            "kernel/drivers/watchdog/iTCO_vendor_support.ko",
		"kernel/drivers/watchdog/iTCO_vendor_support.ko": "",
		"kernel/drivers/i2c/busses/i2c-i801.ko":          "",
		"kernel/drivers/char/ipmi/ipmi_watchdog.ko":      "",
	} {
		root[modDir+file] = &fstest.MapFile{Mode: 0o644, Data: sim.Module(release)}
		dep.Data = append(dep.Data, file+": "+deps+"\n"...)
	}
	root["etc/modprobe.d/w.conf"] = &fstest.MapFile{Data: []byte("install ipmi_watchdog /bin/false\n")}
	img := collect(t, input(t, root, aPlan()))
	a := unpacked(t, packed(t, img))
	// ipmi_si is not there at all, ipmi_watchdog is forbidden: neither is a reason not to migrate.
	list, err := a.ReadFile(WatchdogPath)
	if want := "i2c_i801\niTCO_wdt\nipmi_si\nipmi_watchdog\n"; err != nil || string(list) != want {
		t.Errorf("drivers %q, %v; want %q", list, err, want)
	}
	for file, in := range map[string]bool{"watchdog/iTCO_wdt": true, "watchdog/iTCO_vendor_support": true, "i2c/busses/i2c-i801": true, "char/ipmi/ipmi_watchdog": false} {
		if _, err := a.Lookup("/lib/modules/" + release + "/kernel/drivers/" + file + ".ko"); (err == nil) != in {
			t.Errorf("%s: %v", file, err)
		}
	}
	if w := strings.Join(img.Warnings, "\n"); !strings.Contains(w, "watchdog driver: module ipmi_watchdog: forbidden by etc/modprobe.d/w.conf:1") {
		t.Errorf("warnings: %s", w)
	}
	if _, err := unpacked(t, packed(t, collect(t, input(t, aHost(), aPlan())))).Lookup(WatchdogPath); err == nil {
		t.Error("a host without watchdogs has a list of their drivers")
	}
}
