package survey

import (
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/plan"
)

// byNode follows /dev links (by-uuid, mapper, md) to the device that they name now.
func (l *looker) byNode(spec string) *plan.Device {
	p := path.Clean(spec)
	for range 8 {
		if d := l.f.Dev(strings.TrimPrefix(p, "/dev/")); d != nil {
			return d
		}
		link, err := fs.ReadLink(l.w.Root, strings.TrimPrefix(p, "/"))
		if err != nil {
			return nil
		}
		if path.IsAbs(link) {
			p = path.Clean(link)
		} else {
			p = path.Join(path.Dir(p), link)
		}
	}
	return nil
}
