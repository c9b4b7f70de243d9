package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"migrate-init/pkg/machine"
)

// udevKeepsOff locks the old disks against udev before the first of several stages that work on them, and releases them
// before the next one that does not: udev reads the table of a disk again as soon as a writer closes it, and every idle
// partition is gone for a moment then.
func (e *Env) udevKeepsOff(ctx context.Context, s Stage) error {
	if !s.Holds || s.Settles {
		if err := e.release(ctx); err != nil {
			return err
		}
	}
	if s.Settles {
		if err := e.udevSettles(ctx); err != nil {
			return err
		}
	}
	if !s.Holds {
		return nil
	}
	if len(e.held) > 0 {
		return nil
	}
	for _, n := range e.Plan.LaterDisks() {
		d, err := e.disk("old disk", n)
		if err != nil {
			return err
		}
		if err := e.do(ctx, machine.HoldDisk{Dev: d.Path, On: true}); err != nil {
			return err
		}
		e.held = append(e.held, d.Path)
	}
	return nil
}

// release gives the old disks back to udev, whatever became of the stage.
func (e *Env) release(ctx context.Context) error {
	var errs []error
	for _, dev := range e.held {
		errs = append(errs, e.do(context.WithoutCancel(ctx), machine.HoldDisk{Dev: dev}))
	}
	e.held = nil
	return errors.Join(errs...)
}

// udevQueue exists while udev has events to handle (libudev, udev_queue_get_queue_is_empty).
const udevQueue = "run/udev/queue"

// udevPatience is how many moments udev may take for the events of a new partition table.
const udevPatience = 120

// udevSettles waits until udev has handled its events. Those of partitions that are no longer there have waited for the lock.
// Handled after a member has joined, they would make udev's rules take it out of its array again: the new partition has the
// name of an old one.
func (e *Env) udevSettles(ctx context.Context) error {
	if e.DryRun {
		return nil
	}
	for range udevPatience {
		root, err := e.Inside("/")
		if err != nil {
			return err
		}
		if _, err := fs.Stat(root, udevQueue); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return fmt.Errorf("file /%s: %w", udevQueue, err)
		}
		if err := e.Pause(ctx); err != nil {
			return err
		}
	}
	return errors.New("udev: it is still handling events of the old disk's partitions, and could take a new member out of its array again; look at `udevadm monitor` and the journal of systemd-udevd, then run `migrate-init finish` again")
}
