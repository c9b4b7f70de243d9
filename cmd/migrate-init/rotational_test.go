package main

import (
	"testing"

	"migrate-init/pkg/plan"
)

func TestRotational(t *testing.T) {
	f := &plan.Facts{
		Devices: []plan.Device{{Name: "sda1", Path: "/dev/sda1", Rotational: true}, {Name: "sdb1", Path: "/dev/sdb1"}},
		Mounts:  []plan.Mount{{Target: "/", Device: "sda1"}, {Target: "/srv", Device: "sdb1"}, {Target: "/srv/old", Device: "sdb1"}, {Target: "/srv/old", Device: "sda1"}, {Target: "/proc"}},
	}
	for dir, want := range map[string]bool{"/": true, "/home": true, "/srv": false, "/srv/a": false, "/srvice": true, "/srv/old/x": true, "/proc/x": false} {
		if got := rotational(f, dir); got != want {
			t.Errorf("%s: %v", dir, got)
		}
	}
}
