package image

import (
	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

// kind is what an image carries for one kind of layer.
type kind struct {
	is func(n *plan.Node) bool
	// modules lists those that a node of Source or Target needs.
	modules func(c *collector, x *kmod.Index, n *plan.Node) []wanted
	// tools lists the host's programs that a node of Target needs.
	tools func(c *collector, n *plan.Node) []tool
	// sources lists those that a node of Source needs.
	sources func(c *collector, n *plan.Node) []tool
}

// kinds is every kind of layer that needs something in the image, the lowest first.
func kinds() []kind {
	return []kind{mdKind(), luksKind(), lvKind(), fsKind(), swapKind()}
}
