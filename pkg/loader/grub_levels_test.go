package loader

import (
	"slices"
	"testing"

	"migrate-init/pkg/plan"
)

// GRUB reads a RAID5 or RAID6 that misses members only with a module for that level: the old GRUB needs it in custom.cfg, the
// new one in its core image.
func TestGRUBArrayModules(t *testing.T) {
	node := func(level int, metadata string) plan.Node {
		return plan.Node{Layer: plan.Layer{MD: &plan.MD{Level: level, Metadata: metadata}}}
	}
	for _, c := range []struct {
		g    plan.Graph
		want []string
	}{
		{plan.Graph{node(1, "1.2"), node(1, "1.0")}, []string{"mdraid1x"}},
		{plan.Graph{node(10, "1.2")}, []string{"mdraid1x"}},
		{plan.Graph{node(5, "1.2"), node(5, "1.2")}, []string{"mdraid1x", "raid5rec"}},
		{plan.Graph{node(6, "1.2"), node(1, "0.90")}, []string{"mdraid1x", "raid6rec", "mdraid09"}},
	} {
		if got := grubArrays(c.g); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.g, got, c.want)
		}
	}
}
