package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"migrate-init/cpio"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// runProve shows before commit that the target boots: nothing is written here, and any doubt is an error.
func runProve(ctx context.Context, e *Env) error {
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	root, err := e.Inside(TargetDir)
	if err != nil {
		return err
	}
	pr, err := newProver(e.Loaders, e.Plan, root)
	if err != nil {
		return err
	}
	pr.say = func(s string) { e.tell("prove", "%s", s) }
	pr.core = coreDrivers(e.Root, e.Plan.Drivers)
	var errs []error
	for _, t := range e.Plan.NewDisks() {
		errs = append(errs, e.proveTable(e.Plan.Target, t))
	}
	found := pr.ask(plan.Proving)
	for _, x := range found {
		if x.Severity == plan.Warn {
			e.tell("prove", "warning: %s", x)
		}
	}
	errs = append(errs, found.Err())
	for _, t := range e.Plan.NewDisks() {
		errs = append(errs, e.proveDisk("prove", e.Plan.Target, t))
	}
	return errors.Join(errs...)
}

// prover reads one installed system: the copy, or the old system as it will be.
type prover struct {
	p      *plan.Plan
	sys    distro.System
	loader loader.Loader
	// loaders are all that are known.
	loaders loader.Table
	root    fs.FS
	say     func(string)
	core    map[string]bool       // drivers that are no modules: built in, and not in modules.builtin either
	proved  map[string]bool       // kernels whose initrd is good
	over    map[string][]byte     // by absolute path, files as they will be; nil for one that will not be there
	opened  func(a *cpio.Archive) // gets every initrd that is opened; nil: no one asks
	asking  plan.Installed        // what it is asked with, but for the files
	// What a preflight knows beside: the changes that rewrite will make, and by which attribute a file cannot be changed.
	changes []machine.Effect
	locked  func(name string) string
}

func newProver(loaders loader.Table, p *plan.Plan, root fs.FS) (*prover, error) {
	l, err := loaders.Of(p)
	if err != nil {
		return nil, err
	}
	sys, err := distro.Of(p)
	if err != nil {
		return nil, err
	}
	return &prover{p: p, sys: sys, loader: l, loaders: loaders, root: root, say: func(string) {}, over: map[string][]byte{}, proved: map[string]bool{}}, nil
}

// ask asks everything whose moment it is: what every system has to answer, and then what its boot loader, its generator
// and its family do.
func (pr *prover) ask(when plan.Moment) plan.Findings {
	pr.asking.When = when
	in := pr.asking
	in.Files, in.Plan, in.When, in.Proved, in.Say = pr.files(), pr.p, when, pr.proved, pr.say
	r := &rewriter{p: pr.p, sys: pr.sys, root: pr.root, dir: "/", ids: identities(pr.p), loader: pr.loader}
	in.Renamed, in.Params = r.successors, r.params
	in.Path = searched(pr.sys.Family.Env)
	in.Old = func(name string) []byte {
		b, err := r.read(name)
		if err != nil {
			return nil
		}
		return b
	}
	return plan.AskAll(slices.Concat(pr.questions(), pr.sys.Family.Questions, pr.sys.Generator.Questions, pr.loader.Questions), in)
}

// searched are the directories of PATH in an environment.
func searched(env []string) []string {
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			return strings.Split(list, ":")
		}
	}
	return nil
}

// questions are those that do not depend on the boot loader, the generator or the family.
func (pr *prover) questions() []plan.Question {
	const live, always = plan.Planning | plan.Live, plan.Planning | plan.Live | plan.Generated | plan.Proving
	row := func(id string, when plan.Moment, ok string, ask func() plan.Findings) plan.Question {
		return plan.Question{ID: id, When: when, OK: ok, Ask: func(plan.Installed) plan.Findings { return ask() }}
	}
	return []plan.Question{
		row("schedule.possible", plan.Live, "schedule has what it needs", pr.schedules),
		row("rewrite.possible", live, "no file or directory is in the way of what the migration writes", pr.possible),
		row("rebuild.places", live, "the files and directories that a rebuild writes are where it expects them", pr.places),
		row("rebuild.attributes", live, "no file that changes is immutable or append-only", pr.frozen),
		row("rebuild.room", live, "the copy has room for what a rebuild writes", pr.room),
		row("initrd.present", live, "the planned kernel has an initramfs to rebuild", pr.oldInitrds),
		row("kernel.needed-modules", live, "each kernel with an initramfs has the modules that the next one needs", pr.modules),
		row("initrd.whole", plan.Generated|plan.Proving, "every initramfs has what the new root needs", pr.initrds),
		row("init.program", always, "the init program exists and can be executed", pr.init),
		row("fstab.rewritten", always, "each line of fstab resolves, none to the old system", pr.fstab),
		row("mdadm.conf", always, "mdadm.conf has a line for each new array", pr.mdadm),
		row("settings.rewritten", always, "no boot or initramfs setting names the old system", pr.settings),
		row("boot-files.rewritten", plan.Proving, "no boot file names the old system", pr.leftovers),
		row("confirm.runs", live, "the unit that confirms the first boot can run", pr.confirms),
	}
}

func (pr *prover) read(name string) ([]byte, error) {
	at, err := throughLinks(pr.root, name)
	if err != nil {
		return nil, err
	}
	if b, ok := pr.over[at]; ok && b == nil {
		return nil, fmt.Errorf("file %s: %w", name, fs.ErrNotExist)
	} else if ok {
		return b, nil
	}
	b, err := fs.ReadFile(pr.root, nonRoot(at))
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return b, nil
}

func (pr *prover) stat(name string) (fs.FileInfo, error) {
	at, err := throughLinks(pr.root, name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(pr.root, nonRoot(at))
}

func (pr *prover) files() plan.Files {
	at := func(name string) (string, error) { p, err := inRoot(pr.root, name); return nonRoot(p), err }
	return plan.Files{Read: pr.read, Stat: pr.stat,
		Lstat: func(name string) (fs.FileInfo, error) {
			p, err := at(name)
			if err != nil {
				return nil, err
			}
			return fs.Lstat(pr.root, p)
		},
		Place: func(name string) (string, error) { return throughLinks(pr.root, name) },
		Glob:  func(pattern string) ([]string, error) { return glob(pr.root, pattern) },
	}
}
