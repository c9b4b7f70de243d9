package image

import (
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

func fsKind() kind {
	return kind{
		is:      func(n *plan.Node) bool { return n.FS != nil },
		modules: func(_ *collector, x *kmod.Index, n *plan.Node) []wanted { return filesystemModules(x, n.FS.Type) },
		tools:   filesystemTools,
	}
}

func filesystemModules(x *kmod.Index, typ string) []wanted {
	name := typ
	if len(x.Lookup(typ)) == 0 {
		name = "fs-" + typ // MODULE_ALIAS_FS
	}
	out := []wanted{{name, "filesystem " + typ, false}}
	for _, partner := range plan.FSTypeOf(typ).Partners { // request_module finds no modprobe in an image
		out = append(out, wanted{partner, "filesystem " + typ, true})
	}
	return out
}

// filesystemTools are those that make or finish a new filesystem.
func filesystemTools(c *collector, n *plan.Node) []tool {
	t, m := plan.FSTypeOf(n.FS.Type), c.in.Plan.MoveTo(n.Ref)
	byExtent := m != nil && m.Engine == plan.EngineExtent
	var out []tool
	if byExtent {
		for _, name := range t.Tools.Blocks {
			out = append(out, tool{name: name, pkg: t.Tools.Package, why: "finishes a copy of " + t.Name + " by extents"})
		}
	}
	if t.Tools.Make != "" {
		out = append(out, maker(t))
	} else if !byExtent {
		c.refuse("filesystem type %s: no program is known to create it; leave %s as it is, or make a plan with another type", n.FS.Type, n.FS.Mount)
	}
	if t.Tools.Check != "" {
		out = append(out, tool{name: t.Tools.Check, pkg: t.Tools.Package, why: "checks " + t.Name})
	}
	return out
}

func maker(t plan.FSType) tool {
	return tool{name: t.Tools.Make, pkg: t.Tools.Package, why: "makes " + t.Name, files: t.Tools.Files}
}
