package copy

import "testing"

// TestPlannedCaps checks that a planned filesystem has only the capabilities of its planned features.
func TestPlannedCaps(t *testing.T) {
	const casefold = 0x40000000
	bare, all := Planned{Type: "ext4", InodeSize: 128}.caps(), Planned{Type: "ext4", InodeSize: 256, Features: []string{"casefold", "verity", "project"}}.caps()
	if bare.Flags&casefold != 0 || bare.Verity || bare.Project || bare.Nanoseconds || bare.TimeMax != 1<<31-1 {
		t.Errorf("without features: %+v", bare)
	}
	if all.Flags&casefold == 0 || !all.Verity || !all.Project || !all.Nanoseconds || all.TimeMax != 15032385535 {
		t.Errorf("with features: %+v", all)
	}
}
