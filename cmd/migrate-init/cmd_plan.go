package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
	"migrate-init/pkg/survey"
)

func printJSON(c *call, v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func cmdInspect(ctx context.Context, c *call) error {
	f, err := c.look(ctx, survey.Whole)
	if err != nil {
		return err
	}
	if f.Machine.UID != 0 {
		c.note("note: not running as root, so the contents of devices cannot be read")
	}
	if c.opt.json {
		return printJSON(c, f)
	}
	fmt.Fprint(c.out, f.Describe())
	return nil
}

func cmdPlan(ctx context.Context, c *call) error {
	if c.opt.to == "" {
		return usageError{errors.New("plan: --to is missing; the whole command is: migrate-init plan --to raid1 --disk DEV")}
	}
	if len(c.opt.disks) == 0 {
		return usageError{errors.New("plan: --disk is missing; name the new disk: --disk DEV (`migrate-init inspect` lists the disks)")}
	}
	if err := c.asRoot(); err != nil {
		return err
	}
	f, err := c.look(ctx, survey.Whole)
	if err != nil {
		return err
	}
	types, err := newTypes(c.opt.types)
	if err != nil {
		return err
	}
	in := plan.Intent{To: c.opt.to, Old: c.opt.old, Disks: c.nodes(c.opt.disks), Wipe: c.nodes(c.opt.wipe), Leave: c.nodes(c.opt.leave), LeaveSnapshots: c.opt.leaveSnapshots, Types: types, Keys: c.opt.keys, Engine: c.opt.engine, Metadata: c.opt.metadata,
		Policy: plan.Policy{OnFailure: c.opt.onFailure}, Now: c.now(), Rand: c.rand}
	p, found, err := plan.New(in, f)
	if err != nil || c.opt.json {
		c.warnings(found) // otherwise they are on the screen
	}
	if err != nil {
		return err
	}
	text, err := p.Encode()
	if err != nil {
		return err
	}
	name, err := filepath.Abs(c.opt.output)
	if err != nil {
		return fmt.Errorf("file %s: %w", c.opt.output, err)
	}
	switch {
	case c.opt.json:
		if err := printJSON(c, p); err != nil {
			return err
		}
	case c.opt.explain:
		fmt.Fprint(c.out, p.Explain(f, stage.Text))
	default:
		fmt.Fprint(c.out, p.Screen(f, stage.Brief))
	}
	if err := c.early(ctx, p, f); err != nil {
		return err
	}
	if c.opt.dryRun && c.opt.json {
		return nil
	}
	if _, err := c.effector().Do(ctx, machine.WriteFile{Path: name, Data: text, Old: oldFile(name), Mode: 0o600}); err != nil {
		return err
	}
	if !c.opt.dryRun && !c.opt.json {
		more := ""
		if !c.opt.explain {
			more = " (--explain tells more)"
		}
		fmt.Fprintf(c.out, "Written to %s%s. Next: migrate-init check %s\n", c.opt.output, more, c.opt.output)
	}
	return nil
}

func (c *call) warnings(found plan.Findings) {
	for _, x := range found {
		if x.Severity == plan.Warn {
			c.note("%s: %s", c.paint(c.err, yellow, "warning"), x)
		}
	}
}

// early tells what can be known of the installed system without running its programs; check asks for all of it.
func (c *call) early(ctx context.Context, p *plan.Plan, f *plan.Facts) error {
	found, err := c.preflight(ctx, p, f, plan.Planning)
	for _, x := range found.Refusals() {
		c.note("%s: check will refuse: %s", c.paint(c.err, yellow, "warning"), x)
	}
	c.warnings(found)
	return err
}

// checked reads a plan, surveys, and holds the one against the other. What needs the system's own programs is asked when the
// moment is plan.Live.
func (c *call) checked(ctx context.Context, name string, when plan.Moment) (*plan.Plan, []byte, *plan.Facts, plan.Findings, error) {
	p, text, err := namedPlan(name)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	f, err := c.look(ctx, survey.Whole)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	found := plan.Check(p, f, plan.Live)
	more, err := c.preflight(ctx, p, f, when)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	found = append(found, more...)
	if f.Machine.UID != 0 {
		return p, text, f, found, nil // only root can read the journal
	}
	return p, text, f, append(found, carriedOut(c, p, f)), nil
}

// preflight asks the running system what its copy will be asked later. Others than root cannot read it, which is
// refused elsewhere; nor is the plan's system here when the machine is another.
func (c *call) preflight(ctx context.Context, p *plan.Plan, f *plan.Facts, when plan.Moment) (plan.Findings, error) {
	if f.Machine.UID != 0 || f.Machine.ID != p.Machine.ID {
		return nil, nil
	}
	root, err := c.inside("/")
	if err != nil {
		return nil, err
	}
	w := c.world()
	return stage.Preflight{Loaders: c.loaders, Plan: p, When: when, Facts: f, Root: root, Sys: w.Root, Machine: c.machine(), Free: w.Unused,
		Locked: func(name string) string { return machine.Frozen(c.place(name)) }}.Ask(ctx), nil
}

// accepted is checked, with every refusal as the error and every warning said.
func (c *call) accepted(ctx context.Context, name string, when plan.Moment) (*plan.Plan, []byte, *plan.Facts, error) {
	p, text, f, found, err := c.checked(ctx, name, when)
	if err != nil {
		return nil, nil, nil, err
	}
	c.warnings(found)
	return p, text, f, found.Err()
}

func cmdCheck(ctx context.Context, c *call) error {
	p, text, f, found, err := c.checked(ctx, c.args[0], plan.Live)
	if err != nil {
		return err
	}
	if c.opt.rehearse {
		x, err := c.rehearsed(ctx, p, text, f, found)
		if err != nil {
			return err
		}
		found = append(found, x)
	}
	if c.opt.files {
		files, err := c.precheckLive(ctx, p, f)
		if err != nil {
			return err
		}
		found = append(found, files...)
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
		c.answers(found)
	}
	if n := len(found.Refusals()); n > 0 {
		return fmt.Errorf("plan %s: %d of %d checks refuse; fix what they report, or make a new plan; nothing was changed", p.ID, n, len(found))
	}
	return nil
}

// answers prints what the checks have to say; those that passed are only counted, unless all are asked for.
func (c *call) answers(found plan.Findings) {
	passed := 0
	for _, x := range found {
		if x.Severity == plan.OK {
			if passed++; !c.opt.all {
				continue
			}
		}
		fmt.Fprintf(c.out, "%s%s%-23s %s\n", c.severity(x.Severity), strings.Repeat(" ", max(1, 8-len(x.Severity))), x.ID, x)
	}
	if !c.opt.all {
		fmt.Fprintf(c.out, "%d of %d checks passed; --all lists them\n", passed, len(found))
	}
}

// precheckLive looks through the mounted sources that are to be copied file by file, for what their copies would not keep: better told
// now than in the init, which looks again.
func (c *call) precheckLive(ctx context.Context, p *plan.Plan, f *plan.Facts) (plan.Findings, error) {
	if err := c.asRoot(); err != nil {
		return nil, err
	}
	var out plan.Findings
	engines := &copy.Engines{Disk: c.direct}
	for _, cp := range p.Copies() {
		s, n := p.Source.Node(cp.From), p.Target.Node(cp.To)
		d, err := f.FS(cp.From.ID())
		if s == nil || n == nil || d == nil || err != nil || cp.Engine == plan.EngineExtent {
			continue // the checks tell what is not there
		}
		heads, _ := engines.Heads(ctx, copy.DiskAuto, copy.Disk{Path: d.Path, Rotational: d.Rotational})
		job := copy.Job{SkipBad: p.Policy.ReadError == policySkip, Rotational: heads, Hollow: p.Hollow(cp), Part: cp.Path != ""}
		for _, x := range s.FS.Places() {
			noun := "filesystem at " + x.Dir
			at := mountedAt(f, d, x)
			if at == "" {
				out = append(out, plan.Finding{ID: "tree.files", Severity: plan.Warn, Subject: noun, Detail: "it is not mounted, so its files were not checked", Fix: "mount it, and run check again"})
				continue
			}
			c.note("%s: looking at every file", noun)
			if cp.Path != "" {
				at, noun = path.Join(at, cp.Path), "directory "+path.Join(x.Dir, cp.Path)
			}
			told, err := stage.PrecheckLive(ctx, c.place(at), noun, x, s, n, job)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", noun, err)
			}
			out = append(out, told...)
		}
	}
	return out, nil
}

// mountedAt is where a device's filesystem, or the part of it that belongs at a place, is mounted with nothing mounted over it; ""
// where it is not.
func mountedAt(f *plan.Facts, d *plan.Device, x plan.Place) string {
	seen := map[string]bool{}
	for _, m := range slices.Backward(f.Mounts) {
		if m.Device == d.Name && x.Shown(&m) && !seen[m.Target] {
			return m.Target
		}
		seen[m.Target] = true
	}
	return ""
}

// newTypes reads the values of --fs: MOUNT=TYPE.
func newTypes(words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		mount, typ, ok := strings.Cut(w, "=")
		if !ok || !path.IsAbs(mount) || typ == "" {
			return nil, usageError{fmt.Errorf("option --fs: %q is not MOUNT=TYPE, such as /data=xfs", w)}
		}
		if mount = path.Clean(mount); out[mount] != "" {
			return nil, usageError{fmt.Errorf("option --fs: %s is given twice", mount)}
		}
		out[mount] = typ
	}
	return out, nil
}
