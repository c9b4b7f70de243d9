package stage

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"migrate-init/pkg/lvm"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// lvKind: a logical volume is started as a device-mapper table, without LVM's programs.
func lvKind() kind {
	return kind{
		is: func(n *plan.Node) bool { return n.LV != nil },
		idle: func(e *Env, n *plan.Node) bool {
			g := e.Facts.Group(n.Lower().ID())
			v := g.Volume(n.Ref.ID())
			return v != nil && v.Node == "" && len(g.Missing()) == 0
		},
		start: func(ctx context.Context, e *Env, n *plan.Node) error { return e.startVolume(ctx, n) },
		stop:  func(ctx context.Context, e *Env, dev string) error { return e.unmap(ctx, dev) },
	}
}

// unmap removes the mapping of a device, and then those of LVM's own parts below it (images of a mirror), which nothing else
// uses. One that is gone already is as it should be.
func (e *Env) unmap(ctx context.Context, dev string) error {
	d := e.Facts.Dev(dev)
	if d == nil || d.Mapping == "" {
		return nil
	}
	var parts []string
	for _, x := range e.Facts.Devices {
		if x.Internal() && slices.Contains(x.Holders, d.Name) {
			parts = append(parts, x.Path)
		}
	}
	if err := e.do(ctx, machine.Unmap{Name: d.Mapping}); err != nil {
		return err
	}
	for _, p := range parts {
		if err := e.unmap(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// startVolume reads the metadata of the volume's group again, and maps the volume as it says now.
func (e *Env) startVolume(ctx context.Context, n *plan.Node) error {
	err := e.mapVolume(ctx, n)
	if err != nil {
		return fmt.Errorf("logical volume %s: %w", n.LV.Path(), err)
	}
	return nil
}

func (e *Env) mapVolume(ctx context.Context, n *plan.Node) error {
	g, lv, err := e.readVolume(n)
	if err != nil {
		return err
	}
	pieces, err := e.pieces(g, n.LV.Name)
	if err != nil {
		return err
	}
	if err := e.Load(ctx, "dm_mod"); err != nil {
		return err
	}
	m := machine.Mapping{Name: lvm.MapperName(g.VG.Name, lv.Name), UUID: g.VG.MapperUUID(lv)}
	for _, p := range pieces {
		m.Table = append(m.Table, e.target(g, p))
	}
	return e.mapped(ctx, m, n)
}

// readVolume finds a planned volume, as the physical volumes describe it now.
func (e *Env) readVolume(n *plan.Node) (g lvm.Group, lv *lvm.LV, err error) {
	seen := e.Facts.Group(n.Lower().ID())
	var pvs []lvm.Device
	for _, pv := range seen.PVs {
		d := e.Facts.Dev(pv.Device)
		if pv.Device == "" || d == nil {
			return g, nil, fmt.Errorf("physical volume %s is missing", pv.UUID)
		}
		r, err := e.Open(d.Path)
		if err != nil {
			return g, nil, err
		}
		scanned, err := lvm.Scan(d.Name, r, d.Size)
		r.Close()
		if err != nil {
			return g, nil, fmt.Errorf("physical volume %s: %w", d.Path, err)
		}
		pvs = append(pvs, scanned)
	}
	groups, _ := lvm.Assemble(pvs)
	for _, x := range groups {
		if x.VG.ID.String() == n.Lower().ID() {
			g = x
		}
	}
	if g.VG == nil {
		return g, nil, fmt.Errorf("volume group %s is not there any more", n.Lower().ID())
	}
	if lv = g.VG.Find(n.LV.Name); lv == nil || lv.ID.String() != n.Ref.ID() || lv.Extents*g.VG.ExtentSize != n.Size {
		return g, nil, fmt.Errorf("the group has no volume of that name with UUID %s and %d bytes: it was changed since the plan was made", n.Ref.ID(), n.Size)
	}
	return g, lv, nil
}

// pieces are where a volume lies: of a mirror, where one whole image of it lies.
func (e *Env) pieces(g lvm.Group, name string) ([]lvm.Piece, error) {
	r := g.Read(name)
	switch {
	case r.Refused != nil:
		return nil, r.Refused
	case r.Array == nil:
		return r.Table, nil
	}
	im, err := r.Array.Whole(func(pv lvm.ID, off int64, n int) ([]byte, error) {
		d := e.Facts.Dev(g.Devices[pv].Name)
		if d == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return e.readAt(d.Path, off, n)
	})
	return im.Data, err
}

// target is a piece as a line of a device-mapper table (Documentation/admin-guide/device-mapper/linear.rst, striped.rst).
func (e *Env) target(g lvm.Group, p lvm.Piece) machine.MappingTarget {
	const sector = 512
	leg := func(l lvm.Leg) string {
		return fmt.Sprintf("%s %d", e.Facts.Dev(g.Devices[l.PV].Name).Path, l.Offset/sector)
	}
	t := machine.MappingTarget{Start: p.Offset, Length: p.Length, Type: "linear"}
	if len(p.Legs) == 1 {
		t.Params = leg(p.Legs[0])
		return t
	}
	words := []string{fmt.Sprintf("%d %d", len(p.Legs), p.StripeSize/sector)}
	for _, l := range p.Legs {
		words = append(words, leg(l))
	}
	t.Type, t.Params = "striped", strings.Join(words, " ")
	return t
}

// mapped makes a mapping and waits for the device of its node.
func (e *Env) mapped(ctx context.Context, m machine.Mapping, n *plan.Node) error {
	e.started = append(e.started, started{what: "/dev/mapper/" + m.Name, there: func(e *Env, dev string) bool { return e.Facts.Dev(dev) != nil }, stop: lvKind().stop})
	if err := e.do(ctx, m); err != nil {
		return err
	}
	return e.awaitNode(ctx, n)
}

// awaitNode waits until a node that was started is seen, and can be opened.
func (e *Env) awaitNode(ctx context.Context, n *plan.Node) error {
	return e.Wait(ctx, n.Called(), func() (bool, error) {
		if err := e.refresh(ctx); err != nil {
			return false, err
		}
		d, err := e.Facts.Volume(e.Plan, n.Ref)
		return d != nil && e.present(d.Path), err
	})
}
