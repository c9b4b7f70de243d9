package copy

import "testing"

// TestMemory checks the bounds for small disks and for some terabytes.
func TestMemory(t *testing.T) {
	const mib, tib = int64(1) << 20, int64(1) << 40
	for _, c := range []struct {
		engine             string
		size, used, inodes int64
		least, from, to    int64
	}{
		{Extent, 20 << 30, 5 << 30, 1 << 20, 56 * mib, 150 * mib, 160 * mib},
		{Extent, 8 * tib, 4 * tib, 1 << 29, 56 * mib, 1200 * mib, 1400 * mib},
		{Tree, 20 << 30, 5 << 30, 100000, 56 * mib, 120 * mib, 130 * mib},
		{Tree, 8 * tib, 4 * tib, 5e6, 56 * mib, 280 * mib, 300 * mib},
		{Tree, 8 * tib, 100 << 20, 5e6, 56 * mib, 120 * mib, 130 * mib}, // few files in many inodes
		{"make", 1 << 30, 0, 0, 0, 0, 0},
	} {
		least, most := Memory(c.engine, c.size, c.used, c.inodes)
		if least != c.least || most < c.from || most > c.to {
			t.Errorf("%s of %d bytes: %d to %d MiB", c.engine, c.size, least/mib, most/mib)
		}
	}
}
