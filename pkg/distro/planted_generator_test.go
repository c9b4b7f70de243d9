package distro

import (
	"strings"

	"migrate-init/pkg/plan"
)

// seedling is a generator that does not exist: what one more row takes.
func seedling() Generator {
	return Generator{
		Generator: plan.Generator{Name: "seedling", Program: "garden/bin/seedling", Rebuilds: true,
			InitrdOf: func(kernel string) string { return strings.Replace(kernel, "kernel-", "seed-", 1) + ".img" },
			Settings: []plan.Settings{{Pattern: "etc/seedling.conf", Devices: []string{"SOIL"}}}},
		Rebuild: func(*plan.Plan) [][]string { return [][]string{{"seedling", "--clean"}, {"seedling", "--all"}} },
		Needs:   func(*plan.Plan) []Need { return []Need{{Why: "water", Path: "etc/water"}} },
		Overlay: func(*plan.Plan) []File {
			return []File{{Path: "/etc/seedling.d/migrate-init", Mode: 0o644, Why: "sun"}}
		},
	}
}
