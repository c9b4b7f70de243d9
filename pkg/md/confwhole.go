package md

import (
	"fmt"
	"strconv"
	"strings"
)

// A ConfFile is one of the files that mdadm reads as its configuration: mdadm.conf, and those of mdadm.conf.d whose names
// end with .conf, in the order of their names.
type ConfFile struct {
	Name string // "" for the one that is meant anyway
	Conf
}

// A ConfLine is an ARRAY line with the file that it is in.
type ConfLine struct {
	File string
	ArrayLine
}

func (l ConfLine) String() string {
	return strings.TrimPrefix(fmt.Sprintf("%s line %d", l.File, l.Line), " ")
}

// WholeConf is a configuration as mdadm sees it: the lines of all files.
type WholeConf []ConfFile

// Arrays lists the ARRAY lines that mdadm keeps, in its order. A line by which no array could be known is left out.
func (w WholeConf) Arrays() []ConfLine {
	var out []ConfLine
	for _, f := range w {
		for _, l := range f.Arrays() {
			if l.identifies() {
				out = append(out, ConfLine{f.Name, l})
			}
		}
	}
	return out
}

// Twins are the first two lines that give two arrays one device name; ok is false where none do. For such a file
// `mdadm --assemble --scan` starts nothing at all (conf_verify_devnames in config.c). It compares the names as they are
// spelled; two spellings of one name would still be two arrays that want it.
func (w WholeConf) Twins() (a, b ConfLine, ok bool) {
	seen := map[string]ConfLine{}
	for _, l := range w.Arrays() {
		name := deviceName(l.Device)
		if name == "" {
			continue
		}
		if was, twice := seen[name]; twice {
			return was, l, true
		}
		seen[name] = l
	}
	return a, b, false
}

// Devices lists the words of all DEVICE lines that mdadm heeds.
func (w WholeConf) Devices() []string {
	var out []string
	for _, f := range w {
		out = append(out, f.Devices()...)
	}
	return out
}

// Covers reports whether the DEVICE lines let mdadm look at a device.
func (w WholeConf) Covers(device string) bool { return covers(w.Devices(), device) }

// deviceName takes off what mdadm does not compare (devname_matches in config.c): /dev/md/0, /dev/md0 and md0 are one name.
// "" stands for a line without a name, or one that lets the array be ignored.
func deviceName(device string) string {
	if strings.EqualFold(device, "<ignore>") {
		return ""
	}
	name, ok := strings.CutPrefix(device, "/dev/md/")
	if !ok {
		name = strings.TrimPrefix(device, "/dev/")
	}
	if len(name) > 2 && strings.HasPrefix(name, "md") && name[2] >= '0' && name[2] <= '9' {
		name = name[2:]
	}
	return name
}

// identifies reports whether a line says by what its array is known.
func (l ArrayLine) identifies() bool {
	return !l.UUID.IsZero() || l.Name != "" || len(l.Devices) > 0 || l.Minor >= 0 || l.Container != "" && l.Member != ""
}

// Claims reports whether mdadm may take a line for an array with that UUID and name, one of whose members may have one of
// the paths: everything that the line says has to agree. Incremental assembly compares whole names, --scan also takes
// a short one for that of an array of this host (conf_match, ident_matches); newer versions heed none at all.
func (l ArrayLine) Claims(id UUID, name, metadata string, members []string) bool {
	_, short, _ := strings.Cut(name, ":")
	switch {
	case !l.UUID.IsZero() && l.UUID != id:
		return false
	case l.Name != "" && !strings.EqualFold(l.Name, name) && !strings.EqualFold(l.Name, short):
		return false
	case len(l.Devices) > 0 && len(members) > 0 && !matchesAny(l.Devices, members):
		return false
	case l.Minor >= 0 && metadata != "0.90":
		return false // only that superblock has a minor number
	}
	return !l.UUID.IsZero() || l.Name != "" || len(l.Devices) > 0 || l.Minor >= 0
}

func matchesAny(patterns, paths []string) bool {
	for _, pattern := range patterns {
		for _, p := range paths {
			if fnmatch(pattern, p) {
				return true
			}
		}
	}
	return false
}

// minor reads super-minor=, -1 for what mdadm does not take.
func minor(v string) int {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return int(n)
}
