package stage

import (
	"context"
	"strings"

	"migrate-init/pkg/mkfs"
	"migrate-init/pkg/plan"
)

// swapKind: a swap area is made again, never copied.
func swapKind() kind {
	return kind{
		is:   func(n *plan.Node) bool { return n.Swap != nil },
		make: func(ctx context.Context, e *Env, n *plan.Node) error { return e.prepareSwap(ctx, n) },
	}
}

func (e *Env) prepareSwap(ctx context.Context, n *plan.Node) error {
	d, err := e.volume(n.Lower())
	if err != nil {
		return err
	}
	if c := d.Swap(); c != nil && strings.EqualFold(c.UUID, n.Ref.ID()) && e.records.Done("mkfs:"+n.Ref.ID()) {
		return nil
	}
	argv, err := mkfs.Argv(mkfs.Spec{Type: plan.SwapType, Device: d.Path, UUID: n.Ref.ID()})
	if err != nil {
		return err
	}
	e.tell("prepare", "swap %s on %s", n.Ref.ID(), d.Path)
	return e.make(ctx, "mkfs:"+n.Ref.ID(), d, argv)
}
