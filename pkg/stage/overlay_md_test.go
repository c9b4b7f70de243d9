package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
)

// brokenMirror is a machine of two disks with an array that was not stopped cleanly, and on it a filesystem that was not either.
func brokenMirror(t testing.TB) (*world, *plan.Plan) {
	t.Helper()
	const size = 64 * sim.MiB
	m := &sim.Machine{TB: t, Trees: map[string]fstest.MapFS{sim.OldRoot: sim.Files(map[string]string{"file": "kept"})}, Disks: []*sim.Disk{sim.NewDisk("vda", size), sim.NewDisk("vdb", size)}}
	id := func(n int) md.UUID {
		u, err := md.ParseUUID(fmt.Sprintf("deadbeef:00000000:00000000:0000000%d", n))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	images, err := md.New(md.Spec{Version: md.V12, UUID: id(0), Name: "server:root", Level: 1, RaidDisks: 2, CTime: time.Unix(1700000000, 0),
		Members: []md.MemberSpec{{Size: size, DeviceUUID: id(1)}, {Size: size, DeviceUUID: id(2)}}})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{}
	for i, image := range images {
		d := m.Disks[i]
		d.Source = true
		for _, w := range image.Writes {
			d.Write(w.Data, w.Offset)
		}
		member := &sim.Device{Size: image.Super.Size, Disk: d, Offset: image.Super.DataOffset}
		member.Write(sim.Ext4Super(sim.OldRoot, "root", image.Super.Size, 1), 1024)
		sim.Soil(member)
		ref := plan.Ref(fmt.Sprintf("disk:old%d", i+1))
		p.Source = append(p.Source, plan.Node{Ref: ref, Size: size, Was: "/dev/" + d.Name, Layer: plan.Layer{Disk: &plan.Disk{Serial: d.Serial, Sector: 512}}})
		p.Overlays = append(p.Overlays, plan.Overlay{On: ref, Size: 16 * sim.MiB})
	}
	p.Source = append(p.Source,
		plan.Node{Ref: plan.Ref("md:" + id(0).String()), On: []plan.Ref{"disk:old1", "disk:old2"}, Layer: plan.Layer{MD: &plan.MD{Name: "server:root", Node: "md0", Level: 1, Metadata: "1.2"}}},
		plan.Node{Ref: plan.Ref("fs:" + sim.OldRoot), On: []plan.Ref{plan.Ref("md:" + id(0).String())}, Layer: plan.Layer{FS: &plan.FS{Type: "ext4", Mount: "/"}}})
	m.Boot()
	return &world{m}, p
}

// readsMirror reveals the source, mounts it as a copy does, and takes everything away again.
func readsMirror(ctx context.Context, e *Env) error {
	if err := errors.Join(e.refresh(ctx), e.reveals(ctx)); err != nil {
		return err
	}
	s := e.Plan.Source.MountedAt("/")
	if _, err := e.mountSource(ctx, s); err != nil {
		return err
	}
	return errors.Join(e.refresh(ctx), e.unmount(ctx, sourceDir(s.Ref.ID())), e.releaseOverlays(ctx))
}

func (w *world) nothingRuns(t *testing.T) {
	t.Helper()
	w.nothingLeft(t)
	if len(w.Arrays) > 0 || len(w.Mounts) > 1 {
		t.Errorf("left: arrays %v, mounts %v", w.Arrays, w.Mounts)
	}
}

// TestDirtyArray: both members are covered before the array is started, it does not resync, and the journal on it is replayed.
func TestDirtyArray(t *testing.T) {
	w, p := brokenMirror(t)
	before := []uint64{w.Disks[0].Whole, w.Disks[1].Whole}
	e := w.env(p, nil)
	if err := readsMirror(t.Context(), e); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Log, "\n"))
	}
	w.nothingRuns(t)
	log := w.Log
	golden(t, "overlay_array", &txtar.Archive{Comment: []byte("What is done with an array and a filesystem that were in use when the power failed.\n"),
		Files: []txtar.File{{Name: "effects", Data: []byte(strings.Join(log, "\n") + "\n")}}})
	for _, how := range []string{"error", "late"} {
		for at := range log {
			t.Run(fmt.Sprint(how, at+1), func(t *testing.T) {
				w, p := brokenMirror(t)
				w.Fault = sim.Fault{At: at + 1, How: how}
				e := w.env(p, nil)
				if err := readsMirror(t.Context(), e); err == nil {
					t.Fatalf("%s failed: nothing was said", log[at])
				}
				e.Abandon(t.Context())
				w.nothingRuns(t)
				for i, d := range w.Disks {
					if d.Whole != before[i] {
						t.Errorf("%s failed: disk %s changed", log[at], d.Name)
					}
				}
			})
		}
	}
}

// TestResyncFillsTheStore is what happens without the setting that keeps an array from resyncing: the stores fill, and that is
// what is said.
func TestResyncFillsTheStore(t *testing.T) {
	w, p := brokenMirror(t)
	e := w.env(p, nil)
	ctx := t.Context()
	if err := errors.Join(e.refresh(ctx), e.lockSources(ctx), e.refresh(ctx), e.cover(ctx), e.startIdle(ctx, p.Source)); err != nil {
		t.Fatal(err)
	}
	w.Resync(w.Arrays["md0"])
	err := e.replay(ctx)
	if full := e.storesFull(); full == nil || !strings.Contains(full.Error(), "overlay of /dev/vda") {
		t.Errorf("got %v, and of the replay %v", full, err)
	}
	e.Abandon(ctx)
	w.nothingRuns(t)
}
