package image

import "migrate-init/pkg/plan"

// overlayModules are those that make a snapshot in memory of a source: one that the plan has, or one of a filesystem that turns
// out to need a replay of its journal. Without them such a filesystem is refused by the image.
func overlayModules(p *plan.Plan) []wanted {
	var out []wanted
	for _, name := range []string{"loop", "dm_mod", "dm_snapshot"} {
		out = append(out, wanted{name, "snapshots in memory of the sources", len(p.Overlays) == 0})
	}
	return out
}
