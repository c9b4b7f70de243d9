package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// holds reports whether a running array has a device as its member.
func (e *Env) holds(n *plan.Node, d *plan.Device) bool {
	a := e.Facts.Array(n.Ref.ID())
	for _, h := range d.Holders {
		if a != nil && h == a.Node {
			return true
		}
	}
	return false
}

// joinMember hot-adds the member of a slot, unless the array has it already.
func (e *Env) joinMember(ctx context.Context, s plan.Slot) error {
	n, ref := s.Node, s.Member
	if d, err := e.Facts.Volume(e.Plan, ref); e.DryRun && err == nil && (d == nil || !e.holds(n, d)) {
		return e.do(ctx, later(fmt.Sprintf("add the new member %s to array %s, and wait until it is resynced", ref, n.Called())))
	}
	d, err := e.waitForVolume(ctx, ref)
	if err != nil {
		return err
	}
	a := e.Facts.Array(n.Ref.ID())
	if a == nil || a.Node == "" {
		return errors.New("it does not run")
	}
	if e.holds(n, d) {
		return nil
	}
	peer, err := e.peer(n)
	if err != nil {
		return err
	}
	super, bitmap, err := e.superblock(peer, n)
	if err != nil {
		return err
	}
	uuid, err := md.ParseUUID(n.MD.Devices[s.Index])
	if err != nil {
		return err
	}
	taken, err := e.numbers(n)
	if err != nil {
		return err
	}
	joined, writes, err := md.Join(super, md.JoinSpec{Size: d.Size, DeviceUUID: uuid, Taken: taken, Time: time.Unix(super.UTime.Unix(), 0), Bitmap: bitmap, Major: d.Major, Minor: d.Minor})
	if err != nil {
		return err
	}
	// udev's mdadm may have been quicker on a second run: a live superblock is not wiped.
	if err := e.refresh(ctx); err != nil {
		return err
	}
	if d, err = e.waitForVolume(ctx, ref); err != nil || e.holds(n, d) {
		return err
	}
	if err := e.wipe(ctx, d); err != nil {
		return err
	}
	eff := machine.WriteDevice{Dev: d.Path, Why: "md superblock of a new member"}
	for _, w := range writes {
		eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
	}
	if err := e.do(ctx, eff); err != nil {
		return err
	}
	e.tell(join, "%s joins %s", d.Path, n.Called())
	call := md.HotAdd(md.Dev{Major: d.Major, Minor: d.Minor}, joined.DevNumber)
	err = e.do(ctx, machine.Ioctl{Dev: "/dev/" + a.Node, Name: call.Name, Req: call.Req, Arg: call.Arg, Value: call.Value, Alters: []string{d.Path}})
	if rerr := e.refresh(ctx); rerr != nil {
		return rerr
	}
	// udev's mdadm may have added it first: what counts is that the array holds it.
	if now, verr := e.volume(ref); err != nil && verr == nil && e.holds(n, now) {
		return nil
	}
	return err
}

// peer is a member that the array has already: what it says of the array holds for a new one, too.
func (e *Env) peer(n *plan.Node) (*plan.Device, error) {
	for _, r := range n.On {
		if d, err := e.Facts.Volume(e.Plan, r); err != nil {
			return nil, err
		} else if d != nil && e.holds(n, d) {
			return d, nil
		}
	}
	return nil, fmt.Errorf("array %s: none of its planned members is in it", n.Ref.ID())
}

// numbers are the device numbers that the members of an array have. The superblocks of the others tell of one that joined a
// moment ago only when md's thread has written them.
func (e *Env) numbers(n *plan.Node) ([]int, error) {
	var out []int
	for _, r := range n.On {
		d, err := e.Facts.Volume(e.Plan, r)
		if err != nil {
			return nil, err
		}
		if d == nil || !e.holds(n, d) {
			continue
		}
		s, _, err := e.superblock(d, n)
		if err != nil {
			return nil, err
		}
		out = append(out, s.DevNumber)
	}
	return out, nil
}

func (e *Env) superblock(d *plan.Device, n *plan.Node) (md.Superblock, *md.Bitmap, error) {
	r, err := e.Open(d.Path)
	if err != nil {
		return md.Superblock{}, nil, fmt.Errorf("member %s: %w", d.Path, err)
	}
	defer r.Close()
	supers, err := md.Scan(r, d.Size)
	for _, s := range supers {
		if s.UUID.String() != n.Ref.ID() {
			continue
		}
		if !n.MD.Bitmap || s.Features&md.FeatureBitmap == 0 {
			return s, nil, nil
		}
		b, err := md.ReadBitmap(r, s)
		if err != nil {
			return s, nil, fmt.Errorf("member %s: %w", d.Path, err)
		}
		return s, &b, nil
	}
	if err != nil {
		return md.Superblock{}, nil, fmt.Errorf("member %s: no superblock of array %s: %w", d.Path, n.Ref.ID(), err)
	}
	return md.Superblock{}, nil, fmt.Errorf("member %s: no superblock of array %s", d.Path, n.Ref.ID())
}

// watchSync waits until an array is whole, and reports progress.
func (e *Env) watchSync(ctx context.Context, n *plan.Node) error {
	for {
		if err := e.refresh(ctx); err != nil {
			return err
		}
		a := e.Facts.Array(n.Ref.ID())
		switch {
		case a == nil || a.Node == "":
			return fmt.Errorf("array %s: it is no longer running", n.Called())
		case a.Degraded == 0 && (a.Sync == "idle" || a.Sync == ""):
			e.tell(resync, "%s is whole", n.Called())
			return nil
		case e.DryRun:
			return nil // the join says that it is waited for
		}
		if err := e.setReadWrite(ctx, n); err != nil {
			return err
		}
		pr := &copy.Progress{Bytes: a.SyncDone, TotalBytes: a.SyncAll, Rate: float64(a.SyncRate)}
		if a.SyncRate > 0 && a.SyncDone < a.SyncAll {
			pr.ETA = float64(a.SyncAll-a.SyncDone) / float64(a.SyncRate)
		}
		e.Tell(Event{Stage: resync, Text: "resync of " + n.Called() + bound(a), Progress: pr})
		if a.Degraded > 0 && a.Sync == "idle" && !e.anySync() {
			if err := e.awaitRecovery(ctx, n, a.Node); err != nil {
				return err
			}
			continue
		}
		if err := e.Pause(ctx); err != nil {
			return err
		}
	}
}

// awaitRecovery waits for the recovery of a degraded array to begin.
func (e *Env) awaitRecovery(ctx context.Context, n *plan.Node, node string) error {
	err := e.Wait(ctx, "the recovery of "+n.Called(), func() (bool, error) {
		err := e.refresh(ctx)
		b := e.Facts.Array(n.Ref.ID())
		return b == nil || b.Degraded == 0 || b.Sync != "idle" || e.anySync(), err
	})
	if err != nil {
		return fmt.Errorf("array %s: degraded, and no recovery runs; dmesg shows which disk failed; mdadm /dev/%s --remove failed removes that member, and migrate-init finish adds it again: %w", n.Called(), node, err)
	}
	return nil
}

// setReadWrite makes an array writable that has been assembled and not yet written to, such as an idle swap's: until then the
// kernel does not rebuild a member, and after a power cut nothing else would write.
func (e *Env) setReadWrite(ctx context.Context, n *plan.Node) error {
	const asleep = "read-auto"
	a := e.Facts.Array(n.Ref.ID())
	if a.State != asleep {
		return nil
	}
	call := md.RestartArrayRW()
	err := e.do(ctx, machine.Ioctl{Dev: "/dev/" + a.Node, Name: call.Name, Req: call.Req, Arg: call.Arg, Value: call.Value})
	if rerr := e.refresh(ctx); rerr != nil {
		return rerr
	}
	if a = e.Facts.Array(n.Ref.ID()); err != nil && a != nil && a.State == asleep {
		return fmt.Errorf("array %s (/dev/%s): %w", n.Called(), a.Node, err)
	}
	return nil
}

func (e *Env) anySync() bool {
	for _, a := range e.Facts.Arrays {
		if a.Sync != "" && a.Sync != "idle" {
			return true
		}
	}
	return false
}
