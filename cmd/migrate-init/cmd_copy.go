package main

import (
	"context"
	"fmt"
	"os"

	"migrate-init/pkg/stage"
)

func cmdCopy(ctx context.Context, c *call) error {
	if err := need(c, 2, "a source and a target"); err != nil {
		return err
	}
	show := &progress{w: c.err, tty: isTerminal(os.Stderr)}
	job := stage.Job{From: c.args[0], To: c.args[1], FromDev: c.args[0], ToDev: c.args[1], Engine: c.opt.engine}
	say := func(name string) func(stage.Progress) {
		return func(p stage.Progress) { show.event(stage.Event{Stage: name, Text: c.args[0], Progress: &p}) }
	}
	job.Progress = say("copy")
	copied, err := engines{}.Copy(ctx, job)
	if err != nil {
		return err
	}
	job.Progress = say("verify")
	verified, err := engines{}.Verify(ctx, job)
	if err != nil {
		return err
	}
	show.clear()
	if c.opt.json {
		return printJSON(c, map[string]stage.Counts{"copied": copied, "verified": verified})
	}
	fmt.Fprintf(c.out, "%d files and %d directories, %d bytes: copied, read back and equal\n", copied.Files, copied.Dirs, copied.Bytes)
	return nil
}
