package loader

import (
	"strings"

	"migrate-init/pkg/fstab"
	"migrate-init/pkg/plan"
)

// newRoot reports whether the value of root= means the new root filesystem: by its UUID, however that is spelled, or by a name
// of the array that it lies on. A label does not: the old filesystem may carry it too. A node, a number or a partition is
// not the same in each boot.
func newRoot(p *plan.Plan, value string) bool {
	spec := fstab.ParseSpec(value).Meaning()
	root := fstab.Spec{Kind: fstab.UUID, Value: p.Boot.Root}
	if spec.Same(root) {
		return true
	}
	for _, n := range p.Target.Under(plan.Ref("fs:" + p.Boot.Root)) {
		if n.MD == nil {
			continue
		}
		_, name, ok := strings.Cut(n.MD.Name, ":")
		if !ok {
			name = n.MD.Name
		}
		for _, s := range []string{"/dev/md/" + name, "/dev/disk/by-id/md-uuid-" + n.Ref.ID(), "/dev/disk/by-id/md-name-" + n.MD.Name} {
			if spec.Same(fstab.Spec{Kind: fstab.Device, Value: s}) {
				return true
			}
		}
	}
	return false
}
