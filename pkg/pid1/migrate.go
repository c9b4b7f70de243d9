package pid1

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// The image's own files; pkg/image puts them there.
const (
	planFile      = "/etc/migrate-init/plan.toml"
	watchdogsFile = "/etc/migrate-init/watchdogs"
)

// imagePlan is the plan in the image, or why there is none.
type imagePlan struct {
	*plan.Plan
	text []byte
	err  error
}

func (p *Init) readPlan() imagePlan {
	b, err := p.read(planFile)
	if errors.Is(err, fs.ErrNotExist) {
		return imagePlan{err: fmt.Errorf("plan %s: not in this image, and without one this init has nothing to do; `migrate-init build` puts it in", planFile)}
	}
	if err != nil {
		return imagePlan{err: fmt.Errorf("plan: %w", err)}
	}
	got, err := plan.Read(strings.NewReader(string(b)))
	if err != nil {
		return imagePlan{err: fmt.Errorf("%s: %w", planFile, err)}
	}
	return imagePlan{got, b, nil}
}

// migrate is the mode that carries out the plan in the image.
func migrate(ctx context.Context, p *Init) error {
	if p.image.err != nil {
		return p.image.err
	}
	if want, ok := p.cmdline.Get("migrate.plan"); ok && want != p.image.ID {
		return fmt.Errorf("plan %s: the kernel command line wants plan %s; this image was built for another", p.image.ID, want)
	}
	p.Consoles.Say("migrate-init %s, plan %s: %s", p.Version, p.image.ID, p.image.To)
	e := p.Stages(p.image.Plan, p.image.text, pid1Machine{p}, p.Consoles.Event)
	e.Self, e.Ask = Self, p.ask
	p.job = job{
		journal: func(ctx context.Context, text string) error {
			return e.Record(ctx, stage.Record{Stage: "init", Event: stage.Failed, Text: text})
		},
		outlook: func() string { return outlook(e.Records()) },
		release: e.Abandon,
		kept: func() bool {
			rs := e.Records()
			return len(rs) > 0 && rs[len(rs)-1].Event == stage.Failed
		},
		facts: func() *plan.Facts { return e.Facts },
	}
	p.loadDrivers(ctx, e)
	if err := stage.Run(ctx, e); err != nil {
		return err
	}
	return errors.New("internal error: the last stage returned without entering the new system")
}

// loadDrivers loads each driver by itself: one that is missing or refuses must not keep the others from finding the disks.
func (p *Init) loadDrivers(ctx context.Context, e *stage.Env) {
	// An image without the list is for a machine that has no watchdog that could be left running.
	watchdogs, _ := p.read(watchdogsFile)
	for _, name := range append(strings.Fields(string(watchdogs)), p.image.Drivers...) {
		if err := e.Load(ctx, name); err != nil {
			p.Consoles.Say("driver %s: %v", name, err)
		}
	}
}

// outlook says what boots next after a failed migration.
func outlook(rs stage.Records) string {
	switch {
	case rs.Done("commit"):
		return "the migration was committed before: the old disk's boot loader enters the new system, once; if that fails too, the old one is back, unchanged"
	case rs.Committing():
		return "the commit was begun, and whether it was made only the boot loader can see: the next boot is the new system, once, or the old one, unchanged"
	case len(rs) == 0:
		return noJournal
	}
	return "nothing was committed: the next boot is the old system, unchanged; `migrate-init status` there tells the reason"
}
