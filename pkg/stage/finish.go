package stage

import (
	"context"
	"fmt"
	"path"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// The stages of finish make the old disks members of the new arrays, from inside the new system. Their order keeps a
// machine that boots at every instant, whichever disk the firmware asks first:
//
//  1. the boot loader takes the old disk over, outside of its partitions: from here on that disk boots the new system too;
//  2. only then the old filesystems are wiped and the table is replaced, the boot sector's code staying as it is;
//  3. members are added and resynced; 4. the old disk gets a boot loader of its own;
//  5. what the migration left behind is removed.
//
// Every step is found again by the plan's identities, so that finish run again goes on where it was.

// runReview refuses unless finish may begin.
func runReview(ctx context.Context, e *Env) error {
	if err := e.openJournal(); err != nil {
		return err
	}
	if err := e.noteCommit(ctx, "/"); err != nil {
		return err
	}
	if err := Finishable(e.Plan, e.Facts, e.records, e.Discard); err != nil {
		return err
	}
	return e.newDiskBoots()
}

// runTakeover lets every old disk boot the new system before anything of the old one is destroyed.
func runTakeover(ctx context.Context, e *Env) error {
	for _, n := range e.Plan.LaterDisks() {
		d, err := e.disk("old disk", n)
		if err != nil {
			return err
		}
		want, err := tableOf(e.Plan.Final, n)
		if err != nil {
			return fmt.Errorf("old disk %s: %w", d.Path, err)
		}
		if alike(d.Table, want) || e.records.Begun(partOf(repartition, n)) {
			continue // it was taken over before its table was replaced
		}
		if src := e.Plan.Source.Node(n.Ref); d.Table == nil && src != nil && src.Disk.Table == "" {
			continue // it has no boot code of its own: a layer may begin with its first sector
		}
		if d.Table == nil {
			return fmt.Errorf("old disk %s: its partition table can no longer be read, so nothing is written to it; look for errors with dmesg, then run `migrate-init finish` again", d.Path)
		}
		if err := e.unlock(ctx, d); err != nil {
			return err
		}
		if err := e.switchBootSector(ctx, n, d, want); err != nil {
			return err
		}
	}
	return nil
}

// unlock lets the kernel write to a disk and its partitions again.
func (e *Env) unlock(ctx context.Context, d *plan.Device) error {
	for _, x := range append(e.Facts.Parts(d.Name), d) {
		if x.ReadOnly {
			if err := e.do(ctx, machine.SetReadOnly{Dev: x.Path, On: false}); err != nil {
				return err
			}
		}
	}
	return nil
}

// runRepartition makes what Final has and Target does not have.
func runRepartition(ctx context.Context, e *Env) error {
	for _, n := range plan.Diff(e.Plan.Target, e.Plan.Final).New {
		if k := kindOf(n); k.remake != nil {
			if err := k.remake(ctx, e, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// runJoin fills the slots that Target left empty.
func runJoin(ctx context.Context, e *Env) error {
	for _, s := range plan.Diff(e.Plan.Target, e.Plan.Final).Fill {
		k := kindOf(s.Node)
		if k.join == nil {
			return fmt.Errorf("node %s: nothing can join it", s.Node.Ref)
		}
		if err := k.join(ctx, e, s); err != nil {
			return fmt.Errorf("array %s: %w", s.Node.Ref.ID(), err)
		}
	}
	return nil
}

// runResync waits until everything is whole.
func runResync(ctx context.Context, e *Env) (err error) {
	if err := e.raiseSpeed(ctx); err != nil {
		return err
	}
	defer func() {
		if lerr := e.lowerSpeed(context.WithoutCancel(ctx)); err == nil {
			err = lerr
		}
	}()
	for i := range e.Plan.Final {
		if k := kindOf(&e.Plan.Final[i]); k.awaitWhole != nil {
			if err := k.awaitWhole(ctx, e, &e.Plan.Final[i]); err != nil {
				return err
			}
		}
	}
	return nil
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

// waitForVolume finds a volume that is to be here, and may be away for a moment: udev re-reads the table of a disk that was
// written to, and all its partitions disappear and are made again then.
func (e *Env) waitForVolume(ctx context.Context, ref plan.Ref) (*plan.Device, error) {
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

// runClean removes what only the migration needed.
func runClean(ctx context.Context, e *Env) error {
	effs := []machine.Effect{
		machine.Remove{Path: path.Join(path.Dir(ConfirmUnit), "multi-user.target.wants", path.Base(ConfirmUnit))},
		machine.Remove{Path: ConfirmUnit},
	}
	if len(mirrored(e.Plan)) > 0 {
		effs = append(effs, machine.Remove{Path: volumeRules})
	}
	l, err := e.Loaders.Of(e.Plan)
	if err != nil {
		return err
	}
	if len(e.Plan.LaterDisks()) == 0 {
		// Otherwise takeover did so, before the old disk could no longer answer.
		if err := e.askNoMore(ctx, l); err != nil {
			return err
		}
	}
	if l.Leftovers != nil {
		root, err := e.Inside("/")
		if err != nil {
			return err
		}
		left, err := l.Leftovers(e.Plan, root)
		if err != nil {
			return err
		}
		effs = append(effs, left...)
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
	for _, x := range menu(sys, l, e.Plan, "") {
		e.tell(clean, "%s", x)
		if _, err := e.Machine.Do(ctx, x); err != nil {
			return err
		}
	}
	return nil
}
