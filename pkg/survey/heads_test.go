package survey_test

import (
	"testing"

	"migrate-init/pkg/survey"
)

// Heads that move are believed of disks, not of virtio's, and an array has what its members have.
func TestRotational(t *testing.T) {
	m := &box{}
	spins := []string{"queue/rotational", "1\n"}
	m.block("sda", "8192", append(spins, "holders/md0/x", "")...)
	m.block("sdb", "8192", "queue/rotational", "0\n", "holders/md1/x", "")
	m.block("vda", "8192", append(spins, "holders/md1/x", "")...)
	m.block("md0", "8192", append(spins, "md/level", "raid1\n", "holders/dm-0/x", "")...)
	m.block("md1", "8192", append(spins, "md/level", "raid1\n", "holders/dm-1/x", "")...)
	m.block("dm-0", "8192", append(spins, "dm/name", "a\n")...)
	m.block("dm-1", "8192", append(spins, "dm/name", "b\n")...)
	m.block("dm-2", "8192", append(spins, "dm/name", "of nothing that is seen\n")...)
	f := m.look(t, survey.Shallow)
	for name, want := range map[string]bool{"sda": true, "sdb": false, "vda": false, "md0": true, "md1": false, "dm-0": true, "dm-1": false, "dm-2": true} {
		if d := f.Dev(name); d == nil || d.Rotational != want {
			t.Errorf("%s: %+v, want rotational %v", name, d, want)
		}
	}
}
