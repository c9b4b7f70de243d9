package md

import (
	"fmt"
	"strconv"
	"strings"
)

// A ConfFile is one of the files that mdadm reads as its configuration: mdadm.conf, and those in mdadm.conf.d whose
// names end in .conf, in the order of their names.
type ConfFile struct {
	Name string // "" where the context already says which file it is
	Conf
}

// A ConfLine is an ARRAY line and the name of its file.
type ConfLine struct {
	File string
	ArrayLine
}

func (l ConfLine) String() string {
	return strings.TrimPrefix(fmt.Sprintf("%s line %d", l.File, l.Line), " ")
}

// WholeConf is a configuration as mdadm sees it: the lines of all its files.
type WholeConf []ConfFile

// Arrays lists the ARRAY lines that mdadm keeps, in its order. It omits a line that cannot identify an array.
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

// Twins returns the first two lines that give one device name to two arrays; ok is false if there are none. With such
// lines `mdadm --assemble --scan` starts nothing at all (conf_verify_devnames in config.c). mdadm compares the names as
// they are spelled; Twins also finds two spellings of one name, because both arrays would claim it.
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

// Devices lists the words of all DEVICE lines that mdadm uses.
func (w WholeConf) Devices() []string {
	var out []string
	for _, f := range w {
		out = append(out, f.Devices()...)
	}
	return out
}

// Covers reports whether the DEVICE lines let mdadm look at a device.
func (w WholeConf) Covers(device string) bool { return covers(w.Devices(), device) }

// deviceName removes what mdadm does not compare (devname_matches in config.c): /dev/md/0, /dev/md0 and md0 are one
// name. It returns "" for <ignore> and for a line without a name.
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

// identifies reports whether a line says how to recognize its array.
func (l ArrayLine) identifies() bool {
	return !l.UUID.IsZero() || l.Name != "" || len(l.Devices) > 0 || l.Minor >= 0 || l.Container != "" && l.Member != ""
}

// Claims reports whether mdadm may match a line to an array with that UUID, name and metadata version, whose members
// may have the given paths: everything that the line says must agree. Incremental assembly compares whole names; --scan
// also matches a name without its host part (conf_match and ident_matches of mdadm 4.2).
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

// minor reads the value of super-minor=; it returns -1 for a value that mdadm does not accept.
func minor(v string) int {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return int(n)
}
