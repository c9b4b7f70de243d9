package survey_test

import (
	"slices"
	"testing"

	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/survey"
)

// TestOverlayIsSeenForWhatItCovers: the filesystem of a covered partition is seen once, on the overlay, and neither the partition
// nor the store is read, where a copy of its superblock lies.
func TestOverlayIsSeenForWhatItCovers(t *testing.T) {
	m := sim.Debian(t)
	m.Boot()
	ctx, known := t.Context(), &survey.Known{}
	f, _, err := m.LookAgain(ctx, survey.Deep, known)
	if err != nil {
		t.Fatal(err)
	}
	below := f.Dev("vda2")
	name := plan.OverlayOf(below)
	m.Cover("/dev/vda2", name, sim.MiB)
	m.Dev("loop3").Write(sim.Ext4Super(sim.OldRoot, "rootfs", below.Size, 1), 1024) // as the first block that is copied lies there

	f, opened, err := m.LookAgain(ctx, survey.Deep, known)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(opened, "/dev/vda2") || slices.Contains(opened, "/dev/loop3") || !slices.Contains(opened, "/dev/dm-0") {
		t.Errorf("read: %v", opened)
	}
	top, below := f.Dev("dm-0"), f.Dev("vda2")
	if top == nil || top.Over != "vda2" || top.Mapping != name || len(below.Contents) != 0 || below.GUID == "" || top.Rotational != below.Rotational {
		t.Fatalf("overlay %+v\nover %+v", top, below)
	}
	if d, err := f.FS(sim.OldRoot); err != nil || d != top {
		t.Errorf("the filesystem is on %v, %v", d, err)
	}
	if f.Overlay("vda2") != top || f.Overlay("vda3") != nil {
		t.Error("the overlay is not found by what it covers")
	}

	// A mapping that only says that it is one covers nothing.
	m.Uncover(name, plan.OverlayPrefix+"254:3", "/dev/vdb")
	if f, _, err = m.LookAgain(ctx, survey.Deep, known); err != nil {
		t.Fatal(err)
	}
	if d, err := f.FS(sim.OldRoot); err != nil || d == nil || d.Name != "vda2" || f.Dev("dm-0").Over != "" {
		t.Errorf("after the overlay: the filesystem is on %v, %v", d, err)
	}
}
