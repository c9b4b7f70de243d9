package plan

import (
	"strconv"
	"strings"
)

// The first release that records an array's logical block size in its superblock when it starts the array. Older
// releases refuse such a member (byte 224 of a 1.x superblock must be zero there; super_1_validate in drivers/md/md.c).
const blockSizeMajor, blockSizeMinor = 6, 19

// checkArrayKernels warns of installed kernels that could not start the arrays once the planned kernel has.
func checkArrayKernels(p *Plan, f *Facts, a *answers) {
	if len(p.Target.Arrays()) == 0 || !atLeast(p.Boot.Release, blockSizeMajor, blockSizeMinor) {
		return
	}
	for _, k := range f.Boot.Kernels {
		if k.Path != p.Boot.Kernel && !atLeast(k.Release, blockSizeMajor, blockSizeMinor) {
			a.warn("kernel "+k.Path, "boot only kernels from 6.19 on, and remove this one once the migrated system runs",
				"release %s cannot start an array that Linux 6.19 or newer has started: the superblock then records logical_block_size", k.Release)
		}
	}
}

// atLeast compares the first two numbers of a kernel release ("6.1.0-18-amd64"). A release that has none is not.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	x, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	y, err := strconv.Atoi(second)
	if err != nil {
		y = 0 // "6-rc1"
	}
	return x > major || x == major && y >= minor
}
