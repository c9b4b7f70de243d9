package distro

import (
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Family is a row of the table of families: how distributions that share their package tools are looked at, and how
// their programs are run.
type Family struct {
	plan.Family
	Env   []string // the environment of programs that run in such a system
	Reads []string // patterns of files that change whenever a package is installed, removed or upgraded
	// Questions are asked of a system of the family.
	Questions []plan.Question
}

// Run spells a program of a system of the family below root, "" for this one, that may write to disks beside the system.
func (x Family) Run(root string, disks []string, argv ...string) machine.Exec {
	alters := append([]string(nil), disks...)
	if root != "" {
		alters = append(alters, root)
	}
	return machine.Exec{Argv: argv, Env: x.Env, Root: root, Alters: alters}
}
