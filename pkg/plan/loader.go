package plan

import (
	"io/fs"
	"strings"
)

// Loader is what looking and deciding need to know of a boot loader.
type Loader struct {
	Name  string // Boot.Loader
	Title string // for people, with the firmware that it is for

	// Look reads the loader's files on the running system. f is what is known of the rest of the machine, f.Boot where its
	// kernels are; b takes the place of f.Boot. found is false when this loader does not boot the machine.
	Look func(root fs.FS, f *Facts) (b Boot, problems []Problem, found bool)

	// OneShot says why an entry for the next boot runs exactly once on this machine, or what is in the way: refusals,
	// with subject, detail and fix. Nil for a loader that is only recognised; then what follows is nil, too.
	OneShot func(f *Facts) (why string, refused Findings)
	// NeedsBlock reports whether OneShot is by the block on the target: without one nothing can be scheduled.
	NeedsBlock func(f *Facts) bool
	// Settings are what a plan for this machine keeps for the boot loader alone; dir is where its own files are.
	Settings func(f *Facts) (settings map[string]string, dir string)
	// Parts are the partitions that it needs for itself on every disk that is to boot. The one of RoleOneShot on the first new disk
	// gets the block that says what boots once.
	Parts []Reserved
	// Sector is the largest logical sector, in bytes, of the disks that it is known to boot from; 0 for any.
	Sector int64
	// Drift lists the settings of a plan with those of this machine.
	Drift func(p *Plan, f *Facts) ([]Drift, error)
	// Texts are patterns of the files that may name devices, without the leading slash.
	Texts []string
	// Describe tells what else people should know of it.
	Describe func(f *Facts) []string
}

// Reserved is a partition that carries no volume; Size is in bytes.
type Reserved struct {
	Role, Name string
	Size       int64
}

// Drift compares one setting.
type Drift struct{ What, Is, Was string }

// loader is the row of the loader that boots the machine.
func (f *Facts) loader() Loader { return f.Rules.Loader(f.Boot.Loader) }

// oneShot asks it.
func (f *Facts) oneShot() (why string, refused Findings) {
	if l := f.loader(); l.OneShot != nil {
		return l.OneShot(f)
	}
	var can []string
	for _, l := range f.Rules.Loaders {
		if l.OneShot != nil {
			can = append(can, l.Title)
		}
	}
	return "", Findings{{Subject: "boot loader", Detail: "it is " + orUnknown(f.Boot.Loader), Fix: "this version moves systems that boot by " + orUnknown(strings.Join(can, " or "))}}
}

// refuseAll takes over refusals of a row.
func (a *answers) refuseAll(refused Findings) {
	for _, x := range refused {
		a.refuse(x.Subject, x.Fix, "%s", x.Detail)
	}
}
