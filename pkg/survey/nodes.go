package survey

import (
	"path"
	"strings"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/rootfs"
)

// byNode follows /dev links (by-uuid, mapper, md) to the device that they name now.
func (l *looker) byNode(spec string) *plan.Device { return l.f.Dev(l.node(spec)) }

// node follows links to the name of a block device, "" when they lead to none. A device that is known need not have a
// node.
func (l *looker) node(spec string) string {
	if !path.IsAbs(spec) {
		return ""
	}
	f, err := rootfs.Resolve(rootfs.Of(l.w.Root), spec, rootfs.Options{Missing: true})
	name, isNode := strings.CutPrefix(f.Path, "/dev/")
	if err != nil || !isNode {
		return ""
	}
	if d := l.f.Dev(name); d != nil {
		return d.Name
	}
	if l.exists("sys/class/block/" + strings.ReplaceAll(name, "/", "!")) {
		return name
	}
	return ""
}
