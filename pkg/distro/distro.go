// Package distro knows how an installed system rebuilds its own initrds: which of its own programs to run in a chroot, in
// which order, and what has to be inside the result so that a degraded array starts at boot. It returns effects and
// requirements; pkg/stage carries out the one and proves the other.
//
// A system is a family of distributions with an initramfs generator, and a plan names one of each. One file a family or
// generator, and one row in Known.
package distro

import (
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Table is what can be seen and rebuilt. Where several rows fit a machine, the first is its.
type Table struct {
	Families   []Family
	Generators []Generator
}

// Known is the table of this program.
func Known() Table {
	return Table{[]Family{debian()}, []Generator{initramfsTools(), dracut()}}
}

// Rules are those columns of the table by which a machine is looked at and a plan is made.
func (t Table) Rules() plan.Rules {
	var r plan.Rules
	for _, x := range t.Families {
		r.Families = append(r.Families, x.Family)
	}
	for _, x := range t.Generators {
		r.Generators = append(r.Generators, x.Generator)
	}
	return r
}

// System is how one installed system rebuilds itself.
type System struct {
	Family    Family
	Generator Generator
}

// Of finds the rows of a plan's system.
func (t Table) Of(p *plan.Plan) (System, error) {
	for _, x := range t.Families {
		for _, g := range t.Generators {
			if x.Name == p.Machine.Family && g.Name == p.Machine.Initrd && g.Rebuilds {
				return System{x, g}, nil
			}
		}
	}
	return System{}, fmt.Errorf("distribution %s with %s: this migrate-init cannot rebuild its initrds; use the one that made the plan", p.Machine.Family, p.Machine.Initrd)
}

// Of finds the rows of a plan's system among those known.
func Of(p *plan.Plan) (System, error) { return Known().Of(p) }

// Rebuild are the programs that make the initrds again in the system below root; a boot loader on disks may be told of it.
func (s System) Rebuild(p *plan.Plan, root string, disks []string) []machine.Exec {
	return s.Run(root, disks, s.Generator.Rebuild(p))
}

// Run spells programs of the system below root, "" for this one, that may write to disks beside it.
func (s System) Run(root string, disks []string, programs [][]string) []machine.Exec {
	var out []machine.Exec
	for _, argv := range programs {
		out = append(out, s.Family.Run(root, disks, argv...))
	}
	return out
}
