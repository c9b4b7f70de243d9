package stage

import (
	"context"
	"fmt"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// isSource reports whether a node is only read: it is of the old system, and the new one does not have it.
func (e *Env) isSource(n *plan.Node) bool {
	return e.Plan.Source.Node(n.Ref) != nil && e.Plan.Target.Node(n.Ref) == nil
}

// startReadOnly makes arrays that are started from now on wait for the first write before they write themselves.
func (e *Env) startReadOnly(ctx context.Context, on bool) error {
	w := md.StartReadOnly(on)
	if err := e.do(ctx, machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value}); err != nil {
		return fmt.Errorf("md: %w", err)
	}
	return nil
}

// noResync keeps a source that was not stopped cleanly from making its members agree: that would write all of them, and fill
// the store of the snapshots that it runs on. Levels without redundancy have nothing to resync, and no such setting.
func (e *Env) noResync(ctx context.Context, n *plan.Node, node string) error {
	if n.MD.Level <= 0 {
		return nil
	}
	if err := e.do(ctx, machine.WriteSys{Path: "/sys/block/" + node + "/md/sync_max", Value: "0"}); err != nil {
		return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	return nil
}

// arrayStamp is the key of an array's stamp in the journal.
func arrayStamp(uuid string) string { return "array:" + uuid }

// noteArray remembers how a source is before it is started: what its superblocks say afterwards is of the snapshots.
func (e *Env) noteArray(n *plan.Node) {
	if a := e.Facts.Array(n.Ref.ID()); a != nil {
		if e.arrays == nil {
			e.arrays = map[string]string{}
		}
		e.arrays[arrayStamp(n.Ref.ID())] = a.Stamp()
	}
}
