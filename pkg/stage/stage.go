// Package stage does the migration, in order: the stages that a plan's strategy composed, the journal, and the one
// commit point. It decides nothing about the layout (the plan did) and knows no system call (machine does).
//
// The contract of a stage: Run may be killed at any effect and started again in another boot; it finds its own work by
// the identities of the plan and goes on. Done is pure over plan, facts and journal. Until the stage `commit` has
// renamed one file on the target, no effect writes to a source device; a test asserts that over every transcript.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// Env is what stages work with.
type Env struct {
	Plan    *plan.Plan
	Machine machine.Machine
	Look    func(ctx context.Context, depth survey.Depth) (*plan.Facts, error)
	// Known is what Look remembers of devices; nil: it reads all of them each time. The stages say what they change.
	Known  *survey.Known
	Open   func(path string) (survey.Device, error)
	Copier copy.Copier
	Tell   func(Event)
	// Loaders are the boot loaders that are known.
	Loaders loader.Table
	// Root is the machine's root for reading; paths without a leading slash.
	Root fs.FS
	// Inside opens a directory of the machine as a root that no symbolic link leads out of.
	Inside func(dir string) (fs.FS, error)
	// Clock stamps records: RFC 3339 and seconds since boot.
	Clock func() (string, float64)
	// Wait waits until cond holds or the plan's deadline has passed, looking again at every uevent.
	Wait func(ctx context.Context, what string, cond func() (bool, error)) error
	// Pause lets a moment pass between two looks at something that takes long.
	Pause func(ctx context.Context) error
	// Load loads kernel modules by name, dependencies first.
	Load func(ctx context.Context, names ...string) error
	// Ask asks for a passphrase on every console at once; nil where no one can be asked.
	Ask func(ctx context.Context, prompt string) ([]byte, error)
	// Status asks the kernel for the state of a device-mapper device; nil: nothing is asked.
	Status func(name string) (machine.MappingState, error)
	// KernelLog collects what the kernel says about filesystems; nil where its log is not read.
	KernelLog *copy.KernelLog
	// Self is the path of this binary in the image.
	Self string
	// PlanText is the plan as it was written.
	PlanText []byte
	// DryRun says that Machine only shows what it is asked for: what depends on an effect is told in words.
	DryRun bool
	// Discard says that the operator gives up what changed on the old disk since it was copied.
	Discard bool
	// SyncSpeed is how fast members are to be rebuilt at least, in bytes per second: 0 leaves the kernel's limits as they are.
	SyncSpeed int64

	Facts       *plan.Facts // refreshed before every stage
	started     []started
	arrays      map[string]string // the stamps of the source's arrays before they were started
	stampOf     map[string]string // by UUID: the stamps of filesystems before their journals were replayed in memory
	records     Records
	checkpoints copy.Checkpoints
	journal     string // device, "" while there is none
	size        int64
	boot        string
	alone       bool // nothing but the stages changes this machine
	held        []string
	passphrases [][]byte // those that opened a container
	attempt     int      // how often the migration was started in a row, this time included; 0 before that is known
	armed       bool     // the boot block starts it again
}

// Event is what a stage has to say while it works.
type Event struct {
	Stage, Text string
	Progress    *copy.Progress
}

// Where things are mounted while the migration runs.
const (
	SourceDir = "/mnt/source" // one directory a filesystem below it, by UUID
	TargetDir = "/mnt/target" // the new tree as it will be
)

// A FailedError says which stage failed.
type FailedError struct {
	Stage string
	Err   error
}

func (e *FailedError) Error() string { return "stage " + e.Stage + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// Run runs the phase of a plan that the image runs. A failure is journalled (where there is a journal already) and
// returned as a FailedError; the caller carries out the plan's policy.
func Run(ctx context.Context, e *Env) error { return e.phase(ctx, plan.InImage, plan.ByBoot) }

// Confirm runs the phase of a plan that marks a boot of the new system as good. It keeps no journal.
func Confirm(ctx context.Context, e *Env) error { return e.phase(ctx, plan.InNewSystem, plan.ByBoot) }

// Finish runs the phase of a plan that gives the old disks to the new system. It may be cut short and run again.
func Finish(ctx context.Context, e *Env) error {
	return errors.Join(e.phase(ctx, plan.InNewSystem, plan.ByOperator), e.release(ctx))
}

// phase runs the stages of a phase in their order. Once the journal says that the commit was made, what stands before it
// and would change something is passed over: a boot entry that fires twice must never copy the old system over the new one.
func (e *Env) phase(ctx context.Context, where, by string) error {
	stages, err := compose(e.Plan, where, by)
	if err != nil {
		return err
	}
	e.alone = where == plan.InImage
	if e.Known != nil {
		e.Machine = noting{e.Machine, e}
	}
	for i, s := range stages {
		if e.Facts, err = e.look(ctx, s.depth()); err != nil {
			return &FailedError{s.Name, err}
		}
		if e.boot == "" {
			e.boot = e.Facts.Machine.BootID
		}
		if s.Done != nil && s.Done(e.records) || !s.Looks && e.past(stages[i:]) {
			e.Tell(Event{Stage: s.Name, Text: "done already"})
			continue
		}
		if !s.Looks {
			if err := e.hold(ctx, where); err != nil {
				return &FailedError{s.Name, err}
			}
			if err := e.udevKeepsOff(ctx, s); err != nil {
				return &FailedError{s.Name, err}
			}
		}
		e.Tell(Event{Stage: s.Name, Text: "begins"})
		if err := e.step(ctx, s); err != nil {
			return err
		}
		e.Tell(Event{Stage: s.Name, Text: "done"})
	}
	return nil
}

// past reports whether one of the stages is a commit that was made.
func (e *Env) past(stages []Stage) bool {
	return slices.ContainsFunc(stages, func(s Stage) bool { return s.Commits && e.records.Done(s.Name) })
}

func (e *Env) step(ctx context.Context, s Stage) error {
	if s.Looks {
		return e.failed(ctx, s, e.run(ctx, s))
	}
	if err := e.Record(ctx, Record{Stage: s.Name, Event: Begin}); err != nil {
		return &FailedError{s.Name, err}
	}
	err := e.run(ctx, s)
	if err == nil {
		err = e.Record(ctx, Record{Stage: s.Name, Event: Done})
	}
	return e.failed(ctx, s, err)
}

// run runs a stage. What was read through an overlay counts only if its store was not full: errors may have been passed over.
func (e *Env) run(ctx context.Context, s Stage) error {
	err := s.Run(ctx, e)
	if s.Where == plan.InImage {
		err = errors.Join(e.storesFull(), err)
	}
	return err
}

// failed records why a stage failed. What only looked in a running system leaves no trace,
// and its caller reads the reason as it is.
func (e *Env) failed(ctx context.Context, s Stage, err error) error {
	if err == nil {
		return nil
	}
	if s.Looks && s.Where != plan.InImage {
		return err
	}
	failed := &FailedError{s.Name, err}
	e.giveUp(ctx)
	// The target may be what failed: its journal is then lost, and the consoles have the reason.
	if jerr := e.Record(context.WithoutCancel(ctx), Record{Stage: s.Name, Event: Failed, Text: err.Error()}); jerr != nil {
		return errors.Join(failed, jerr)
	}
	return failed
}

// Record appends to the journal; while there is none yet it does nothing.
func (e *Env) Record(ctx context.Context, rec Record) error {
	if e.journal == "" {
		return nil
	}
	if free := e.size/slotSize - 1 - checkpointSlots - int64(len(e.records)); free <= kept(rec) {
		return ErrJournalFull
	}
	rec.Time, rec.Up = e.Clock()
	rec.Boot = e.boot
	eff, rec, err := e.records.appendTo(e.journal, e.Plan.ID, e.size, rec)
	if err != nil {
		return err
	}
	if _, err := e.Machine.Do(ctx, eff); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	e.records = append(e.records, rec)
	return nil
}

// Records gives the journal as this run knows it.
func (e *Env) Records() Records { return e.records }

// openJournal finds the planned journal's volume and reads it; a volume without a journal of this plan is no error.
func (e *Env) openJournal() error {
	d, err := e.Facts.Volume(e.Plan, e.Plan.Journal)
	if err != nil || d == nil {
		return err
	}
	r, err := e.Open(d.Path)
	if err != nil {
		return fmt.Errorf("journal %s: %w", d.Path, err)
	}
	defer r.Close()
	rs, err := ReadJournal(io.NewSectionReader(r, 0, d.Size), e.Plan.ID, d.Size)
	if errors.Is(err, ErrNoJournal) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal %s: %w", d.Path, err)
	}
	e.records, e.journal, e.size = rs, d.Path, d.Size
	// One that cannot be read is as good as a torn one: the copy goes on from the other, or from the start.
	e.checkpoints.Last, _ = slotsAtEnd(e.Plan.ID, d.Size).Read(r)
	return nil
}

// do carries out effects in order and stops at the first that fails.
func (e *Env) do(ctx context.Context, effs ...machine.Effect) error {
	for _, eff := range effs {
		if _, err := e.Machine.Do(ctx, eff); err != nil {
			return err
		}
	}
	return nil
}

func (e *Env) tell(stage, format string, args ...any) {
	e.Tell(Event{Stage: stage, Text: fmt.Sprintf(format, args...)})
}
