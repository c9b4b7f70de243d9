package qemutests

import (
	"testing"

	"migrate-init/qemu-tests/lab"
)

// TestRaid1 is the main job: one disk becomes a RAID1. The scenarios share what they start from (stock), and run two at a
// time, which is what the lab lets.
func TestRaid1(t *testing.T) {
	s := &stock{t: t}
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"HappyPath", func(t *testing.T) { happyPath(t, lab.Debian(), "extent") }},
		{"HappyPathByFiles", func(t *testing.T) {
			if !full() {
				t.Skip("SKIPPED: HappyPath by the other engine is in make qemu-tests only; PowerCut copies by files, too")
			}
			happyPath(t, lab.Debian(), "tree")
		}},
		{"ZeroLiveWrites", func(t *testing.T) { zeroLiveWrites(t, s) }},
		{"PowerCut", powerCut},
		{"FailsToOld", func(t *testing.T) { failsToOld(t, s) }},
		{"Rollback", func(t *testing.T) { rollBack(t, s) }},
		{"NewDiskFirst", func(t *testing.T) { newDiskFirst(t, s) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
