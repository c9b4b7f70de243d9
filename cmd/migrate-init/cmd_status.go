package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/dustin/go-humanize"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/stage"
)

// journalOf reads a plan's journal from its volume, wherever this machine sees it; no volume means no records.
func (c *call) journalOf(p *plan.Plan, f *plan.Facts) (stage.Records, error) {
	d, err := f.Volume(p, p.Journal)
	if err != nil || d == nil {
		return nil, err
	}
	r, err := c.world().Open(d.Path)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", d.Path, err)
	}
	defer r.Close()
	rs, err := stage.ReadJournal(r, p.ID, d.Size)
	if errors.Is(err, stage.ErrNoJournal) {
		return nil, nil
	}
	if err != nil {
		return rs, fmt.Errorf("journal %s: %w", d.Path, err)
	}
	return rs, nil
}

// state is what status prints.
type state struct {
	Plan     string            `json:"plan"`
	State    string            `json:"state"`
	Says     string            `json:"says"`
	Next     string            `json:"next,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Report   string            `json:"report,omitempty"`
	Times    []stage.StageTime `json:"times,omitempty"`
	Arrays   []plan.Array      `json:"arrays,omitempty"`
	Records  stage.Records     `json:"records,omitempty"`
	Migrated bool              `json:"migrated"` // this is the new system
	NextBoot *plan.NextBoot    `json:"next_boot,omitempty"`
}

func cmdStatus(ctx context.Context, c *call) error {
	p, _, f, err := c.kept(ctx)
	if err != nil {
		return err
	}
	rs, err := c.journalOf(p, f)
	if err != nil {
		return err
	}
	st := stateOf(p, f, rs, c.committed(p))
	if st.NextBoot, err = c.nextBoot(p, f, rs); err != nil {
		st.NextBoot = &plan.NextBoot{System: plan.NextUnknown, Text: "not known: " + err.Error()}
	}
	if c.opt.json {
		return printJSON(c, st)
	}
	fmt.Fprintf(c.out, "plan %s: %s\n%s\n", st.Plan, st.State, st.Says)
	if st.Reason != "" {
		fmt.Fprintln(c.out, "why:", st.Reason)
	}
	for _, a := range st.Arrays {
		sync := ""
		if a.Sync != "" && a.Sync != "idle" {
			sync = fmt.Sprintf(", %s %s of %s", a.Sync, humanize.IBytes(uint64(max(0, a.SyncDone))), humanize.IBytes(uint64(max(0, a.SyncAll))))
		}
		fmt.Fprintf(c.out, "array %s: %s, %d of %d members%s%s\n", arrayPath(p, &a), a.Marks(), a.Devices-a.Degraded, a.Devices, sync, staleOf(&a))
	}
	for _, t := range st.Times {
		name := t.Title
		if name != t.Stage {
			name = "  " + name // a part of the stage that is below it
		}
		fmt.Fprintf(c.out, "  %-32s %8.1f s  %s\n", name, t.Seconds, t.Event)
	}
	if st.Report != "" {
		fmt.Fprintln(c.out, "report:", st.Report)
	}
	if st.NextBoot != nil {
		fmt.Fprintln(c.out, "next boot:", st.NextBoot.Text)
	}
	if st.Next != "" {
		fmt.Fprintln(c.out, "next:", st.Next)
	}
	return nil
}

// nextBoot says which system the next boot enters; nil where the boot loader's row does not tell.
func (c *call) nextBoot(p *plan.Plan, f *plan.Facts, rs stage.Records) (*plan.NextBoot, error) {
	l, err := c.loaders.Of(p)
	if err != nil || l.Next == nil {
		return nil, err
	}
	migrated := runsMigrated(p, f)
	if migrated && stage.Rollbackable(p, rs) != nil {
		return &plan.NextBoot{System: plan.NextNew, Text: "this system"}, nil
	}
	root, err := c.inside("/")
	if err != nil {
		return nil, err
	}
	next, err := l.Next(p, f, root, migrated, rs.Done("commit") || rs.Committing())
	return &next, err
}

// committed reports whether the commit is there, as the running system sees it.
func (c *call) committed(p *plan.Plan) bool {
	l, err := c.loaders.Of(p)
	if err != nil {
		return false
	}
	there, err := l.Committed(p, c.world().Root)
	return err == nil && there
}

// arrayPath is the name by which people find an array of a plan.
func arrayPath(p *plan.Plan, a *plan.Array) string {
	if n := p.Target.Node(plan.Ref("md:" + a.UUID)); n != nil {
		return n.Called()
	}
	return "/dev/" + a.Node
}

// staleOf names the devices that carry an array's superblock and are behind it.
func staleOf(a *plan.Array) string {
	out := ""
	for _, m := range a.Members {
		if m.Stale != "" {
			out += fmt.Sprintf("; %s is stale (%s)", m.Device, m.Stale)
		}
	}
	return out
}

// stopped says where the machine stopped, by the last record.
func stopped(p *plan.Plan, r stage.Record) string {
	what := stage.Title(p, r.Stage)
	if r.Text != "" {
		what += " (" + r.Text + ")"
	}
	switch r.Event {
	case stage.Begin, stage.Note:
		return "the machine stopped during " + what
	}
	return "the machine stopped after " + what
}

// stateOf decides where a migration stands, from the journal and from what runs.
func stateOf(p *plan.Plan, f *plan.Facts, rs stage.Records, committed bool) state {
	st := state{Plan: p.ID, Records: rs, Times: rs.Times(p), Migrated: runsMigrated(p, f)}
	for _, n := range p.Target.Arrays() {
		if a := f.Array(n.Ref.ID()); a != nil && a.Node != "" {
			st.Arrays = append(st.Arrays, *a)
		}
	}
	if st.Migrated {
		st.Report = path.Join(stage.StateDir, "report.txt")
	}
	fail := rs.Last(stage.Failed)
	armed := f.Boot.Armed == p.ID
	switch {
	case st.Migrated && stage.Finished(p, rs):
		st.State, st.Says = "finished", "This is the migrated system, and the old disk is part of it."
	case st.Migrated && stage.Finishing(p, rs) && (committed || stage.Rollbackable(p, rs) != nil):
		st.State, st.Says, st.Next = "finishing", "This is the migrated system; finish has begun; run it again to continue where it stopped.", "migrate-init finish"
		if fail != nil && slices.Contains(p.FinishStages(), fail.Stage) {
			st.Reason = fail.Text
		}
		if stage.Rollbackable(p, rs) == nil {
			st.Next += ", or migrate-init rollback: the old disk is untouched"
		}
	case st.Migrated && !committed:
		st.State, st.Says, st.Next = "rolled back", "This is the migrated system, and it was rolled back.", "reboot"
	case st.Migrated:
		st.State, st.Says, st.Next = "migrated", "This is the migrated system. The old disk is untouched.", "migrate-init finish, or migrate-init rollback"
	case armed:
		st.State, st.Says, st.Next = "scheduled", "This is the old system, and the migration is scheduled.", "reboot, or migrate-init cancel"
	case rs.Done("commit"):
		st.State, st.Says = "old system after a commit", "The migration was committed, but this is the old system: it was rolled back, or the new system was never confirmed."
		st.Next = "migrate-init cancel, or reboot into the new system from the boot menu"
	case len(rs) == 0:
		st.State, st.Says = "not begun", "This is the old system. The target has no journal of this plan: the migration has not run, or it stopped at its checks, before the first write; then its consoles had the report (migrate-init report --decode LOG)."
		st.Next = "migrate-init check " + path.Join(stage.StateDir, "plan.toml")
	default:
		st.State, st.Says = "failed", "This is the old system, unchanged. The migration began and did not commit."
		st.Next = "fix the reason and run migrate-init schedule again, or migrate-init cancel"
		if last := rs[len(rs)-1]; last.Stage == "commit" && last.Event == stage.Begin {
			st.State, st.Reason = "cut short", stopped(p, last)
			st.Says = "This is the old system, unchanged. Only the boot loader can see whether the commit was made; if it was, it starts the new system once."
		} else if fail != nil && last.Boot == fail.Boot {
			st.Reason = "stage " + stage.Title(p, fail.Stage) + ": " + fail.Text
		} else {
			st.State = "cut short"
			st.Reason = stopped(p, last)
			if n := rs.Fact("attempts"); n != "" && n == rs.Fact("attempt") {
				st.Reason += "; it was the last of " + n + " attempts in a row (policy.attempts in the plan)"
			}
		}
	}
	return st
}
