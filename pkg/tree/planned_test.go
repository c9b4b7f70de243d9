package tree

import "testing"

// TestPlannedCaps: what is said of a planned filesystem is no more than what a new one of that kind is found to store.
func TestPlannedCaps(t *testing.T) {
	for _, c := range []struct {
		fs       string
		features []string
		opts     []string
	}{
		{"xfs", []string{"crc", "reflink", "bigtime"}, []string{"-m", "reflink=1,bigtime=1"}},
		{"xfs", []string{"crc"}, []string{"-m", "reflink=0,bigtime=0"}},
		{"btrfs", []string{"no-holes"}, nil},
		{"ext4", []string{"extent", "dir_nlink"}, []string{"-O", "^ea_inode,^casefold", "-b", "4096"}},
	} {
		t.Run(c.fs, func(t *testing.T) {
			d := newDisk(t, c.fs, 320<<20, c.opts...)
			got, real := PlannedCaps(c.fs, c.features, 0, 4096, 0), probe(t, d)
			if got.TimeMin < real.TimeMin || got.TimeMax > real.TimeMax || got.Nanoseconds && !real.Nanoseconds || got.Links > real.Links || got.DevMajor > real.DevMajor || got.DevMinor > real.DevMinor || got.XattrValue > real.XattrValue {
				t.Errorf("planned %+v\nreal    %+v", got, real)
			}
			if got.Reflink != real.Reflink || got.Project && !real.Project || c.fs == "xfs" && got.Flags&flCopied&^real.Flags != 0 {
				t.Errorf("planned %+v\nreal    %+v", got, real)
			}
			if c.fs != "ext4" && (got.TimeMax != real.TimeMax || got.TimeMin != real.TimeMin) {
				t.Errorf("planned times %d to %d, real %d to %d", got.TimeMin, got.TimeMax, real.TimeMin, real.TimeMax)
			}
		})
	}
}
