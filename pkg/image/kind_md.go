package image

import (
	"fmt"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

func mdKind() kind {
	return kind{
		is: func(n *plan.Node) bool { return n.MD != nil },
		modules: func(_ *collector, _ *kmod.Index, n *plan.Node) []wanted {
			return []wanted{{"md_mod", "array " + n.MD.Name, false}, {plan.LevelModule(n.MD.Level), fmt.Sprintf("array %s, level %d", n.MD.Name, n.MD.Level), false}}
		},
	}
}
