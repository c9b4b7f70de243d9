package loader

import (
	"strings"

	"migrate-init/boot"
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

// rootSubvolume reports whether a command line mounts, of the new root filesystem, the subvolume that is planned at /. Without
// rootflags= that is the default one.
func rootSubvolume(p *plan.Plan, cmdline string) bool {
	x := p.Target.PlaceAt("/")
	if x.Node == nil || len(x.Node.FS.Subvols) == 0 {
		return true
	}
	flags, _ := boot.ParseCmdline(cmdline).Get("rootflags")
	shown := x.Node.FS.Default
	for _, o := range fstab.Options(flags).List() {
		switch name, value, _ := strings.Cut(o, "="); name {
		case "subvol":
			shown = strings.Trim(value, "/")
		case "subvolid":
			return value == "5" && x.Subvol == "" // another number is another subvolume in the copy
		}
	}
	return shown == x.Subvol
}
