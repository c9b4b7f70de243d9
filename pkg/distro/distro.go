// Package distro knows how an installed system rebuilds its own initrds and boot loader: which of its own programs to
// run in a chroot, in which order, and what has to be inside the result so that a degraded array starts at boot. It
// returns effects and requirements; pkg/stage carries out the one and proves the other. One file a family, one row in
// Families.
package distro

import (
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Family is a row of the table.
type Family struct {
	Name   string // plan.Distro.Family
	Initrd string // generator
	// Rebuild are the programs that make initrds and boot loader anew in the system below root. disks are the nodes,
	// inside the chroot, that get a boot loader.
	Rebuild func(p *plan.Plan, root string, disks []string) []machine.Exec
	// Loader are the programs that put the boot loader on further disks, in the system below root ("" is this one).
	Loader func(p *plan.Plan, root string, disks []string) []machine.Exec
	// Menu are the programs that write the boot loader's configuration anew, in the system below root.
	Menu func(p *plan.Plan, root string) []machine.Exec
	// Initrds is the pattern of initrd paths, with one * for the kernel release.
	Initrds string
	// Kernels is the same for kernel images.
	Kernels string
	// Needs lists what an initrd must have inside to start a degraded array as root.
	Needs func(p *plan.Plan) []Need
	// Overlay are files that make it so where the distribution would not by itself.
	Overlay func(p *plan.Plan) []File
}

// Need is a fact to be proved of an initrd.
type Need struct {
	Why    string
	Path   string   // a file that must be there; "" for none
	Module string   // a module that must be there or be built in; "" for none
	Words  []string // words that the file must contain
}

// File is a file to write into the system.
type File struct {
	Path string
	Data []byte
	Mode uint32
	Why  string
}

// Families lists what can be rebuilt.
func Families() []Family { return []Family{debian()} }

// Of finds the row of a plan's system.
func Of(p *plan.Plan) (Family, error) {
	for _, f := range Families() {
		if f.Name == p.Machine.Family && f.Initrd == p.Machine.Initrd {
			return f, nil
		}
	}
	return Family{}, fmt.Errorf("distribution %s with %s: not known to this migrate-init; it rebuilds debian with initramfs-tools", p.Machine.Family, p.Machine.Initrd)
}
