// Package loader knows how boot loaders are told what to boot: how a migration is armed for one boot and disarmed again,
// what makes the new system the default, how that is confirmed or taken back, and how a boot loader is proved. One boot
// loader is one file with one row in Known; a row is a struct of functions that return values or effects, and pkg/stage
// carries the effects out.
//
// What a row keeps for itself (its undo record) is opaque to everyone else.
package loader

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Loader is a row of the table. A nil function means that there is nothing to do, unless its comment says otherwise.
type Loader struct {
	plan.Loader // how the machine is looked at, and what is decided

	// Valid refuses a plan whose settings for this loader are not what it writes there.
	Valid func(p *plan.Plan) error

	// Arm makes the next boot, and only that one, run the migration. It always exists.
	Arm func(p *plan.Plan, a Arming) (Armed, error)
	// Block spells the block on the target that starts the migration again after a power cut, and the first time where the boot
	// loader cannot note that itself. nil: a power cut boots the old system.
	Block *BlockSpeller
	// Disarm undoes Arm to the byte; what others wrote to the same files meanwhile stays. It always exists.
	Disarm func(id string, undo json.RawMessage, root fs.FS) ([]machine.Effect, error)
	// Adopt finds this loader's undo record in a schedule record of a version that did not separate the two.
	Adopt func(record []byte) (json.RawMessage, bool)

	// Commit makes the new system the one that is booted; the rest of it has reached the disk. The one effect that
	// decides is atomic. place says where a path of the new system is on this machine. Commit, Committed, Confirm and
	// Rollback always exist.
	Commit func(p *plan.Plan, place func(name string) (string, error)) ([]machine.Effect, error)
	// Committed reports whether the commit is there; root is the new system.
	Committed func(p *plan.Plan, root fs.FS) (bool, error)
	// Confirm marks this boot of the new system as good; no effects when there is nothing to mark.
	Confirm func(p *plan.Plan, root fs.FS) ([]machine.Effect, error)
	// Rollback takes the commit back from inside the new system. It is idempotent.
	Rollback func(p *plan.Plan, root fs.FS) ([]machine.Effect, error)

	// Next says which system the next boot enters, by the rule that the boot loaders follow; root is the running system, and
	// committed what the journal says, for an old system that cannot see the commit itself. nil: nothing is said.
	Next func(p *plan.Plan, f *plan.Facts, root fs.FS, migrated, committed bool) (plan.NextBoot, error)

	// Settings are the files from which boot entries are made. People write them, with comments that may tell history.
	Settings []Setting
	// Written are further files of people's own, changed by Rewrite, and Made what programs write. Both are patterns.
	Written, Made []string
	// Others is what of a file in Written is other people's: what Rewrite adds may name the old system on purpose. Nil: all.
	Others func(b []byte) []byte
	// Rewrite changes in the copy what the new system's boot loader reads, beyond Settings. Paths are in that system.
	Rewrite func(p *plan.Plan, in Rewriting) ([]machine.Effect, error)
	// Remember tells the system's packages on which disks they keep the boot loader up to date, by names that stay.
	Remember func(in Rewriting, disks []string) ([]machine.Effect, error)
	// Install are the programs, run inside the new system, that put the boot loader on disks, and Menu those that write
	// its configuration.
	Install func(p *plan.Plan, disks []string) [][]string
	Menu    func(p *plan.Plan) [][]string
	// Waiting is boot code, bytes 0 to 439 of LBA 0, for a new disk that is not to be booted yet: the firmware may try that disk
	// first, and then goes on to the next. nil where the firmware starts no boot sectors.
	Waiting func() []byte

	// Programs are patterns of what Install writes into the system.
	Programs []string
	// Writes are the files that Menu's programs write, without the leading slash, and Reads patterns of the files and directories that
	// decide what they write. A configuration written before the reboot is only used when all of them are the same. None: it is never
	// written earlier.
	Writes, Reads []string
	// StandIns replace programs of the system while Menu's programs run before the reboot, in an overlay of the running system: they
	// answer for devices that do not exist yet. node is the name under which a filesystem's device is there.
	StandIns func(p *plan.Plan, node func(filesystem *plan.Node) string) ([]machine.WriteFile, error)

	// Questions are asked of a system that it boots: what has to be right before the reboot, and whether its files in the new
	// system boot it.
	Questions []plan.Question
	// ProveDisk shows that the firmware can start the boot loader from t, a disk of a planned graph, which d is.
	ProveDisk func(p *plan.Plan, g plan.Graph, t *plan.Node, d Disk) (found string, err error)
	// Release makes the new system's boot loader start it whatever the old disk's says, to which it defers until then. It
	// comes right before Takeover. No effects when nothing is left to release.
	Release func(p *plan.Plan, root fs.FS) ([]machine.Effect, error)
	// Takeover lets the old disk boot the new system before anything of the old one is destroyed. No effects when an
	// earlier run got this far.
	Takeover func(p *plan.Plan, t Takeover) ([]machine.Effect, error)
	// Leftovers removes from the running new system what only the migration needed.
	Leftovers func(p *plan.Plan, root fs.FS) ([]machine.Effect, error)
}

// Arming is what a migration is armed with.
type Arming struct {
	Facts   *plan.Facts
	Root    fs.FS  // the running old system
	Kernel  string // path of the migration's kernel
	Image   string // path of its initramfs
	Cmdline string
	Before  json.RawMessage // undo record of an earlier try with the same plan; nil for none
}

// Armed is how to arm. Undo is written down before the first effect.
type Armed struct {
	Undo    json.RawMessage
	Effects []machine.Effect // the last one arms: a power cut before it leaves entries that nothing chooses
	Block   bool             // none of them arms: the block on the target does
}

// Disk is an open disk.
type Disk struct {
	Path string
	io.ReaderAt
}

// Takeover is what it takes to make the old disk boot as the new one does.
type Takeover struct {
	New, Old Disk
	First    int64 // byte of the old disk at which its first partition begins, in the old table or the planned one
}

// Table is the boot loaders that are known, in the order in which a machine is asked for them.
type Table []Loader

// Known is the table of this program.
func Known() Table { return Table{grubBIOS()} }

// Of finds the row of a plan, and refuses settings that are not its own.
func (t Table) Of(p *plan.Plan) (Loader, error) {
	l, err := t.named(p.Boot.Loader)
	if err != nil {
		return l, err
	}
	return l, l.Valid(p)
}

func (t Table) named(name string) (Loader, error) {
	for _, l := range t {
		if l.Name == name {
			return l, nil
		}
	}
	return Loader{}, fmt.Errorf("boot loader %q: not known to this migrate-init; use the one that made the plan", name)
}

// Waiting is the boot code of a new disk that is not to be booted yet, by the row with a name; nil for none.
func (t Table) Waiting(name string) []byte {
	if l, err := t.named(name); err == nil && l.Waiting != nil {
		return l.Waiting()
	}
	return nil
}

// Disarm undoes what the row with a name armed for a plan.
func (t Table) Disarm(name, id string, undo json.RawMessage, root fs.FS) ([]machine.Effect, error) {
	l, err := t.named(name)
	if err != nil {
		return nil, err
	}
	return l.Disarm(id, undo, root)
}

// Adopt finds the loader and its undo record in a schedule record that does not name them.
func (t Table) Adopt(record []byte) (name string, undo json.RawMessage, found bool) {
	for _, l := range t {
		if l.Adopt == nil {
			continue
		}
		if undo, ok := l.Adopt(record); ok {
			return l.Name, undo, true
		}
	}
	return "", nil, false
}
