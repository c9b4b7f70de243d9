package stage

import (
	"context"
	"testing"

	"migrate-init/pkg/sim"
)

// onMD is a Debian with its root on vda and all else on RAID1 of vda and vdc, and an empty vdb.
func onMD(t testing.TB, metadata string) *world {
	m := sim.DebianOnMD(t, metadata, true)
	m.Rules = rules()
	return &world{m}
}

// TestFromMD migrates a system on arrays: both old disks stay as they are, the new system does not start their arrays, and
// finish takes them apart.
func TestFromMD(t *testing.T) {
	for _, metadata := range []string{"0.90", "1.0", "1.1", "1.2"} {
		t.Run(metadata, func(t *testing.T) {
			w := onMD(t, metadata)
			p, text := planned(t, w, nil)
			before := []uint64{w.Disks[0].Whole, w.Disks[2].Whole}
			w.Boot()
			if err := Run(context.Background(), w.env(p, text)); err != nil {
				t.Fatalf("%v\n%v", err, w.Told)
			}
			if w.Entered != TargetDir {
				t.Errorf("entered %q", w.Entered)
			}
			for i, d := range []*sim.Disk{w.Disks[0], w.Disks[2]} {
				if d.Whole != before[i] {
					t.Errorf("source disk %s changed", d.Name)
				}
			}
		})
	}
}
