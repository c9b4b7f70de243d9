package distro

import (
	"slices"
	"strings"

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
		Env: []string{"PATH=/garden/bin"},
	}
}
