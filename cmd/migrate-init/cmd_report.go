package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"migrate-init/pkg/stage"
)

// cmdReport prints what a migration left behind: the journal, or what a console's log has of one that failed before there was
// a journal.
func cmdReport(ctx context.Context, c *call) error {
	if c.opt.decode != "" {
		return c.decodeReport()
	}
	p, _, f, err := c.kept(ctx)
	if err != nil {
		return err
	}
	rs, err := c.journalOf(p, f)
	if err != nil {
		return err
	}
	if len(rs) == 0 {
		return fmt.Errorf("plan %s: no journal of it is here: the migration has not run, or it failed before its first write; then its consoles had the report: migrate-init report --decode LOG", p.ID)
	}
	if c.opt.json {
		return printJSON(c, rs)
	}
	fmt.Fprint(c.out, rs.Report(p))
	return nil
}

func (c *call) decodeReport() error {
	name, in := c.opt.decode, io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		defer f.Close()
		in = f
	}
	all, err := stage.ReadConsoleReports(in)
	switch {
	case errors.Is(err, stage.ErrNoReport):
		return fmt.Errorf("log %s: %w: it begins with a line -----BEGIN REPORT; capture the console from the start of the migration to its reboot", name, err)
	case err != nil:
		err = fmt.Errorf("log %s: %w", name, err)
	}
	if c.opt.json {
		return errors.Join(printJSON(c, all), err)
	}
	for i, r := range all {
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		if len(all) > 1 {
			fmt.Fprintf(c.out, "Report %d of %d\n\n", i+1, len(all))
		}
		fmt.Fprint(c.out, r)
	}
	return err
}
