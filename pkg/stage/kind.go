package stage

import (
	"context"

	"migrate-init/pkg/plan"
)

// kind is what the stages do with one kind of layer. A function that a kind has no use for is nil. Each of them finds
// its own work by the identities of the plan: what is there already is left as it is.
type kind struct {
	is func(n *plan.Node) bool
	// make makes a node of Target on the layers below it, which are there and started.
	make func(ctx context.Context, e *Env, n *plan.Node) error
	// idle reports whether a node is on its layers and has only to be started.
	idle func(e *Env, n *plan.Node) bool
	// halfMade reports whether an idle node cannot be started because making it was cut; nil: that leaves no idle node.
	halfMade func(e *Env, n *plan.Node) bool
	// start brings the device of a node into being.
	start func(ctx context.Context, e *Env, n *plan.Node) error
	// stop undoes start; dev is the device's path.
	stop func(ctx context.Context, e *Env, dev string) error
	// remake makes a node of Final that Target does not have, in place of what the old disk held.
	remake func(ctx context.Context, e *Env, n *plan.Node) error
	// join fills a slot of a running node.
	join func(ctx context.Context, e *Env, s plan.Slot) error
	// awaitWhole waits until a node of Final has everything that its slots promise, and reports progress.
	awaitWhole func(ctx context.Context, e *Env, n *plan.Node) error
}

func kinds() []kind {
	return []kind{diskKind(), mdKind(), luksKind(), lvKind(), fsKind(), swapKind()}
}

// kindOf returns the row of a node; a kind that needs nothing done (a partition comes with its disk's table) has none.
func kindOf(n *plan.Node) kind {
	for _, k := range kinds() {
		if k.is(n) {
			return k
		}
	}
	return kind{}
}
