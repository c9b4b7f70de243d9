package stage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"migrate-init/boot"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// runAssemble starts what is needed and already there: after a first try that was cut short, the target's own arrays.
func runAssemble(ctx context.Context, e *Env) error {
	if err := e.assembleKnown(ctx); err != nil {
		return err
	}
	if err := e.refresh(ctx); err != nil {
		return err
	}
	return e.committed(ctx)
}

// assembleKnown starts the planned arrays that have a superblock already.
func (e *Env) assembleKnown(ctx context.Context) error {
	for _, n := range e.Plan.Target.Arrays {
		if a := e.Facts.Array(n.UUID); a != nil && a.Node == "" {
			if err := e.assembleArray(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// committed looks for the commit itself where the journal does not know how the last try ended: the rename decides, and
// the power may have gone before the record of it. Once it is there nothing may be made anew under the boot loader's eyes.
func (e *Env) committed(ctx context.Context) error {
	last := e.records.last("commit")
	if last != Begin && last != Failed && last != Done {
		return nil
	}
	if err := e.assembleTree(ctx); err != nil {
		return err
	}
	if err := e.noteCommit(ctx, TargetDir); err != nil {
		return err
	}
	if !e.records.Done("commit") {
		return e.releaseTree(ctx)
	}
	e.tell("assemble", "the commit was made in an earlier boot: nothing is copied, the new system is entered")
	return nil
}

// noteCommit records a commit that is on the target and not in the journal; the target is what is mounted at dir.
func (e *Env) noteCommit(ctx context.Context, dir string) error {
	last := e.records.last("commit")
	if last != Begin && last != Failed && last != Done {
		return nil
	}
	root, err := e.Inside(dir)
	if err != nil {
		return err
	}
	there, err := exists(root, path.Join(e.Plan.Boot.Mount, boot.CommittedFile(e.Plan.ID)))
	switch {
	case err != nil:
		return err
	case there && last != Done && dir == TargetDir && e.usedSince() != "":
		return fmt.Errorf("plan %s: its commit was made, the power went before that was noted, and source filesystem %s was in use since: which system is current cannot be told here; boot the new one from the boot menu, and for another copy take it back there: migrate-init rollback, then a new plan", e.Plan.ID, e.usedSince())
	case there && last != Done:
		return e.Record(ctx, Record{Stage: "commit", Event: Done, Text: "found on the target"})
	case !there && last == Done && dir == TargetDir:
		// The old system has run since, and the copy is of before.
		return fmt.Errorf("plan %s: its commit was taken back; make a new plan with `migrate-init plan`", e.Plan.ID)
	case !there && dir == TargetDir:
		// What follows may make that filesystem anew; a try after a further cut must not want to mount it.
		return e.Record(ctx, Record{Stage: "commit", Event: Note, Text: "begun in an earlier boot, and not on the target"})
	}
	return nil
}

// usedSince names a source filesystem that was mounted for writing since it was copied, "" for none.
func (e *Env) usedSince() string {
	now := e.stamps()
	for _, s := range e.Plan.Source.Filesystems {
		key := "stamp:" + s.UUID
		if now[key] != "" && now[key] != e.records.Fact(key) {
			return s.UUID
		}
	}
	return ""
}

// refresh looks at the world again.
func (e *Env) refresh(ctx context.Context) error {
	f, err := e.Look(ctx, survey.Deep)
	if err == nil {
		e.Facts = f
	}
	return err
}

// members lists the present planned members of an array, in slot order.
func (e *Env) members(n plan.NewArray) ([]*plan.Device, error) {
	var out []*plan.Device
	for _, r := range n.Members {
		if r == "" {
			continue
		}
		d, err := e.Facts.Volume(e.Plan, r)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, fmt.Errorf("array %s: member %s is not here", n.UUID, r)
		}
		out = append(out, d)
	}
	return out, nil
}

// assembleArray starts one planned array under its planned node.
func (e *Env) assembleArray(ctx context.Context, n plan.NewArray) error {
	mods, err := md.Modules(n.Level)
	if err != nil {
		return fmt.Errorf("array %s: %w", n.UUID, err)
	}
	if err := e.Load(ctx, mods...); err != nil {
		return fmt.Errorf("array %s: %w", n.UUID, err)
	}
	members, err := e.members(n)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return fmt.Errorf("array %s: none of its members is here", n.UUID)
	}
	if err := e.startable(n, members); err != nil {
		return err
	}
	node := n.Node
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
	w := md.CreateNode(node)
	if err := e.do(ctx, machine.WriteSys{Path: "/sys/" + w.Path, Value: w.Value}); err != nil {
		return fmt.Errorf("array %s: %w", n.UUID, err)
	}
	if err := e.Wait(ctx, dev, func() (bool, error) { return e.present(dev), nil }); err != nil {
		return err
	}
	calls, err := md.AssembleIoctls(md.Version(n.Metadata), disks)
	if err != nil {
		return fmt.Errorf("array %s: %w", n.UUID, err)
	}
	for _, c := range calls {
		if err := e.do(ctx, machine.Ioctl{Dev: dev, Name: c.Name, Req: c.Req, Arg: c.Arg, Value: c.Value, Alters: alters}); err != nil {
			stop := md.StopArray()
			// A half assembled array holds its members; the reason of the failure is what counts.
			_ = e.do(ctx, machine.Ioctl{Dev: dev, Name: stop.Name, Req: stop.Req, Value: stop.Value})
			return fmt.Errorf("array %s of %s: %w", n.UUID, strings.Join(alters, ", "), err)
		}
	}
	return e.refresh(ctx)
}

// startable refuses what the members themselves speak against: an array that went on elsewhere without these, or one in
// the middle of a reshape. The kernel would start a lone stale member.
func (e *Env) startable(n plan.NewArray, members []*plan.Device) error {
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
		if !d.Start {
			return errors.New(d.Reason)
		}
		if len(d.Use) != len(all) {
			return fmt.Errorf("%s; of %d planned members only %d are fresh", d.Reason, len(all), len(d.Use))
		}
	}
	return nil
}

// present tells whether a device node can be opened.
func (e *Env) present(dev string) bool {
	r, err := e.Open(dev)
	if err != nil {
		return false
	}
	r.Close()
	return true
}

// disk finds a planned disk that must be there.
func (e *Env) disk(noun string, id plan.DiskID) (*plan.Device, error) {
	d, err := e.Facts.Disk(id)
	if err == nil && d == nil {
		err = fmt.Errorf("%s %s: no disk of serial %q and %d bytes is here", noun, id.Was, id.Serial, id.Size)
	}
	return d, err
}
