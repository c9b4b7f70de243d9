package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

func printJSON(c *call, v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func cmdInspect(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	f, err := look(ctx, survey.Whole)
	if err != nil {
		return err
	}
	if c.opt.json {
		return printJSON(c, f)
	}
	fmt.Fprint(c.out, f.Describe())
	return nil
}

// resolved follows links such as /dev/disk/by-id/... to the node.
func resolved(names []string) []string {
	var out []string
	for _, n := range names {
		if p, err := filepath.EvalSymlinks(n); err == nil {
			n = p
		}
		out = append(out, n)
	}
	return out
}

func cmdPlan(ctx context.Context, c *call) error {
	if err := need(c, 0, "none"); err != nil {
		return err
	}
	if c.opt.to == "" {
		return usageError{fmt.Errorf("layout: missing; say --to raid1 --disk DEV")}
	}
	if len(c.opt.disks) == 0 {
		return usageError{fmt.Errorf("target disks: missing; say --disk DEV")}
	}
	f, err := look(ctx, survey.Whole)
	if err != nil {
		return err
	}
	in := plan.Intent{To: c.opt.to, Disks: resolved(c.opt.disks), Wipe: resolved(c.opt.wipe), Leave: resolved(c.opt.leave), Engine: c.opt.engine, Metadata: c.opt.metadata,
		Policy: plan.Policy{OnFailure: c.opt.onFailure}, Now: time.Now(), Rand: rand.Reader}
	p, found, err := plan.New(in, f)
	for _, x := range found {
		if x.Severity == plan.Warn {
			fmt.Fprintln(c.err, "warning:", x)
		}
	}
	if err != nil {
		return err
	}
	text, err := p.Encode()
	if err != nil {
		return err
	}
	if c.opt.json {
		if err := printJSON(c, p); err != nil {
			return err
		}
	} else {
		fmt.Fprint(c.out, p.Explain(f))
	}
	abs, err := filepath.Abs(c.opt.output)
	if err != nil {
		return err
	}
	if _, err := effector(c).Do(ctx, machine.WriteFile{Path: abs, Data: text, Mode: 0o600}); err != nil {
		return err
	}
	if !c.opt.dryRun && !c.opt.json {
		fmt.Fprintf(c.out, "\nThe plan is in %s. Next: migrate-init check %s\n", c.opt.output, c.opt.output)
	}
	return nil
}

// checked reads a plan, surveys, and holds the one against the other.
func checked(ctx context.Context, name string) (*plan.Plan, []byte, *plan.Facts, plan.Findings, error) {
	p, text, err := readPlan(name)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	f, err := look(ctx, survey.Whole)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	return p, text, f, plan.Check(p, f, plan.Live), nil
}

func cmdCheck(ctx context.Context, c *call) error {
	if err := need(c, 1, "one plan"); err != nil {
		return err
	}
	p, _, _, found, err := checked(ctx, c.args[0])
	if err != nil {
		return err
	}
	if c.opt.json {
		if err := printJSON(c, struct {
			Plan     string        `json:"plan"`
			OK       bool          `json:"ok"`
			Findings plan.Findings `json:"findings"`
		}{p.ID, found.Err() == nil, found}); err != nil {
			return err
		}
	} else {
		for _, x := range found {
			fmt.Fprintf(c.out, "%-7s %-18s %s\n", x.Severity, x.ID, x)
		}
	}
	if n := len(found.Refusals()); n > 0 {
		return fmt.Errorf("plan %s: %d of %d checks refuse; nothing was changed", p.ID, n, len(found))
	}
	return nil
}
