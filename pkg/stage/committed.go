package stage

import (
	"context"
	"fmt"
	"path"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// committed looks for the commit itself where the journal does not know how the last try ended: the rename decides, and
// the power may have gone before the record of it. Once it is there nothing may be made again under the boot loader's eyes.
func (e *Env) committed(ctx context.Context) error {
	last := e.records.last("commit")
	if last != Begin && last != Failed && last != Done {
		return nil
	}
	if last != Done && e.usedSince() != "" {
		seen, err := e.commitSeen(ctx)
		if err != nil {
			return err
		}
		if !seen {
			if err := e.discardCommit(ctx); err != nil {
				return err
			}
			return e.Record(ctx, Record{Stage: commit, Event: Note, Text: "begun in an earlier boot, and the boot loader does not see it"})
		}
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
	e.tell("check", "the commit was made in an earlier boot: nothing is copied, the new system starts")
	return nil
}

// discardCommit has the copy of the commit's filesystem made again, even if its own source was not in use: the next mount for
// writing would replay the rename into the boot loader's sight, and the other copies are not proved yet.
func (e *Env) discardCommit(ctx context.Context) error {
	n := e.Plan.Target.MountedAt(e.Plan.Boot.Mount)
	if n == nil || !e.records.Begun("copy:"+n.Ref.ID()) {
		return nil
	}
	return e.invalidateCopy(ctx, n.Ref.ID(), "a commit that the boot loader does not see is in it")
}

// commitSeen reports whether the boot loader sees the commit. A rename that is only in the filesystem's journal is not seen,
// since boot loaders replay none, and so the old system ran. A mount for writing would replay it here: then the boot loader
// would see it, and enter, unasked, a system that is older than the old one.
func (e *Env) commitSeen(ctx context.Context) (bool, error) {
	n := e.Plan.Target.MountedAt(e.Plan.Boot.Mount)
	if n == nil {
		return false, fmt.Errorf("plan %s: no filesystem is planned at %s", e.Plan.ID, e.Plan.Boot.Mount)
	}
	d, err := e.volume(n.Lower())
	if err != nil {
		return false, err
	}
	if c := d.Filesystem(); c == nil || !strings.EqualFold(c.UUID, n.Ref.ID()) {
		return false, nil // it was made again since, or is not whole yet
	}
	if err := e.Load(ctx, n.FS.Type); err != nil {
		return false, err
	}
	t, dir := plan.FSTypeOf(n.FS.Type), path.Join(seenDir, e.Plan.Boot.Mount)
	options := plan.JoinOptions(t.ReadOnly, e.Plan.Target.PlaceAt(e.Plan.Boot.Mount).Options)
	if err := e.mount(ctx, machine.Mount{Source: d.Path, Target: dir, Type: n.FS.Type, Flags: machine.ReadOnly, Data: options, Quiet: t.Quiet}); err != nil {
		return false, err
	}
	if err := e.refresh(ctx); err != nil {
		return false, err
	}
	seen, err := e.commitThere(seenDir)
	if err != nil {
		return false, err
	}
	return seen, e.unmount(ctx, dir)
}

// seenDir is where the new system's volume of the commit is mounted alone, as the boot loader sees it.
const seenDir = "/mnt/seen"

// noteCommit records a commit that is on the target and not in the journal; the target is what is mounted at dir.
func (e *Env) noteCommit(ctx context.Context, dir string) error {
	last := e.records.last("commit")
	if last != Begin && last != Failed && last != Done {
		return nil
	}
	there, err := e.commitThere(dir)
	switch {
	case err != nil:
		return err
	case there && last != Done && dir == TargetDir && e.usedSince() != "":
		return fmt.Errorf("plan %s: it was committed, but the power failed before that was recorded, and source filesystem %s has been in use since, so it is unknown which system is current; boot the new one from the boot menu, or, for another copy, run `migrate-init rollback` there and make a new plan", e.Plan.ID, e.usedSince())
	case there && last != Done:
		e.tell("check", "the commit was made in an earlier boot, and the power failed before the journal had it")
		return e.Record(ctx, Record{Stage: "commit", Event: Done, Text: "found on the target"})
	case !there && last == Done && dir == TargetDir:
		// The old system has run since, and the copy is of before.
		return fmt.Errorf("plan %s: its commit was rolled back; make a new plan with `migrate-init plan`", e.Plan.ID)
	case !there && dir == TargetDir:
		// What follows may make that filesystem again; a try after a further cut must not want to mount it.
		return e.Record(ctx, Record{Stage: "commit", Event: Note, Text: "begun in an earlier boot, and not on the target"})
	}
	return nil
}

// commitThere reports whether the commit is on the system mounted at dir.
func (e *Env) commitThere(dir string) (bool, error) {
	root, err := e.Inside(dir)
	if err != nil {
		return false, err
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return false, err
	}
	return l.Committed(e.Plan, root)
}

// usedSince names a source filesystem that was mounted for writing since it was copied, "" for none.
func (e *Env) usedSince() string {
	now := e.stamps()
	for _, s := range e.Plan.Source.Filesystems() {
		key := "stamp:" + s.Ref.ID()
		if now[key] != "" && now[key] != e.records.Fact(key) {
			return s.Ref.ID()
		}
	}
	return ""
}

// present reports whether a device node can be opened.
func (e *Env) present(dev string) bool {
	r, err := e.Open(dev)
	if err != nil {
		return false
	}
	r.Close()
	return true
}

// disk finds a planned disk that must be there.
func (e *Env) disk(noun string, n *plan.Node) (*plan.Device, error) {
	d, err := e.Facts.Disk(n)
	if err == nil && d == nil {
		err = fmt.Errorf("%s %s: no disk with %s was found", noun, n.Was, n.Identity())
	}
	return d, err
}
