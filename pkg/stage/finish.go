package stage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"migrate-init/boot"
	"migrate-init/pkg/distro"
	"migrate-init/pkg/gpt"
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
	if err := e.Record(ctx, Record{Stage: "finish", Event: Begin}); err != nil {
		return err
	}
	err := e.finish(ctx)
	if err != nil {
		return errors.Join(err, e.Record(context.WithoutCancel(ctx), Record{Stage: "finish", Event: Failed, Text: err.Error()}))
	}
	return e.Record(ctx, Record{Stage: "finish", Event: Done})
}

// Finishable refuses unless this is the migrated system and the old disk is as it was copied.
func Finishable(p *plan.Plan, f *plan.Facts, rs Records, discard bool) error {
	var out plan.Findings
	refuse := func(noun, mend, format string, args ...any) {
		out = append(out, plan.Finding{ID: "finish", Severity: plan.Refuse, Noun: noun, Evidence: fmt.Sprintf(format, args...), Mend: mend})
	}
	if f.Machine.UID != 0 {
		refuse("user", "run it as root", "uid is %d", f.Machine.UID)
	}
	root := ""
	for _, m := range f.Mounts {
		if d := f.Dev(m.Device); m.Target == "/" && d != nil && d.Filesystem() != nil {
			root = d.Filesystem().UUID
		}
	}
	if root != p.Boot.Root {
		refuse("running system", "boot the migrated system first", "its root is filesystem %s, planned %s: it does not run from the new array", orDash(root), p.Boot.Root)
	}
	if !rs.Done("commit") {
		refuse("journal", "boot the migrated system first", "it has no commit")
	}
	for i, id := range p.Source.Disks {
		d, err := f.Disk(id)
		if err != nil {
			refuse("old disk "+id.Was, "", "%v", err)
			continue
		}
		if d == nil {
			refuse("old disk "+id.Was, "connect it", "no disk of serial %q and %d bytes is here", id.Serial, id.Size)
			continue
		}
		if d.Table != nil && i < len(p.Target.Mirrors) && strings.EqualFold(d.Table.ID, p.Target.Mirrors[i].TableID) || rs.Begun("finish:clone") {
			continue
		}
		if d.Table == nil || !strings.EqualFold(d.Table.ID, id.Table) {
			refuse("old disk "+d.Path, "look what is on it; a disk that was repartitioned is not touched", "its partition table is not %s any more", id.Table)
		}
		for _, x := range append(f.Parts(d.Name), d) {
			if len(x.MountedAt) > 0 || x.Swapping || len(x.Holders) > 0 {
				refuse("old disk "+d.Path, "umount, swapoff or stop what uses it", "%s is in use: %s", x.Path, strings.Join(append(x.MountedAt, x.Holders...), ", "))
			}
		}
	}
	for _, s := range p.Source.Filesystems {
		d, err := f.FS(s.UUID)
		if err != nil {
			refuse("old filesystem "+s.UUID, "", "%v", err)
		}
		was := rs.Fact("stamp:" + s.UUID)
		if d != nil && was != "" && d.Filesystem().Stamp != was && !discard {
			refuse("old filesystem "+d.Path, "copy what is new in it, then say --discard-changes", "it changed since it was copied: then %s, now %s", was, d.Filesystem().Stamp)
		}
	}
	return out.Err()
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

// cloneDisk gives an old disk the new layout.
func (e *Env) cloneDisk(ctx context.Context, m *plan.TargetDisk) error {
	d, err := e.disk("old disk", m.DiskID)
	if err != nil {
		return err
	}
	want, err := tableOf(m)
	if err != nil {
		return fmt.Errorf("old disk %s: %w", d.Path, err)
	}
	for _, x := range append(e.Facts.Parts(d.Name), d) {
		if x.ReadOnly {
			if err := e.do(ctx, machine.SetReadOnly{Dev: x.Path, On: false}); err != nil {
				return err
			}
		}
	}
	var parts []machine.Extent
	for _, p := range want.Partitions {
		parts = append(parts, machine.Extent{Number: p.Number, Start: p.Start, Size: p.Size})
	}
	if !same(d.Table, want) {
		if !e.records.Begun("finish:clone") {
			if err := e.switchBootSector(ctx, d, want); err != nil {
				return err
			}
			if err := e.Record(ctx, Record{Stage: "finish:clone", Event: Begin, Text: d.Path}); err != nil {
				return err
			}
		}
		e.tell("finish", "partition table %s on %s", want.ID, d.Path)
		if err := e.retable(ctx, d, want); err != nil {
			return err
		}
	}
	if err := e.do(ctx, machine.Partitions{Dev: d.Path, Parts: parts}); err != nil {
		return err
	}
	return e.refresh(ctx)
}

// retable wipes what an old disk's partitions hold and gives it the new table; the boot sector's code stays.
func (e *Env) retable(ctx context.Context, d *plan.Device, want gpt.Table) error {
	for _, p := range e.Facts.Parts(d.Name) {
		if err := e.wipe(ctx, p); err != nil {
			return err
		}
	}
	lba0, err := e.readAt(d.Path, 0, int(d.Sector))
	if err != nil {
		return err
	}
	return e.writeTable(ctx, d, want, lba0)
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

func (e *Env) joinMember(ctx context.Context, n plan.NewArray, ref plan.Ref) error {
	d, err := e.volume(ref)
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
	if d, err = e.volume(ref); err != nil || e.holds(n, d) {
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
			pr := &Progress{Bytes: a.SyncDone, TotalBytes: a.SyncAll, Rate: float64(a.SyncRate), Path: "/dev/" + a.Node}
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
					return fmt.Errorf("array /dev/%s: degraded, and no recovery runs: %w", a.Node, err)
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

func (e *Env) bootLoaders(ctx context.Context) error {
	fam, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	for _, m := range e.Plan.Target.Mirrors {
		d, err := e.disk("old disk", m.DiskID)
		if err != nil {
			return err
		}
		for _, x := range fam.Loader(e.Plan, "", []string{d.Path}) {
			e.tell("finish", "%s", x)
			if _, err := e.Machine.Do(ctx, x); err != nil {
				return err
			}
		}
		pr := &prover{p: e.Plan, say: func(s string) { e.tell("finish", "%s", s) }}
		if err := e.proveBootSector(m, pr); err != nil {
			return err
		}
	}
	return nil
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
		machine.Remove{Path: path.Join(e.Plan.Boot.Mount, boot.CommitDir)},
	}
	more, err := e.installDevices()
	if err != nil {
		return err
	}
	if err := e.do(ctx, append(more, effs...)...); err != nil {
		return err
	}
	fam, err := distro.Of(e.Plan)
	if err != nil {
		return err
	}
	for _, x := range fam.Menu(e.Plan, "") {
		e.tell("finish", "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return nil
}
