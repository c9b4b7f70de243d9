package mkfs

import (
	"slices"
	"strconv"
	"strings"
)

// btrfs makes a filesystem on one device, with two copies of the metadata. Of each feature it says whether it is wanted, since the
// defaults change from release to release.
func btrfs(s Spec) []string {
	argv := []string{"mkfs.btrfs", "-q", "-f", "-K", "-U", s.UUID, "-d", "single", "-m", "dup"}
	mixed := slices.Contains(s.Features, "mixed-bg")
	if mixed {
		argv[len(argv)-1], argv[len(argv)-3] = "single", "single"
	}
	if len(s.Features) > 0 {
		var list []string
		// extref and skinny-metadata are in every filesystem since Linux 3.18, and later programs do not let one choose.
		for _, o := range []struct {
			feature      string
			major, minor int // the first program that knows it
		}{{"mixed-bg", 0, 0}, {"no-holes", 0, 0}, {"block-group-tree", 6, 6}} {
			switch has := slices.Contains(s.Features, o.feature); {
			case has:
				list = append(list, o.feature)
			case atLeast(s.Version, o.major, o.minor):
				list = append(list, "^"+o.feature)
			}
		}
		argv = append(argv, "-O", strings.Join(list, ","))
		if slices.Contains(s.Features, "free-space-tree") {
			argv = append(argv, "-R", "free-space-tree")
		} else if atLeast(s.Version, 5, 15) && !slices.Contains(list, "block-group-tree") {
			argv = append(argv, "-R", "^free-space-tree")
		}
	}
	if s.NodeSize > 0 {
		argv = append(argv, "-n", strconv.FormatInt(s.NodeSize, 10))
	}
	if s.BlockSize > 0 {
		argv = append(argv, "-s", strconv.FormatInt(s.BlockSize, 10))
	}
	if s.Checksum != "" {
		argv = append(argv, "--csum", s.Checksum)
	}
	if s.Label != "" {
		argv = append(argv, "-L", s.Label)
	}
	return append(argv, s.Device)
}
