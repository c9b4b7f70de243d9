package probe

import (
	"slices"
	"testing"
)

func TestXFSFeatures(t *testing.T) {
	for _, c := range []struct {
		x       XFS
		version uint16
		want    []string
	}{
		{XFS{Version: 4}, 0xb4a4, []string{"v4"}},
		{XFS{Version: 4, Features2: 0x200}, 0x34a4, []string{"v4"}}, // no features2
		{XFS{Version: 4, Features2: 0x28a}, 0xb4a4, []string{"v4", "ftype"}},
		{XFS{Version: 4, Realtime: true}, 0xf4a4, []string{"ci", "realtime", "v4"}},
		{XFS{Version: 5, ROCompat: 0xd, Incompat: 0xb}, 0xb4a5, []string{"crc", "finobt", "reflink", "inobtcount", "ftype", "sparse", "bigtime"}},
		{XFS{Version: 5, Compat: 2, ROCompat: 1 << 31, Incompat: 1 << 10, LogIncompat: 3}, 0xb4a5, []string{"crc", "FEATURE_R31", "FEATURE_I10", "FEATURE_C1", "larp", "FEATURE_L1"}},
	} {
		if got := xfsFeatures(&c.x, c.version); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.x, got, c.want)
		}
	}
}
