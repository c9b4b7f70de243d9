package main

import (
	"context"
	"fmt"
	"os"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

func cmdFinish(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	p, text, err := readPlan("")
	if err != nil {
		return err
	}
	show := &progress{w: c.err, tty: isTerminal(os.Stderr)}
	if c.opt.dryRun {
		f, err := look(ctx, survey.Whole)
		if err != nil {
			return err
		}
		rs, err := journalOf(p, f)
		if err != nil {
			return err
		}
		if err := stage.Finishable(p, f, rs, c.opt.discard); err != nil {
			return err
		}
		e := env(p, text, &machine.Printer{W: c.out}, show.event)
		return stage.PreviewFinish(ctx, e)
	}
	e := env(p, text, &machine.Real{}, show.event)
	if err := stage.Finish(ctx, e, c.opt.discard); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "Finished: every array is whole, and each disk boots alone.")
	return nil
}
