package stage

import (
	"context"
	"fmt"

	"migrate-init/pkg/plan"
)

// runCheck compares what was revealed with the plan and refuses on drift. A commit that an earlier boot made, whether its
// record was written or not, is the end of every check: only the new system counts then.
func runCheck(ctx context.Context, e *Env) error {
	if Finishing(e.Plan, e.records) {
		return fmt.Errorf("plan %s: finish has begun on the new system, so only that one is current; boot it", e.Plan.ID)
	}
	if e.records.Done(commit) {
		e.tell("check", "the journal says that the migration was committed: nothing is copied, the new system starts")
		return e.committed(ctx)
	}
	found := plan.Check(e.Plan, e.Facts, plan.Offline)
	for _, x := range found {
		if x.Severity == plan.Warn {
			e.tell("check", "warning: %s", x)
		}
	}
	if err := found.Err(); err != nil {
		return err
	}
	return e.committed(ctx)
}

// hold keeps what check found true while the stages run: a disk that left and came back (a reset of its bus) has another node
// perhaps, and its partitions can be written again.
func (e *Env) hold(ctx context.Context, where string) error {
	if e.journal != "" {
		d, err := e.Facts.Volume(e.Plan, e.Plan.Journal)
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("journal %s: its volume is gone", e.journal)
		}
		e.journal = d.Path
	}
	if where != plan.InImage || e.records.Done(commit) {
		return nil
	}
	return e.lockSources(ctx)
}
