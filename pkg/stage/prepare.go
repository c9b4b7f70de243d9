package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"migrate-init/pkg/gpt"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/mkfs"
	"migrate-init/pkg/plan"
)

// journalType is the partition type of the journal: ours alone, so that nothing else ever claims the partition.
const journalType = "6d696772-6174-4e69-9469-6a6f75726e61"

func prepared(_ *plan.Plan, _ *plan.Facts, rs Records) bool { return rs.Done("commit") }

// runPrepare makes the target: table, journal, arrays, filesystems, swap. Each is first looked for by its planned
// identity; only what is missing is made, and only inside a disk that is empty, released by --wipe, or already ours.
func runPrepare(ctx context.Context, e *Env) error {
	for i := range e.Plan.Target.Disks {
		if err := e.prepareTable(ctx, &e.Plan.Target.Disks[i]); err != nil {
			return err
		}
	}
	if err := e.prepareJournal(ctx); err != nil {
		return err
	}
	for _, n := range e.Plan.Target.Arrays {
		if err := e.prepareArray(ctx, n); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Filesystems {
		if byBlocks(e.Plan, n.UUID) {
			continue // its copy brings it whole
		}
		if err := e.prepareFS(ctx, n, false); err != nil {
			return err
		}
	}
	for _, n := range e.Plan.Target.Swaps {
		if err := e.prepareSwap(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func byBlocks(p *plan.Plan, uuid string) bool {
	for _, c := range p.Copies {
		if c.To == uuid {
			return c.Engine == plan.EngineExtent
		}
	}
	return false
}

// tableOf is the partition table that the plan wants on a disk.
func tableOf(t *plan.TargetDisk) (gpt.Table, error) {
	out := gpt.Table{Scheme: t.Scheme, ID: t.TableID, SectorSize: int(t.Sector)}
	for _, p := range t.Partitions {
		typ, err := typeOf(t.Scheme, p.Role)
		if err != nil {
			return out, err
		}
		out.Partitions = append(out.Partitions, gpt.Partition{Number: p.Number, Type: typ, ID: p.GUID, Name: p.Name, Start: p.Start, Size: p.Size})
	}
	return out, nil
}

func typeOf(scheme, role string) (string, error) {
	if role == plan.RoleJournal && scheme == gpt.SchemeGPT {
		return journalType, nil
	}
	return gpt.TypeOf(scheme, role)
}

// same tells whether a disk has the planned table. One whose primary copy was torn is not the same: the kernel of the next
// boot would see no partitions.
func same(t *plan.Table, want gpt.Table) bool { return alike(t, want) && !t.Backup }

// alike compares what is on the disk with what is planned, by identity and place.
func alike(t *plan.Table, want gpt.Table) bool {
	if t == nil || t.Scheme != want.Scheme || !strings.EqualFold(t.ID, want.ID) || len(t.Partitions) != len(want.Partitions) {
		return false
	}
	for i, p := range want.Partitions {
		h := t.Partitions[i]
		if h.Number != p.Number || !strings.EqualFold(h.GUID, p.ID) || h.Start != p.Start || h.Size != p.Size {
			return false
		}
	}
	return true
}

func (e *Env) prepareTable(ctx context.Context, t *plan.TargetDisk) error {
	d, err := e.Facts.Disk(t.DiskID)
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("target disk %s: not here", t.Was)
	}
	want, err := tableOf(t)
	if err != nil {
		return fmt.Errorf("target disk %s: %w", d.Path, err)
	}
	var extents []machine.Extent
	for _, p := range want.Partitions {
		extents = append(extents, machine.Extent{Number: p.Number, Start: p.Start, Size: p.Size})
	}
	if !same(d.Table, want) {
		ours := d.Table != nil && strings.EqualFold(d.Table.ID, t.TableID)
		if ours && !alike(d.Table, want) {
			return fmt.Errorf("target disk %s: its partition table is %s, as planned, but the partitions are not: somebody changed them, and what they hold may be wanted; if not: migrate-init plan --wipe %s", d.Path, t.TableID, d.Path)
		}
		e.tell("prepare", "partition table %s on %s", t.TableID, d.Path)
		if !ours {
			if err := e.wipe(ctx, d); err != nil {
				return err
			}
		}
		if err := e.writeTable(ctx, d, want, nil); err != nil {
			return err
		}
	}
	if err := e.do(ctx, machine.Partitions{Dev: d.Path, Parts: extents}); err != nil {
		return err
	}
	return e.refresh(ctx)
}

func (e *Env) writeTable(ctx context.Context, d *plan.Device, want gpt.Table, lba0 []byte) error {
	return e.do(ctx, tableEffect(d, want, lba0)...)
}

func tableEffect(d *plan.Device, want gpt.Table, lba0 []byte) []machine.Effect {
	writes, err := gpt.Encode(want, d.Size, lba0)
	if err != nil {
		return []machine.Effect{failing{err}}
	}
	eff := machine.WriteDevice{Dev: d.Path, Why: "partition table " + want.ID}
	for _, w := range writes {
		eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
	}
	return []machine.Effect{eff}
}

// failing is an effect that could not be spelled; carrying it out gives the reason.
type failing struct{ err error }

func (f failing) String() string   { return "fail: " + f.err.Error() }
func (f failing) Writes() []string { return nil }

// wipe zeroes every known signature on a device, so that none comes to life again inside what is made there.
func (e *Env) wipe(ctx context.Context, d *plan.Device) error {
	eff := machine.WriteDevice{Dev: d.Path, Why: "wipe old signatures"}
	for _, c := range d.Contents {
		for _, s := range c.Wipe {
			eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: s.Offset, Zero: s.Length})
		}
	}
	if len(eff.Chunks) == 0 {
		return nil
	}
	return e.do(ctx, eff)
}

func (e *Env) prepareJournal(ctx context.Context) error {
	if e.journal != "" {
		return e.sameSources(ctx)
	}
	// It may have come to light with the table: somebody had wiped that, and what lies behind it is still there.
	if err := e.openJournal(); err != nil {
		return err
	}
	old := e.records
	if old.last("commit") != "" {
		return fmt.Errorf("journal %s: the partition table before it was gone, and it tells of a commit: that may be a migrated system; make a new plan, with --wipe if nothing there is wanted", e.journal)
	}
	e.journal, e.records, e.checkpoints.Last = "", nil, nil
	d, err := e.Facts.Volume(e.Plan, e.Plan.Journal)
	if err != nil {
		return err
	}
	if d == nil {
		return fmt.Errorf("journal %s: its volume is not here", e.Plan.Journal)
	}
	if err := e.assembleKnown(ctx); err != nil {
		return err
	}
	// The journal is older than every filesystem: one without it is not a first try, and may be a system in use.
	for _, n := range e.Plan.Target.Filesystems {
		if x, err := e.Facts.FS(n.UUID); len(old) == 0 && (err != nil || x != nil) {
			return errors.Join(fmt.Errorf("journal %s: it is gone, but filesystem %s of this plan exists: that may be a migrated system; make a new plan, with --wipe if nothing there is wanted", d.Path, n.UUID), err)
		}
	}
	if err := e.wipe(ctx, d); err != nil {
		return err
	}
	// The records of an earlier try of this plan would verify, and go on where the new ones end: all of them go, while no
	// head says that there is a journal.
	if err := e.do(ctx, machine.WriteDevice{Dev: d.Path, Why: "journal of plan " + e.Plan.ID, Chunks: []machine.Chunk{
		{Offset: 0, Zero: slotSize}, {Offset: slotSize, Zero: d.Size - slotSize}, {Offset: 0, Data: JournalHead(e.Plan.ID)}}}); err != nil {
		return err
	}
	e.journal, e.size = d.Path, d.Size
	if err := e.Record(ctx, Record{Stage: "check", Event: Done, Text: "every check passed before the first write", Facts: e.stamps()}); err != nil {
		return err
	}
	return e.Record(ctx, Record{Stage: "prepare", Event: Begin})
}

func (e *Env) prepareArray(ctx context.Context, n plan.NewArray) error {
	a := e.Facts.Array(n.UUID)
	if a != nil && a.Node != "" {
		return nil
	}
	if a == nil {
		if err := e.createArray(ctx, n); err != nil {
			return err
		}
	}
	return e.assembleArray(ctx, n)
}

// specOf is a planned array in md's words; sizes come from the devices, absent members from the same sizes.
func specOf(n plan.NewArray, created time.Time, sizes []int64) (md.Spec, error) {
	uuid, err := md.ParseUUID(n.UUID)
	if err != nil {
		return md.Spec{}, fmt.Errorf("array %s: %w", n.UUID, err)
	}
	s := md.Spec{Version: md.Version(n.Metadata), UUID: uuid, Name: n.Name, Level: n.Level, RaidDisks: n.Devices, Bitmap: n.Bitmap, CTime: created}
	for i, r := range n.Members {
		m := md.MemberSpec{Missing: r == "", Size: sizes[i]}
		if m.DeviceUUID, err = md.ParseUUID(n.MemberUUIDs[i]); err != nil {
			return s, fmt.Errorf("array %s: member %d: %w", n.UUID, i, err)
		}
		s.Members = append(s.Members, m)
	}
	return s, nil
}

func (e *Env) createArray(ctx context.Context, n plan.NewArray) error {
	members, err := e.members(n)
	if err != nil {
		return err
	}
	sizes, slots := make([]int64, len(n.Members)), make([]*plan.Device, len(n.Members))
	next := 0
	for i, r := range n.Members {
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
		return err
	}
	images, err := md.New(spec)
	if err != nil {
		return fmt.Errorf("array %s: %w", n.UUID, err)
	}
	for _, img := range images {
		d := slots[img.Index]
		if err := e.wipe(ctx, d); err != nil {
			return err
		}
		eff := machine.WriteDevice{Dev: d.Path, Why: fmt.Sprintf("md superblock %s of array %s, slot %d", n.Metadata, n.UUID, img.Index)}
		for _, w := range img.Writes {
			eff.Chunks = append(eff.Chunks, machine.Chunk{Offset: w.Offset, Data: w.Data})
		}
		if err := e.do(ctx, eff); err != nil {
			return err
		}
	}
	return e.refresh(ctx)
}

// volume finds a planned volume that must be there by now.
func (e *Env) volume(r plan.Ref) (*plan.Device, error) {
	d, err := e.Facts.Volume(e.Plan, r)
	if err == nil && d == nil {
		err = fmt.Errorf("volume %s: not here", r)
	}
	return d, err
}

// prepareFS makes a filesystem unless the journal says that it was made whole; again forces a new one.
func (e *Env) prepareFS(ctx context.Context, n plan.NewFS, again bool) error {
	d, err := e.volume(n.On)
	if err != nil {
		return err
	}
	key := "mkfs:" + n.UUID
	if c := d.Filesystem(); !again && c != nil && strings.EqualFold(c.UUID, n.UUID) && e.records.Done(key) {
		return nil
	}
	if !again && e.records.Begun("copy:"+n.UUID) {
		const why = "its filesystem is not there any more"
		e.tell("prepare", "filesystem at %s is copied again: %s", n.Mount, why)
		if err := e.takeBack(ctx, n.UUID, why); err != nil {
			return err
		}
	}
	e.tell("prepare", "%s %s on %s for %s", n.Type, n.UUID, d.Path, n.Mount)
	argv, err := mkfs.Argv(mkfs.Spec{Type: n.Type, Device: d.Path, UUID: n.UUID, Label: n.Label, HashSeed: n.HashSeed, Features: n.Features, BlockSize: n.BlockSize, InodeSize: n.InodeSize, Inodes: n.Inodes, Size: d.Size})
	if err != nil {
		return err
	}
	return e.make(ctx, key, d, argv)
}

func (e *Env) prepareSwap(ctx context.Context, n plan.NewSwap) error {
	d, err := e.volume(n.On)
	if err != nil {
		return err
	}
	if c := d.Swap(); c != nil && strings.EqualFold(c.UUID, n.UUID) && e.records.Done("mkfs:"+n.UUID) {
		return nil
	}
	argv, err := mkfs.Argv(mkfs.Spec{Type: plan.SwapType, Device: d.Path, UUID: n.UUID})
	if err != nil {
		return err
	}
	e.tell("prepare", "swap %s on %s", n.UUID, d.Path)
	return e.make(ctx, "mkfs:"+n.UUID, d, argv)
}

func (e *Env) make(ctx context.Context, key string, d *plan.Device, argv []string) error {
	if err := e.Record(ctx, Record{Stage: key, Event: Begin}); err != nil {
		return err
	}
	if err := e.wipe(ctx, d); err != nil {
		return err
	}
	if err := e.do(ctx, machine.Exec{Argv: argv, Alters: []string{d.Path}}); err != nil {
		return err
	}
	if err := e.Record(ctx, Record{Stage: key, Event: Done}); err != nil {
		return err
	}
	return e.refresh(ctx)
}
