package stage

import (
	"fmt"
	"path"
	"strings"

	"migrate-init/pkg/plan"
)

// volumeRules keeps udev in the new system from activating old volume groups that have mirrors: dm-raid writes to the disks
// as soon as it starts one. finish removes it. LVM's own commands still see the groups.
const volumeRules = "/etc/udev/rules.d/68-migrate-init.rules"

// mirrored lists the volume groups of the source that have a mirror.
func mirrored(p *plan.Plan) []*plan.Node {
	var out []*plan.Node
	for i := range p.Source {
		n := &p.Source[i]
		if n.VG == nil {
			continue
		}
		for _, v := range p.Source.Above(n.Ref) {
			if v.LV != nil && (v.LV.Type == "raid1" || v.LV.Type == "mirror") {
				out = append(out, n)
				break
			}
		}
	}
	return out
}

// volumes writes volumeRules. LVM's rules, 69-lvm.rules, pass over a device without this type (lvm2, udev/69-dm-lvm.rules.in).
func (r *rewriter) volumes() error {
	there, err := exists(r.root, path.Dir(volumeRules))
	groups := mirrored(r.p)
	if err != nil || !there || len(groups) == 0 {
		return err
	}
	var b strings.Builder
	b.WriteString("# migrate-init: mirrors of the old system stay off until `migrate-init finish`, which removes this file.\n")
	for _, g := range groups {
		for _, pv := range g.VG.PVs {
			fmt.Fprintf(&b, "ENV{ID_FS_TYPE}==\"LVM2_member\", ENV{ID_FS_UUID}==%q, ENV{ID_FS_TYPE}=\"\"\n", pv)
		}
	}
	old, err := r.read(volumeRules)
	if err != nil {
		return err
	}
	r.write(volumeRules, old, []byte(b.String()), 0o644)
	return nil
}
