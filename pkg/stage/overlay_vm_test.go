package stage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/survey"
)

// Inside the lab's guest (TestOverlay of package qemutests starts these tests there) are whole disks whose power failed while
// their filesystems were written to: by serial number, what is on each.
func guestDisks() map[string]plan.FS {
	return map[string]plan.FS{
		"aaaaaaaa-0000-4000-8000-00000000000e": {Type: "ext4", Mount: "/ext"},
		"aaaaaaaa-0000-4000-8000-00000000000f": {Type: "xfs", Mount: "/xfs"},
		"aaaaaaaa-0000-4000-8000-0000000000bf": {Type: "btrfs", Mount: "/btrfs"},
		"aaaaaaaa-0000-4000-8000-0000000000dd": {Type: "ext4", Mount: "/md"},
	}
}

// inGuest skips outside of the guest, and inside gives what the stages get there.
func inGuest(t *testing.T) *Env {
	t.Helper()
	if os.Getenv("MIGRATE_INIT_OVERLAYGUEST") == "" {
		t.Skip("SKIPPED: runs inside the lab's guest; TestOverlay of package qemutests starts it there")
	}
	world := survey.World{Root: os.DirFS("/"), Open: func(name string) (survey.Device, error) { return machine.OpenDevice(name) }}
	return &Env{Plan: &plan.Plan{}, Machine: &machine.Real{}, Open: world.Open, Root: world.Root, Status: machine.StatusOfMapping,
		Inside: func(dir string) (fs.FS, error) { return os.DirFS(dir), nil },
		Look:   func(ctx context.Context, d survey.Depth) (*plan.Facts, error) { return survey.Look(ctx, world, d) },
		Load:   func(context.Context, ...string) error { return nil }, // the guest has loaded them
		Tell:   func(e Event) { t.Logf("%s: %s", e.Stage, e.Text) },
		Wait: func(ctx context.Context, what string, cond func() (bool, error)) error {
			return machine.WaitUntil(ctx, 20*time.Second, nil, cond)
		}}
}

// sources makes the graph of the guest's disks the source of the plan: filesystems on whole disks, and one on an array.
func (e *Env) sources(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := e.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	var above plan.Graph
	for _, n := range e.Facts.Graph() {
		switch {
		case n.Disk != nil:
			e.Plan.Source = append(e.Plan.Source, n)
		case n.MD != nil:
			n.MD.Node = "md0"
			above = append(above, n)
			for _, r := range n.On {
				e.Plan.Overlays = append(e.Plan.Overlays, plan.Overlay{On: r, Size: 32 << 20})
			}
			above = append(above, plan.Node{Ref: "fs:aaaaaaaa-0000-4000-8000-0000000000dd", On: []plan.Ref{n.Ref}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/md"}}})
		case n.FS != nil:
			if known, ok := guestDisks()[n.Ref.ID()]; !ok || known.Type != n.FS.Type {
				t.Errorf("found %s %s", n.FS.Type, n.Ref)
			}
			n.FS.Mount = guestDisks()[n.Ref.ID()].Mount
			above = append(above, n)
		}
	}
	e.Plan.Source = append(e.Plan.Source, above...)
	if got := len(e.Plan.Source.Filesystems()); got != len(guestDisks()) || len(e.Plan.Overlays) != 2 {
		t.Fatalf("%d filesystems and %d members of an array were found:\n%+v", got, len(e.Plan.Overlays), e.Facts.Devices)
	}
}

// reveals does what the stage does with the sources.
func (e *Env) reveals(ctx context.Context) error {
	if err := errors.Join(e.lockSources(ctx), e.refresh(ctx)); err != nil {
		return err
	}
	if err := e.onSources(func() error { return e.cover(ctx) }); err != nil {
		return err
	}
	if err := e.startIdle(ctx, e.Plan.Source); err != nil {
		return err
	}
	return e.onSources(func() error { return e.replay(ctx) })
}

// gone fails when the kernel still has something that stands on the sources.
func gone(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"/sys/block/dm-*", "/sys/block/md*", "/sys/block/loop*/loop/backing_file", "/mnt/overlay/*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestVMDirtySources: the kernel replays every journal in memory, a dirty array does not resync there, and what was synced
// before the power failed is seen. That no byte of a disk changed is seen outside.
func TestVMDirtySources(t *testing.T) {
	e := inGuest(t)
	ctx := t.Context()
	e.sources(t)
	for round := range 2 {
		if err := e.reveals(ctx); err != nil {
			t.Fatal(err)
		}
		for _, s := range e.Plan.Source.Filesystems() {
			d, err := e.Facts.FS(s.Ref.ID())
			if err != nil || d == nil {
				t.Fatalf("%s: %v, %v", s.FS.Mount, d, err)
			}
			if c := d.Filesystem(); c.Dirty != "" || c.Damage != "" {
				t.Errorf("%s after the replay: %q, %q", s.FS.Mount, c.Dirty, c.Damage)
			}
			if e.stampOf[s.Ref.ID()] == "" {
				t.Errorf("%s: nothing was replayed", s.FS.Mount)
			}
			if round > 0 {
				continue
			}
			if _, err := e.mountSource(ctx, s); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(sourceDir(s.Ref.ID()), "synced"))
			if err != nil || string(got) != "synced before the power failed\n" {
				t.Errorf("%s: %q, %v", s.FS.Mount, got, err)
			}
			if err := errors.Join(e.refresh(ctx), e.unmount(ctx, sourceDir(s.Ref.ID()))); err != nil {
				t.Fatal(err)
			}
		}
		if a := e.Facts.Arrays; len(a) != 1 || a[0].Node == "" {
			t.Errorf("arrays: %+v", a)
		} else if action, err := os.ReadFile("/sys/block/" + a[0].Node + "/md/sync_completed"); err == nil {
			t.Logf("resync of the array: %s", strings.TrimSpace(string(action)))
		}
		all, err := e.stores()
		if err != nil || len(all) != 5 {
			t.Errorf("stores: %+v, %v", all, err)
		}
		for _, s := range all {
			if s.failed != "" || s.used == 0 || s.used > 8<<20 {
				t.Errorf("store of %s: %d bytes used of %d %s", s.over.Path, s.used, s.size, s.failed)
			}
		}
		if err := errors.Join(e.storesFull(), e.releaseOverlays(ctx)); err != nil {
			t.Fatal(err)
		}
		gone(t)
		if len(e.started) > 0 {
			t.Errorf("still noted as started: %+v", e.started)
		}
	}
}

// TestVMStoreFills: a write that does not fit into the store makes the snapshot invalid, which is told; then it goes away like
// any other.
func TestVMStoreFills(t *testing.T) {
	e := inGuest(t)
	ctx := t.Context()
	e.sources(t)
	e.Plan.Overlays[0].Size = 4 << 20
	if err := errors.Join(e.lockSources(ctx), e.refresh(ctx), e.onSources(func() error { return e.cover(ctx) })); err != nil {
		t.Fatal(err)
	}
	d, err := e.Facts.Volume(e.Plan, e.Plan.Overlays[0].On)
	if err != nil || d.Over == "" {
		t.Fatalf("%+v, %v", d, err)
	}
	err = e.do(ctx, machine.WriteDevice{Dev: d.Path, Why: "more than fits", Chunks: []machine.Chunk{{Offset: 1 << 20, Zero: 8 << 20}}})
	t.Logf("the write: %v", err)
	full := e.storesFull()
	if full == nil || !strings.Contains(full.Error(), "is used up") {
		t.Errorf("got %v", full)
	}
	t.Logf("told: %v", full)
	if _, err := e.readAt(d.Path, 0, 4096); err == nil {
		t.Error("it can still be read")
	}
	e.Abandon(ctx)
	gone(t)
}
