package distro

import (
	"slices"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// planted is a family that does not exist: what one more row takes.
func planted() Family {
	return Family{
		Family: plan.Family{
			Name: "planted", Title: "Planted Linux", IDs: []string{"planted"},
			Install: "grow PACKAGES", Reinstall: "grow --again PACKAGES", Tidy: "prune kernels", Kernel: "kernel-RELEASE",
			Kernels: "boot/kernel-*", State: []string{"/var/lib/garden"},
			Installed: func(read func(name string) string, packages []string) []string {
				return slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return !strings.Contains(read("var/lib/garden/list"), p+"\n") })
			},
		},
		Env:    []string{"PATH=/garden/bin"},
		Loader: func(*plan.Plan, func([]string, ...string) machine.Exec, []string) []machine.Exec { return nil },
		Menu:   func(*plan.Plan, func([]string, ...string) machine.Exec) []machine.Exec { return nil },
	}
}
