package loader

import (
	"slices"
	"testing"

	"migrate-init/pkg/plan"
)

// A degraded RAID5 that was not stopped cleanly is started all the same, until finish has made it whole.
func TestGRUBDirty(t *testing.T) {
	for _, c := range []struct {
		level int
		on    []plan.Ref
		want  string
	}{
		{1, []plan.Ref{"part:a", ""}, ""}, {10, []plan.Ref{"part:a", ""}, ""}, {5, []plan.Ref{"part:a", "part:b", "part:c"}, ""},
		{5, []plan.Ref{"part:a", "part:b", ""}, " md_mod.start_dirty_degraded=1"}, {6, []plan.Ref{"part:a", "part:b", "", ""}, " md_mod.start_dirty_degraded=1"},
	} {
		p := &plan.Plan{Target: plan.Graph{{Ref: "md:a", On: c.on, Layer: plan.Layer{MD: &plan.MD{Level: c.level}}}}}
		if got := grubDirty(p); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

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
