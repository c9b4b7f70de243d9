package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/copy"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// Finish makes the old disks members of the new arrays, from inside the new system. Its order keeps a machine that
// boots at every instant, whichever disk the firmware asks first:
//
//  1. a copy of GRUB's core image that reads the new array goes into unpartitioned space of the old disk, and then one
//     sector, the boot sector, is switched over to it: from here on the old disk boots the new system too;
//  2. only then the old filesystems are wiped and the table is replaced, the boot sector's code staying as it is;
//  3. members are added and resynced; 4. grub-install embeds a core image of the disk's own, its boot sector last;
//  5. what the migration left behind is removed.
//
// Every step is found again by the plan's identities, so that finish run again goes on where it was.
func Finish(ctx context.Context, e *Env, discard bool) error {
	if err := e.refresh(ctx); err != nil {
		return err
	}
	if err := e.openJournal(); err != nil {
		return err
	}
	e.boot = e.Facts.Machine.BootID
	if err := e.noteCommit(ctx, "/"); err != nil {
		return err
	}
	if err := Finishable(e.Plan, e.Facts, e.records, discard); err != nil {
		return err
	}
	if err := e.newDiskBoots(); err != nil {
		return err
	}
	if err := e.Record(ctx, Record{Stage: "finish", Event: Begin}); err != nil {
		return err
	}
	err := e.finish(ctx)
	if err != nil {
		return errors.Join(err, e.Record(context.WithoutCancel(ctx), Record{Stage: "finish", Event: Failed, Text: err.Error()}))
	}
	return e.Record(ctx, Record{Stage: "finish", Event: Done})
}

func (e *Env) finish(ctx context.Context) error {
	for i := range e.Plan.Source.Disks {
		if i >= len(e.Plan.Target.Mirrors) {
			break
		}
		if err := e.cloneDisk(ctx, &e.Plan.Target.Mirrors[i]); err != nil {
			return err
		}
	}
	if err := e.joinMembers(ctx); err != nil {
		return err
	}
	if err := e.watchSync(ctx); err != nil {
		return err
	}
	if err := e.bootLoaders(ctx); err != nil {
		return err
	}
	return e.removeLeftovers(ctx)
}

func (e *Env) readAt(dev string, off int64, n int) ([]byte, error) {
	r, err := e.Open(dev)
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", dev, err)
	}
	defer r.Close()
	b := make([]byte, n)
	if _, err := r.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("disk %s: %w", dev, err)
	}
	return b, nil
}

// joinMembers hot-adds every later member that is not in its array yet.
func (e *Env) joinMembers(ctx context.Context) error {
	for _, n := range e.Plan.Target.Arrays {
		for _, ref := range n.Later {
			if err := e.joinMember(ctx, n, ref); err != nil {
				return fmt.Errorf("array %s: %w", n.UUID, err)
			}
		}
	}
	return nil
}

func (e *Env) holds(n plan.NewArray, d *plan.Device) bool {
	a := e.Facts.Array(n.UUID)
	for _, h := range d.Holders {
		if a != nil && h == a.Node {
			return true
		}
	}
	return false
}

// awaited finds a volume that is to be here, and may be away for a moment: udev re-reads the table of a disk that was
// written to, and all its partitions are gone and made anew then.
func (e *Env) awaited(ctx context.Context, ref plan.Ref) (*plan.Device, error) {
	d, err := e.volume(ref)
	if err == nil {
		return d, nil
	}
	err = e.Wait(ctx, "volume "+string(ref), func() (bool, error) {
		if err := e.refresh(ctx); err != nil {
			return false, err
		}
		var err error
		d, err = e.Facts.Volume(e.Plan, ref)
		return d != nil, err
	})
	return d, err
}

func (e *Env) joinMember(ctx context.Context, n plan.NewArray, ref plan.Ref) error {
	d, err := e.awaited(ctx, ref)
	if err != nil {
		return err
	}
	a := e.Facts.Array(n.UUID)
	if a == nil || a.Node == "" {
		return errors.New("it does not run")
	}
	if e.holds(n, d) {
		return nil
	}
	members, err := e.members(n)
	if err != nil {
		return err
	}
	super, bitmap, err := e.superblock(members[0], n)
	if err != nil {
		return err
	}
	uuid, err := md.ParseUUID(n.MemberUUIDs[len(n.MemberUUIDs)-1])
	if err != nil {
		return err
	}
	joined, writes, err := md.Join(super, md.JoinSpec{Size: d.Size, DeviceUUID: uuid, Time: time.Unix(super.UTime.Unix(), 0), Bitmap: bitmap, Major: d.Major, Minor: d.Minor})
	if err != nil {
		return err
	}
	// udev's mdadm may have been quicker on a second run: a live superblock is not wiped.
	if err := e.refresh(ctx); err != nil {
		return err
	}
	if d, err = e.awaited(ctx, ref); err != nil || e.holds(n, d) {
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
	e.tell("finish", "%s joins /dev/%s", d.Path, a.Node)
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

func (e *Env) superblock(d *plan.Device, n plan.NewArray) (md.Superblock, *md.Bitmap, error) {
	r, err := e.Open(d.Path)
	if err != nil {
		return md.Superblock{}, nil, fmt.Errorf("member %s: %w", d.Path, err)
	}
	defer r.Close()
	supers, err := md.Scan(r, d.Size)
	for _, s := range supers {
		if s.UUID.String() != n.UUID {
			continue
		}
		if !n.Bitmap || s.Features&md.FeatureBitmap == 0 {
			return s, nil, nil
		}
		b, err := md.ReadBitmap(r, s)
		if err != nil {
			return s, nil, fmt.Errorf("member %s: %w", d.Path, err)
		}
		return s, &b, nil
	}
	return md.Superblock{}, nil, fmt.Errorf("member %s: no superblock of array %s: %w", d.Path, n.UUID, err)
}

// watchSync waits until every planned array is whole, telling progress.
func (e *Env) watchSync(ctx context.Context) error {
	for _, n := range e.Plan.Target.Arrays {
		for {
			if err := e.refresh(ctx); err != nil {
				return err
			}
			a := e.Facts.Array(n.UUID)
			if a == nil || a.Node == "" {
				return fmt.Errorf("array %s: it does not run any more", n.UUID)
			}
			if a.Degraded == 0 && (a.Sync == "idle" || a.Sync == "") {
				break
			}
			if err := e.rouse(ctx, n); err != nil {
				return err
			}
			pr := &copy.Progress{Bytes: a.SyncDone, TotalBytes: a.SyncAll, Rate: float64(a.SyncRate)}
			if a.SyncRate > 0 {
				pr.ETA = float64(a.SyncAll-a.SyncDone) / float64(a.SyncRate)
			}
			e.Tell(Event{Stage: "finish", Text: "resync of /dev/" + a.Node, Progress: pr})
			if a.Degraded > 0 && a.Sync == "idle" && !e.anySync() {
				stillIdle := true
				if err := e.Wait(ctx, "the recovery of /dev/"+a.Node, func() (bool, error) {
					err := e.refresh(ctx)
					b := e.Facts.Array(n.UUID)
					stillIdle = b != nil && b.Degraded > 0 && b.Sync == "idle" && !e.anySync()
					return !stillIdle, err
				}); err != nil {
					return fmt.Errorf("array /dev/%s: degraded, and no recovery runs; dmesg tells which disk failed; mdadm /dev/%s --remove failed takes that member out, and migrate-init finish adds it again: %w", a.Node, a.Node, err)
				}
				continue
			}
			if err := e.Pause(ctx); err != nil {
				return err
			}
		}
		e.tell("finish", "array %s is whole", n.Name)
	}
	return nil
}

// rouse makes an array writable that has been assembled and not yet written to, such as an idle swap's: until then the
// kernel does not rebuild a member, and after a power cut nothing else would write.
func (e *Env) rouse(ctx context.Context, n plan.NewArray) error {
	const asleep = "read-auto"
	a := e.Facts.Array(n.UUID)
	if a.State != asleep {
		return nil
	}
	call := md.RestartArrayRW()
	err := e.do(ctx, machine.Ioctl{Dev: "/dev/" + a.Node, Name: call.Name, Req: call.Req, Arg: call.Arg, Value: call.Value})
	if rerr := e.refresh(ctx); rerr != nil {
		return rerr
	}
	if a = e.Facts.Array(n.UUID); err != nil && a != nil && a.State == asleep {
		return fmt.Errorf("array /dev/%s: %w", a.Node, err)
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

func (e *Env) removeLeftovers(ctx context.Context) error {
	effs := []machine.Effect{
		machine.Remove{Path: path.Join(path.Dir(ConfirmUnit), "multi-user.target.wants", path.Base(ConfirmUnit))},
		machine.Remove{Path: ConfirmUnit},
		machine.Remove{Path: GRUBDropIn},
		machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.ConfirmedFile(e.Plan.ID))},
		machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.CommittedFile(e.Plan.ID))},
		machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.ConfirmedFile(e.Plan.ID)+".new")},
		machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.CommittedFile(e.Plan.ID)+".rolled-back")},
	}
	if alone, err := e.alone(path.Join(e.Plan.Boot.Mount, boot.CommitDir)); err != nil {
		return err
	} else if alone {
		effs = append(effs, machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.CommitDir)})
	}
	more, err := e.installDevices()
	if err != nil {
		return err
	}
	if err := e.do(ctx, append(more, effs...)...); err != nil {
		return err
	}
	sys, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	for _, x := range sys.Menu(e.Plan, "") {
		e.tell("finish", "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// alone tells whether nothing but this plan's marks is in the directory of the commit: what else is there is not ours to
// remove, and no reason to fail.
func (e *Env) alone(dir string) (bool, error) {
	root, err := e.Inside("/")
	if err != nil {
		return false, err
	}
	at, err := throughLinks(root, dir)
	if err != nil {
		return false, err
	}
	list, err := fs.ReadDir(root, nonRoot(at))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("directory %s: %w", dir, err)
	}
	for _, x := range list {
		if !strings.HasPrefix(x.Name(), path.Base(boot.CommittedFile(e.Plan.ID))) && !strings.HasPrefix(x.Name(), path.Base(boot.ConfirmedFile(e.Plan.ID))) {
			return false, nil
		}
	}
	return true, nil
}
