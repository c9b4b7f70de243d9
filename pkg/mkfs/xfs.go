package mkfs

import (
	"slices"
	"strconv"
	"strings"
)

// xfsOption is a feature that mkfs.xfs(8) turns on or off.
type xfsOption struct {
	feature, flag string
	major, minor  int // the first xfsprogs that knows it; an older one refuses the word
}

// xfsOptions: those before 5.10 are known to every xfsprogs that is still in use.
func xfsOptions() []xfsOption {
	return []xfsOption{
		{"crc", "-m", 0, 0}, {"finobt", "-m", 0, 0}, {"rmapbt", "-m", 0, 0}, {"reflink", "-m", 0, 0}, {"bigtime", "-m", 5, 10}, {"inobtcount", "-m", 5, 10},
		{"sparse", "-i", 0, 0}, {"nrext64", "-i", 5, 19}, {"exchange", "-i", 6, 10},
		{"ftype", "-n", 0, 0}, {"parent", "-n", 6, 10},
	}
}

// xfs says of each feature whether it is wanted, since the defaults change from release to release. A feature that s does not
// have, and that the program may not know, is not mentioned.
func xfs(s Spec) []string {
	argv := []string{"mkfs.xfs", "-q", "-f", "-K"}
	list := map[string][]string{"-m": {"uuid=" + s.UUID}}
	if s.InodeSize > 0 {
		list["-i"] = []string{"size=" + strconv.FormatInt(s.InodeSize, 10)}
	}
	if slices.Contains(s.Features, "ci") {
		list["-n"] = []string{"version=ci"}
	}
	for _, o := range xfsOptions() {
		switch has := slices.Contains(s.Features, o.feature); {
		case len(s.Features) == 0:
		case has:
			list[o.flag] = append(list[o.flag], o.feature+"=1")
		case atLeast(s.Version, o.major, o.minor):
			list[o.flag] = append(list[o.flag], o.feature+"=0")
		}
	}
	for _, flag := range []string{"-m", "-i", "-n"} {
		if len(list[flag]) > 0 {
			argv = append(argv, flag, strings.Join(list[flag], ","))
		}
	}
	if s.BlockSize > 0 {
		argv = append(argv, "-b", "size="+strconv.FormatInt(s.BlockSize, 10))
	}
	if s.Label != "" {
		argv = append(argv, "-L", s.Label)
	}
	return append(argv, s.Device)
}

// atLeast compares the first two numbers of a version. One that is not known has only what all have.
func atLeast(version string, major, minor int) bool {
	if major == 0 {
		return true
	}
	var have [2]int
	for i, word := range strings.SplitN(version, ".", 3) {
		if i < len(have) {
			have[i], _ = strconv.Atoi(word)
		}
	}
	return have[0] > major || have[0] == major && have[1] >= minor
}
