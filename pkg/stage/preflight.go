package stage

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"migrate-init/cpio"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Preflight is an installed system that is asked, before the machine is down, everything that its copy will be asked later.
type Preflight struct {
	Loaders loader.Table
	Plan    *plan.Plan
	// When is plan.Planning, where no program is run; plan.Live for the running system, whose files are rewritten in
	// memory; or, for a root in which rewrite and the initramfs generator have run, and whose initrds are those that will
	// boot, plan.Generated, and plan.Proving if its boot menu is the one that will boot too.
	When    plan.Moment
	Facts   *plan.Facts
	Root    fs.FS           // the system
	Sys     fs.FS           // the machine's root, for /sys; nil: drivers that are not modules are not known
	Machine machine.Machine // runs those of the system's programs that only read; nil: none is run
	Chroot  string          // where the system is for its programs, "" for this root
	// Free is the room, in bytes, of the filesystem that holds a directory now; nil: not asked.
	Free func(dir string) int64
	// Locked names the attribute of chattr by which a file cannot be changed, "" for none; nil: not asked.
	Locked func(name string) string
	// Say is told what was found good, and Opened gets every initrd that is opened; nil: no one asks.
	Say    func(string)
	Opened func(a *cpio.Archive)
}

// Ask returns what was found. Ids are stable. A refusal is what would end the migration after the downtime began, or keep the
// new system from booting.
func (pf Preflight) Ask(ctx context.Context) plan.Findings {
	const id = "settings.rewrite"
	pr, err := newProver(pf.Loaders, pf.Plan, pf.Root)
	if err != nil {
		return withID(id, fault("plan "+pf.Plan.ID, "", err))
	}
	if pf.Say != nil {
		pr.say = pf.Say
	}
	pr.core, pr.opened = coreDrivers(pf.Sys, pf.Plan.Drivers), pf.Opened
	pr.locked = pf.Locked
	pr.asking = plan.Installed{Facts: pf.Facts, Free: pf.Free}
	if pf.Machine != nil && pf.When != plan.Planning {
		pr.asking.Run = func(stdin []byte, argv ...string) ([]byte, error) {
			out, err := pf.Machine.Do(ctx, machine.Exec{Argv: argv, Env: pr.sys.Family.Env, Root: pf.Chroot, Stdin: stdin, Keep: maxMenu})
			return out.Stdout, err
		}
	}
	if pf.When&(plan.Generated|plan.Proving) != 0 {
		return pr.ask(pf.When)
	}
	effs, err := Rewrites(pf.Loaders, pf.Plan, pf.Root, "/")
	if err != nil {
		return withID(id, fault("settings", "correct what it names, and check again", err))
	}
	pr.rewritten(effs)
	return append(plan.Findings{{ID: id, Severity: plan.OK, Subject: "settings", Detail: fmt.Sprintf("%d changes in the copy", len(effs))}}, pr.ask(pf.When)...)
}

// rewritten lets the prover read files as they will be.
func (pr *prover) rewritten(effs []machine.Effect) {
	pr.changes = effs
	for _, eff := range effs {
		switch x := eff.(type) {
		case machine.WriteFile:
			pr.over[path.Clean(x.Path)] = append([]byte{}, x.Data...)
		case machine.WriteInPlace:
			pr.over[path.Clean(x.Path)] = append([]byte{}, x.Data...)
		case machine.Remove:
			pr.over[path.Clean(x.Path)] = nil
		}
	}
}

// maxMenu is how much a program may print.
const maxMenu = 8 << 20

func withID(id string, found plan.Findings) plan.Findings {
	for i := range found {
		found[i].ID = id
	}
	return found
}
