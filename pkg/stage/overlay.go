package stage

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// StoreDir is a tmpfs with the stores of the overlays, one file each.
const StoreDir = "/mnt/overlay"

// cover makes the overlays of the sources: those that the plan has, and one for each filesystem that was not unmounted
// cleanly. The sources are locked read-only by now, and the layers on them do not run yet.
func (e *Env) cover(ctx context.Context) error {
	list := slices.DeleteFunc(e.Plan.OverlaysNow(e.Facts), func(o plan.Overlay) bool {
		d, err := e.Facts.Volume(e.Plan, o.On)
		return err == nil && d != nil && d.Over != ""
	})
	if len(list) == 0 {
		return nil
	}
	if err := e.Load(ctx, "loop", "dm_mod", "dm_snapshot"); err != nil {
		if len(e.Plan.Overlays) == 0 {
			e.tell("reveal", "a journal cannot be replayed in memory: %v", err)
			return nil // the check of the sources refuses, with what helps
		}
		return fmt.Errorf("snapshots in memory: %w", err)
	}
	size := strconv.FormatInt(plan.StoreSum(list), 10)
	if err := e.mount(ctx, machine.Mount{Source: "tmpfs", Target: StoreDir, Type: "tmpfs", Data: "mode=0700,size=" + size}); err != nil {
		return err
	}
	var over []string
	for i, o := range list {
		d, err := e.Facts.Volume(e.Plan, o.On)
		if err == nil && d == nil {
			err = fmt.Errorf("source %s: not found", o.On)
		}
		if err == nil {
			err = e.coverOne(ctx, d, o.Size, i)
		}
		if err != nil {
			return err
		}
		over = append(over, d.Name)
		e.tell("reveal", "%s is read through a snapshot in memory, which has room for %d MiB of changes", d.Path, o.Size>>20)
	}
	return e.Wait(ctx, "the snapshots in memory", func() (bool, error) {
		f, err := e.look(ctx, survey.Deep)
		if err != nil {
			return false, err
		}
		e.Facts = f
		return !slices.ContainsFunc(over, func(name string) bool {
			d := f.Overlay(name)
			return d == nil || d.Size == 0 || !e.present(d.Path)
		}), nil
	})
}

// coverOne makes the overlay of one device: a store, and a snapshot that does not outlive the kernel.
func (e *Env) coverOne(ctx context.Context, d *plan.Device, size int64, number int) error {
	for e.Facts.Dev("loop"+strconv.Itoa(number)) != nil {
		number++
	}
	store := machine.Loop{Dev: "/dev/loop" + strconv.Itoa(number), File: path.Join(StoreDir, strings.ReplaceAll(d.Name, "!", "-")), Size: size}
	e.started = append(e.started, started{what: store.Dev, there: func(e *Env, dev string) bool { return e.Facts.Dev(dev) != nil }, stop: func(ctx context.Context, e *Env, dev string) error {
		return e.do(ctx, machine.LoopOff{Dev: dev})
	}})
	if err := e.do(ctx, store); err != nil {
		return fmt.Errorf("overlay of %s: %w", d.Path, err)
	}
	name := plan.OverlayOf(d)
	e.started = append(e.started, started{what: name, there: func(e *Env, name string) bool { return e.mapping(name) != nil }, stop: func(ctx context.Context, e *Env, name string) error {
		return e.do(ctx, machine.Unmap{Name: name})
	}})
	const chunk = 8 // sectors: what is copied for the smallest write
	snapshot := fmt.Sprintf("%s %s N %d", d.Path, store.Dev, chunk)
	if err := e.do(ctx, machine.Mapping{Name: name, UUID: name, Table: []machine.MappingTarget{{Length: d.Size, Type: "snapshot", Params: snapshot}}}); err != nil {
		return fmt.Errorf("overlay of %s: %w", d.Path, err)
	}
	return nil
}

// mapping is the device of a mapping, or nil.
func (e *Env) mapping(name string) *plan.Device {
	for i := range e.Facts.Devices {
		if d := &e.Facts.Devices[i]; d.Mapping == name {
			return d
		}
	}
	return nil
}

// replay has the kernel replay the journals of sources that were not unmounted cleanly, each in the memory below it: a
// read-only mount does it, and the next look shows whether the filesystem is clean now. Its state on the disk is kept as its
// stamp: what the replay writes differs from boot to boot.
func (e *Env) replay(ctx context.Context) error {
	for _, s := range e.Plan.Replayable(e.Facts) {
		d, err := e.Facts.FS(s.Ref.ID())
		if err != nil {
			return err
		}
		if d == nil || d.Filesystem().Dirty == "" || !e.overCover(d.Name) {
			continue // done already, or a mount would write to the disk
		}
		if e.stampOf == nil {
			e.stampOf = map[string]string{}
		}
		e.stampOf[s.Ref.ID()] = d.Filesystem().Stamp
		e.tell("reveal", "%s on %s was not unmounted cleanly (%s); its journal is replayed in memory", s.FS.Mount, d.Path, d.Filesystem().Dirty)
		if err := e.Load(ctx, s.FS.Type); err != nil {
			return err
		}
		dir := path.Join("/mnt/replay", s.Ref.ID())
		if err := e.mount(ctx, machine.Mount{Source: d.Path, Target: dir, Type: s.FS.Type, Flags: machine.ReadOnly}); err != nil {
			return e.unreplayed(s, d, err)
		}
		if err := e.refresh(ctx); err != nil {
			return err
		}
		if err := e.unmount(ctx, dir); err != nil {
			return e.unreplayed(s, d, err)
		}
		bad, _, _ := e.KernelLog.FilesystemErrors(d.Path, "")
		if len(bad) > 0 {
			return e.unreplayed(s, d, fmt.Errorf("the kernel logged %q", bad[0]))
		}
	}
	return nil
}

// unreplayed is the refusal of a source whose journal could not be replayed.
func (e *Env) unreplayed(s *plan.Node, d *plan.Device, err error) error {
	return fmt.Errorf("source filesystem %s: its journal could not be replayed in memory: %w; let the old system mount it, repair it (%s), and shut down cleanly; then schedule again",
		d.Path, err, plan.FSTypeOf(s.FS.Type).RepairOf(s.Was))
}

// overCover reports whether a device is an overlay, or lies on overlays and on nothing else.
func (e *Env) overCover(name string) bool {
	d := e.Facts.Dev(name)
	if d == nil || d.Over != "" {
		return d != nil
	}
	under := 0
	for i := range e.Facts.Devices {
		x := &e.Facts.Devices[i]
		if !slices.Contains(x.Holders, name) {
			continue
		}
		if under++; !e.overCover(x.Name) {
			return false
		}
	}
	return under > 0
}

// A store is how full an overlay's snapshot is, as the kernel says.
type store struct {
	over       *plan.Device // the device that the overlay covers
	used, size int64
	failed     string // why nothing can be read from it any more
}

// stores asks the kernel for the fill of every overlay.
func (e *Env) stores() ([]store, error) {
	var out []store
	for i := range e.Facts.Devices {
		d := &e.Facts.Devices[i]
		over := e.Facts.Dev(d.Over)
		if d.Over == "" || over == nil || e.Status == nil {
			continue
		}
		s, err := e.Status(d.Mapping)
		if err != nil {
			return nil, fmt.Errorf("overlay of %s: %w", over.Path, err)
		}
		x := store{over: over}
		for _, t := range s.Table {
			x.read(t.Params)
		}
		out = append(out, x)
	}
	return out, nil
}

// read reads the status of a snapshot: USED/SIZE METADATA in sectors, or a word for what happened to it (drivers/md/dm-snap.c).
func (s *store) read(status string) {
	const sector = 512
	first, _, _ := strings.Cut(status, " ")
	used, size, ok := strings.Cut(first, "/")
	u, uerr := strconv.ParseInt(used, 10, 64)
	n, nerr := strconv.ParseInt(size, 10, 64)
	if !ok || uerr != nil || nerr != nil {
		s.failed = status
		return
	}
	s.used, s.size = u*sector, n*sector
}

// storesFull is the reason of a failure that comes from an overlay whose store is full: the kernel then gives up the snapshot,
// and reports errors for every read. It is nil while all is well.
func (e *Env) storesFull() error {
	all, err := e.stores()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.failed != "" {
			return fmt.Errorf("overlay of %s: its room in memory is used up (the kernel says %q), so what lies on it cannot be read any more; shut the old system down cleanly, or give the machine more memory, and schedule again", s.over.Path, s.failed)
		}
	}
	return nil
}

// releaseOverlays stops what was started on the sources, the last first, and takes their overlays away: the new system must
// find each disk once.
func (e *Env) releaseOverlays(ctx context.Context) error {
	if all, err := e.stores(); err == nil {
		for _, s := range all {
			e.tell("handover", "overlay of %s: %d KiB of %d KiB were used", s.over.Path, s.used>>10, s.size>>10)
		}
	}
	for i, s := range slices.Backward(e.started) {
		if !s.source {
			continue
		}
		if s.there(e, s.what) {
			if err := s.stop(ctx, e, s.what); err != nil {
				return err
			}
			if err := e.refresh(ctx); err != nil {
				return err
			}
		}
		e.started = slices.Delete(e.started, i, i+1)
	}
	return nil
}

// onSources marks all that do starts as something that stands on the sources, which the new system does not need.
func (e *Env) onSources(do func() error) error {
	was := len(e.started)
	err := do()
	for i := was; i < len(e.started); i++ {
		e.started[i].source = true
	}
	return err
}
