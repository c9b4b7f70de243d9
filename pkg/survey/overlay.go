package survey

import (
	"fmt"
	"slices"
	"strings"

	"migrate-init/pkg/plan"
)

// overlays notes what overlays cover. An overlay shows the contents of
// the device below it: that one is not read any more, or everything on it would be seen twice. Neither is the store, where
// copies of superblocks lie as they came.
func (l *looker) overlays() {
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		number, ok := strings.CutPrefix(d.MappingID, plan.OverlayPrefix)
		for j := range l.f.Devices {
			x := &l.f.Devices[j]
			if ok && fmt.Sprintf("%d:%d", x.Major, x.Minor) == number && slices.Contains(x.Holders, d.Name) {
				d.Over = x.Name
			}
		}
	}
}

// stores reports whether a device is the store of an overlay.
func (l *looker) stores(d *plan.Device) bool {
	return d.Kind == plan.KindLoop && slices.ContainsFunc(d.Holders, func(h string) bool {
		x := l.f.Dev(h)
		return x != nil && x.Over != ""
	})
}

// coversPart reports whether a device is the overlay of a partition.
func (l *looker) coversPart(d *plan.Device) bool {
	x := l.f.Dev(d.Over)
	return d.Over != "" && x != nil && x.Kind == plan.KindPart
}
