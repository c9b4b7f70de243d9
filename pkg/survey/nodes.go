package survey

import (
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/plan"
)

// byNode follows /dev links (by-uuid, mapper, md) to the device that they name now.
func (l *looker) byNode(spec string) *plan.Device { return l.f.Dev(l.node(spec)) }

// node follows links to the name of a block device, "" when they lead to none.
func (l *looker) node(spec string) string {
	p := path.Clean(spec)
	for range 8 {
		name, isNode := strings.CutPrefix(p, "/dev/")
		if d := l.f.Dev(name); isNode && d != nil {
			return d.Name
		}
		if isNode && l.exists("sys/class/block/"+strings.ReplaceAll(name, "/", "!")) {
			return name
		}
		link, err := fs.ReadLink(l.w.Root, strings.TrimPrefix(p, "/"))
		if err != nil {
			return ""
		}
		if path.IsAbs(link) {
			p = path.Clean(link)
		} else {
			p = path.Join(path.Dir(p), link)
		}
	}
	return ""
}
