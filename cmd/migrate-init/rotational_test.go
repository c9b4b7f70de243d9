package main

import (
	"slices"
	"testing"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/plan"
)

// TestDisksOf: what is measured, or taken by its flag, are the devices that the directories lie on.
func TestDisksOf(t *testing.T) {
	f := &plan.Facts{
		Devices: []plan.Device{{Name: "sda1", Path: "/dev/sda1", Rotational: true}, {Name: "sdb1", Path: "/dev/sdb1"}},
		Mounts:  []plan.Mount{{Target: "/", Device: "sda1"}, {Target: "/srv", Device: "sdb1"}, {Target: "/srv/old", Device: "sdb1"}, {Target: "/srv/old", Device: "sda1"}, {Target: "/proc"}},
	}
	a, b := copy.Disk{Path: "/dev/sda1", Rotational: true}, copy.Disk{Path: "/dev/sdb1"}
	for dir, want := range map[string][]copy.Disk{"/": {a}, "/home": {a}, "/srv": {b}, "/srv/a": {b}, "/srvice": {a}, "/srv/old/x": {a}, "/proc/x": nil} {
		if got := disksOf(f, dir); !slices.Equal(got, want) {
			t.Errorf("%s: %v", dir, got)
		}
	}
	if got := disksOf(f, "/srv", "/home"); !slices.Equal(got, []copy.Disk{b, a}) {
		t.Errorf("both: %v", got)
	}
}
