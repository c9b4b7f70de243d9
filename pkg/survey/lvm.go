package survey

import (
	"errors"
	"io"
	"slices"
	"strings"

	"migrate-init/pkg/lvm"
	"migrate-init/pkg/plan"
)

// layers reads the labels of layers that a signature was found of.
func (l *looker) layers(d *plan.Device, r io.ReaderAt) {
	if carries(d, plan.ContentRaid) {
		return // what lies on a member belongs to the array
	}
	if carries(d, plan.ContentLVM) {
		pv, err := lvm.Scan(d.Name, r, d.Size)
		if err != nil {
			l.ofDevice("LVM label", d.Path, err)
		} else {
			l.pvs = append(l.pvs, pv)
		}
	}
	if carries(d, plan.ContentLUKS) {
		l.readCrypt(d, r)
	}
}

func carries(d *plan.Device, kind string) bool {
	return slices.ContainsFunc(d.Contents, func(c plan.Content) bool { return c.Kind == kind && !c.Ghost })
}

// hold takes the labels of a device over from an earlier look.
func (l *looker) hold(d *plan.Device, was reading) {
	if was.pv != nil {
		l.pvs = append(l.pvs, *was.pv)
	}
	if was.crypt != nil {
		l.crypts[d.Name] = *was.crypt
	}
}

// pv is the LVM label that was read from a device, or nil.
func (l *looker) pv(d *plan.Device) *lvm.Device {
	for i := range l.pvs {
		if l.pvs[i].Name == d.Name {
			return &l.pvs[i]
		}
	}
	return nil
}

// groups joins the physical volumes to volume groups, and these with the volumes that are active.
func (l *looker) groups() {
	var pvs []lvm.Device
	for _, pv := range l.pvs {
		if d := l.f.Dev(pv.Name); d != nil && !l.member(d) && !strings.HasPrefix(d.MappingID, "LVM-") { // LVM does not look into its own volumes either
			pvs = append(pvs, pv)
		}
	}
	groups, strays := lvm.Assemble(pvs)
	for _, g := range groups {
		l.f.Groups = append(l.f.Groups, l.group(g))
	}
	for _, s := range strays {
		if d := l.f.Dev(s.Device); d != nil && !strings.HasPrefix(s.Why, "it is in no volume group") {
			l.ofDevice("physical volume", d.Path, errors.New(s.Why))
		}
	}
}

// member reports whether a device is only a part of what another one shows: a member of a running array, or a path of
// multipath.
func (l *looker) member(d *plan.Device) bool {
	return slices.ContainsFunc(d.Holders, func(h string) bool {
		x := l.f.Dev(h)
		return x != nil && (x.Kind == plan.KindArray || strings.HasPrefix(x.MappingID, "mpath-"))
	})
}

func (l *looker) group(g lvm.Group) plan.VolumeGroup {
	out := plan.VolumeGroup{UUID: g.VG.ID.String(), Name: g.VG.Name, Extent: g.VG.ExtentSize, Refused: unreadable(g.Refused)}
	for _, p := range g.VG.PVs {
		pv := plan.PhysicalVolume{UUID: p.ID.String(), Hint: printable(strings.ToValidUTF8(p.Device, "?"))}
		if d, there := g.Devices[p.ID]; there && !slices.ContainsFunc(g.Missing, func(m lvm.PV) bool { return m.ID == p.ID }) {
			pv.Device = d.Name
		}
		out.PVs = append(out.PVs, pv)
	}
	for i := range g.VG.LVs {
		lv := &g.VG.LVs[i]
		if !lv.Visible() {
			continue
		}
		v := plan.LogicalVolume{UUID: lv.ID.String(), Name: lv.Name, Type: typeOf(lv), Size: lv.Extents * g.VG.ExtentSize}
		r := g.Read(lv.Name)
		v.Refused = unreadable(r.Refused)
		if r.Array != nil {
			v.Copies = len(r.Array.Images)
		}
		for _, d := range l.f.Devices {
			if d.MappingID == g.VG.MapperUUID(lv) {
				v.Node = d.Name
			}
		}
		out.Volumes = append(out.Volumes, v)
	}
	return out
}

// typeOf is the type of a volume's segments; of several, the first that is not linear.
func typeOf(lv *lvm.LV) string {
	out := "linear"
	for _, s := range lv.Segments {
		if out == "linear" && (s.Type != "striped" || len(s.Areas) > 1) {
			out = s.Type
		}
	}
	return out
}

func unreadable(r *lvm.Refusal) *plan.Unreadable {
	if r == nil {
		return nil
	}
	return &plan.Unreadable{Detail: r.Detail, Fix: r.Fix}
}
