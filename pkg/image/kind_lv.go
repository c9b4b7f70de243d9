package image

import (
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

// A volume is started by its table, without LVM's programs: linear and striped targets are in dm_mod itself, and a mirror
// is read through one of its images.
func lvKind() kind {
	return kind{
		is: func(n *plan.Node) bool { return n.LV != nil },
		modules: func(_ *collector, _ *kmod.Index, n *plan.Node) []wanted {
			return []wanted{{"dm_mod", "logical volume " + n.LV.Path(), false}}
		},
	}
}
