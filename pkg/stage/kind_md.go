package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// mdKind: arrays are made with the slots that Target fills, and further members join at finish.
func mdKind() kind {
	return kind{
		is:   func(n *plan.Node) bool { return n.MD != nil },
		make: func(ctx context.Context, e *Env, n *plan.Node) error { return e.makeArray(ctx, n) },
		idle: func(e *Env, n *plan.Node) bool {
			a := e.Facts.Array(n.Ref.ID())
			return a != nil && a.Node == ""
		},
		halfMade:   (*Env).halfMade,
		start:      func(ctx context.Context, e *Env, n *plan.Node) error { return e.assembleArray(ctx, n) },
		stop:       func(ctx context.Context, e *Env, dev string) error { return e.do(ctx, stopEffect(dev)) },
		join:       func(ctx context.Context, e *Env, s plan.Slot) error { return e.joinMember(ctx, s) },
		awaitWhole: func(ctx context.Context, e *Env, n *plan.Node) error { return e.watchSync(ctx, n) },
	}
}

// makeArray writes the superblocks of an array that has none yet, and those that a power cut left out.
func (e *Env) makeArray(ctx context.Context, n *plan.Node) error {
	if a := e.Facts.Array(n.Ref.ID()); a != nil {
		return e.completeArray(ctx, n, a)
	}
	images, slots, err := e.arrayImages(n)
	if err != nil {
		return err
	}
	return e.writeMembers(ctx, n, images, slots)
}

// completeArray goes on with a creation that was cut after some of several superblocks.
func (e *Env) completeArray(ctx context.Context, n *plan.Node, a *plan.Array) error {
	missing, slots, err := e.unwritten(n, a)
	if err != nil {
		return err
	}
	return e.writeMembers(ctx, n, missing, slots)
}

// unwritten lists the superblocks that a creation which was cut has not written: none unless those that are there are, to the
// byte, as they were created. Then the array has never run, and no member holds anything. Otherwise what is missing is for the
// start to judge.
func (e *Env) unwritten(n *plan.Node, a *plan.Array) (missing []md.MemberImage, slots []*plan.Device, err error) {
	if a == nil || a.Node != "" {
		return nil, nil, nil
	}
	images, slots, err := e.arrayImages(n)
	if err != nil {
		return nil, nil, err
	}
	for _, img := range images {
		d := slots[img.Index]
		if !slices.ContainsFunc(a.Members, func(m plan.Member) bool { return m.Device == d.Name }) {
			missing = append(missing, img)
			continue
		}
		fresh, err := e.asCreated(d, img)
		if err != nil || !fresh {
			return nil, nil, err
		}
	}
	return missing, slots, nil
}

// halfMade reports whether an array's creation was cut. It cannot be started, which is no failure: prepare completes it. What
// keeps it from being looked at, the start says.
func (e *Env) halfMade(n *plan.Node) bool {
	if e.Plan.Target.Node(n.Ref) == nil {
		return false
	}
	missing, _, err := e.unwritten(n, e.Facts.Array(n.Ref.ID()))
	return err == nil && len(missing) > 0
}

// asCreated reports whether a member still has what makeArray wrote to it.
func (e *Env) asCreated(d *plan.Device, img md.MemberImage) (bool, error) {
	for _, w := range img.Writes {
		have, err := e.readAt(d.Path, w.Offset, len(w.Data))
		if err != nil || !bytes.Equal(have, w.Data) {
			return false, err
		}
	}
	return true, nil
}

// specOf is a planned array in md's words; sizes come from the devices, absent members from the same sizes.
func specOf(n *plan.Node, created time.Time, sizes []int64) (md.Spec, error) {
	uuid, err := md.ParseUUID(n.Ref.ID())
	if err != nil {
		return md.Spec{}, fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	s := md.Spec{Version: md.Version(n.MD.Metadata), UUID: uuid, Name: n.MD.Name, Level: n.MD.Level, RaidDisks: len(n.On), Chunk: n.MD.Chunk, Bitmap: n.MD.Bitmap, CTime: created}
	for i, r := range n.On {
		m := md.MemberSpec{Missing: r == "", Size: sizes[i]}
		if m.DeviceUUID, err = md.ParseUUID(n.MD.Devices[i]); err != nil {
			return s, fmt.Errorf("array %s: member %d: %w", n.Ref.ID(), i, err)
		}
		s.Members = append(s.Members, m)
	}
	return s, nil
}

// arrayImages are the superblocks of the members that are to be there, and the devices of the slots.
func (e *Env) arrayImages(n *plan.Node) ([]md.MemberImage, []*plan.Device, error) {
	members, err := e.members(n)
	if err != nil {
		return nil, nil, err
	}
	sizes, slots := make([]int64, len(n.On)), make([]*plan.Device, len(n.On))
	next := 0
	for i, r := range n.On {
		if r != "" {
			slots[i], sizes[i] = members[next], members[next].Size
			next++
		}
	}
	for i := range sizes {
		// A member that comes later gets a partition of the same size: the array has to fit it too.
		if sizes[i] == 0 {
			sizes[i] = members[0].Size
		}
	}
	spec, err := specOf(n, e.Plan.Created, sizes)
	if err != nil {
		return nil, nil, err
	}
	images, err := md.New(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	return images, slots, nil
}

func (e *Env) writeMembers(ctx context.Context, n *plan.Node, images []md.MemberImage, slots []*plan.Device) error {
	if len(images) == 0 {
		return nil
	}
	for _, img := range images {
		d := slots[img.Index]
		if err := e.wipe(ctx, d); err != nil {
			return err
		}
		eff := machine.WriteDevice{Dev: d.Path, Why: fmt.Sprintf("md superblock %s of array %s, slot %d", n.MD.Metadata, n.Ref.ID(), img.Index)}
		for _, w := range img.Writes {
			eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
		}
		if err := e.do(ctx, eff); err != nil {
			return err
		}
	}
	return e.refresh(ctx)
}

// members lists the present planned members of an array, in slot order.
func (e *Env) members(n *plan.Node) ([]*plan.Device, error) {
	var out []*plan.Device
	for _, r := range n.On {
		if r == "" {
			continue
		}
		d, err := e.Facts.Volume(e.Plan, r)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, fmt.Errorf("array %s: member %s was not found", n.Ref.ID(), r)
		}
		out = append(out, d)
	}
	return out, nil
}

// assembleArray starts one planned array under its planned node.
func (e *Env) assembleArray(ctx context.Context, n *plan.Node) error {
	mods, err := md.Modules(n.MD.Level)
	if err != nil {
		return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	if err := e.Load(ctx, mods...); err != nil {
		return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	members, err := e.members(n)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return fmt.Errorf("array %s: none of its members was found", n.Ref.ID())
	}
	if err := e.startable(n, members); err != nil {
		return err
	}
	node := n.MD.Node
	for i := 0; e.Facts.Dev(node) != nil && i < 128; i++ {
		node = fmt.Sprintf("md%d", 127-i)
	}
	dev := "/dev/" + node
	alters := make([]string, len(members))
	var disks []md.Dev
	for i, m := range members {
		alters[i] = m.Path
		disks = append(disks, md.Dev{Major: m.Major, Minor: m.Minor})
	}
	e.started = append(e.started, started{what: dev, there: func(e *Env, dev string) bool { return e.Facts.Dev(dev) != nil }, stop: mdKind().stop})
	if e.isSource(n) {
		e.noteArray(n)
		// It must neither write nor resync before sync_max is set; an array that starts so becomes writable by its first write.
		if err := e.startReadOnly(ctx, true); err != nil {
			return err
		}
	}
	w := md.CreateNode(node)
	if err := e.do(ctx, machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value}); err != nil {
		return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	if err := e.Wait(ctx, dev, func() (bool, error) { return e.present(dev), nil }); err != nil {
		return err
	}
	calls, err := md.AssembleIoctls(md.Version(n.MD.Metadata), disks)
	if err != nil {
		return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
	}
	for _, c := range calls {
		if err := e.do(ctx, machine.Ioctl{Dev: dev, Name: c.Name, Req: c.Req, Arg: c.Arg, Value: c.Value, Alters: alters}); err != nil {
			stop := md.StopArray()
			// A half assembled array holds its members; the reason of the failure is what counts.
			_ = e.do(ctx, machine.Ioctl{Dev: dev, Name: stop.Name, Req: stop.Req, Value: stop.Value})
			return fmt.Errorf("array %s of %s: %w", n.Ref.ID(), strings.Join(alters, ", "), err)
		}
	}
	if e.isSource(n) {
		if err := e.noResync(ctx, n, node); err != nil {
			return err
		}
		if err := e.startReadOnly(ctx, false); err != nil {
			return err
		}
	}
	return e.refresh(ctx)
}

// startable refuses what the members themselves speak against: an array that went on elsewhere without these, or one in
// the middle of a reshape. The kernel would start a lone stale member.
func (e *Env) startable(n *plan.Node, members []*plan.Device) error {
	var all []md.Member
	for _, m := range members {
		super, _, err := e.superblock(m, n)
		if err != nil {
			return err
		}
		all = append(all, md.Member{Device: m.Path, Super: super})
	}
	for _, set := range md.Group(all) {
		d := set.Startable(md.Policy{})
		if !d.Start && d.Dirty && (n.MD.Level == 5 || n.MD.Level == 6) && slices.Contains(n.On, "") {
			return fmt.Errorf("array %s: %s; unless the migration is committed, what was copied cannot be trusted: make a new plan, with --wipe for its disks", n.Called(), d.Reason)
		}
		if !d.Start {
			return errors.New(d.Reason)
		}
		if len(d.Use) != len(all) {
			return fmt.Errorf("%s; of %d planned members only %d are fresh", d.Reason, len(all), len(d.Use))
		}
	}
	return nil
}
