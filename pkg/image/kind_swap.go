package image

import "migrate-init/pkg/plan"

func swapKind() kind {
	return kind{
		is:    func(n *plan.Node) bool { return n.Swap != nil },
		tools: func(*collector, *plan.Node) []tool { return []tool{maker(plan.FSTypeOf(plan.SwapType))} },
	}
}
