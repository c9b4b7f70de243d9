package stage

import (
	"context"
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// The kernel rebuilds members as fast as the disks let it while nothing else uses them, and else no faster than a minimum of
// some 1 MB/s, which takes days on large disks. An operator who wants redundancy soon raises that minimum, for the arrays of
// this plan alone. The journal says so first: whatever ends finish, the next run gives the limits back.

// SpeedMost is a rate that no disk reaches.
const SpeedMost = int64(1) << 40

// speedKey is the part of the journal that says that limits were raised.
const speedKey = resync + ":speed"

// running lists the nodes of Final's arrays that run.
func (e *Env) running() []*plan.Array {
	var out []*plan.Array
	for _, n := range e.Plan.Final.Arrays() {
		if a := e.Facts.Array(n.Ref.ID()); a != nil && a.Node != "" {
			out = append(out, a)
		}
	}
	return out
}

func (e *Env) raiseSpeed(ctx context.Context) error {
	if e.SyncSpeed <= 0 {
		return nil
	}
	if !e.DryRun {
		if err := e.Record(ctx, Record{Stage: speedKey, Event: Begin, Text: fmt.Sprint(e.SyncSpeed)}); err != nil {
			return err
		}
	}
	for _, a := range e.running() {
		if err := e.limit(ctx, a, e.SyncSpeed, max(e.SyncSpeed, a.SpeedMax)); err != nil {
			return err
		}
	}
	return nil
}

// lowerSpeed gives each array the limits of all arrays back, where this or an earlier run took them away.
func (e *Env) lowerSpeed(ctx context.Context) error {
	if begun := e.records.Begun(speedKey); e.DryRun && e.SyncSpeed <= 0 || !e.DryRun && (!begun || e.records.Done(speedKey)) {
		return nil
	}
	for _, a := range e.running() {
		if err := e.limit(ctx, a, 0, 0); err != nil {
			return err
		}
	}
	if e.DryRun {
		return nil
	}
	return e.Record(ctx, Record{Stage: speedKey, Event: Done})
}

func (e *Env) limit(ctx context.Context, a *plan.Array, least, most int64) error {
	for _, w := range md.SyncSpeed(a.Node, least, most) {
		if err := e.do(ctx, machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value}); err != nil {
			return fmt.Errorf("array %s: %w", a.Name, err)
		}
	}
	return nil
}

// bound says what keeps a resync from being faster, as far as the kernel's numbers tell; "" while it has no rate.
func bound(a *plan.Array) string {
	switch {
	case a.SyncRate <= 0 || a.SpeedMax <= 0:
		return ""
	case a.SyncRate >= a.SpeedMax/10*9:
		return ", at the kernel's limit: --sync-speed max lifts it"
	case a.SyncRate <= a.SpeedMin/10*13 && a.SpeedMin < a.SpeedMax:
		return ", held back for other programs that use the disks: --sync-speed max does not wait for them"
	}
	return ", as fast as the disks are now"
}
