package md

import (
	"fmt"
	"path"
)

// SysfsWrite is a value for an attribute; Path is relative to /sys.
type SysfsWrite struct{ Path, Value string }

func attr(name, file string) string { return path.Join("block", name, "md", file) }

// CreateNode makes the kernel create the array /dev/<name>, name being md and a
// number or md_ and a word (the latter needs a kernel of 4.12 or later).
// md_mod must be loaded. An error EEXIST means that the node is there already.
func CreateNode(name string) SysfsWrite {
	return SysfsWrite{"module/md_mod/parameters/new_array", name}
}

// StartReadOnly sets whether arrays start as read-auto: until the first write to
// the array no superblock and no data are written to any member, and no resync
// begins. One write remains, seen with 6.1 in every read-only mode, that of
// read-only members included: at each start the kernel writes an internal
// bitmap's first block again, with the superblock's event count put into it. The
// bytes stay the same where the counts already agree, as they do after a stop
// and after a power cut.
func StartReadOnly(on bool) SysfsWrite { return flag("start_ro", on) }

// StartDirtyDegraded sets whether RAID4/5/6 may start degraded with a resync due.
func StartDirtyDegraded(on bool) SysfsWrite { return flag("start_dirty_degraded", on) }

func flag(name string, on bool) SysfsWrite {
	v := "0"
	if on {
		v = "1"
	}
	return SysfsWrite{"module/md_mod/parameters/" + name, v}
}

// AssembleSysfs is AssembleIoctls without ioctls. With readOnly the array starts
// as "readonly", which no write can end, rather than "active", which start_ro
// turns into "read-auto". About bitmaps see StartReadOnly.
func AssembleSysfs(name string, v Version, members []Dev, readOnly bool) ([]SysfsWrite, error) {
	if _, _, err := v.numbers(); err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("array %s: no members to assemble", name)
	}
	out := []SysfsWrite{{attr(name, "metadata_version"), string(v)}}
	for _, m := range members {
		out = append(out, SysfsWrite{attr(name, "new_dev"), fmt.Sprintf("%d:%d", m.Major, m.Minor)})
	}
	state := "active"
	if readOnly {
		state = "readonly"
	}
	return append(out, SysfsWrite{attr(name, "array_state"), state}), nil
}

// StopSysfs stops an array and forgets it.
func StopSysfs(name string) SysfsWrite { return SysfsWrite{attr(name, "array_state"), "clear"} }

// Modules lists the kernel modules of a level, in loading order. md_mod comes
// first by name, since the kernel cannot load a personality by itself where
// there is no /sbin/modprobe.
func Modules(level int) ([]string, error) {
	p, ok := map[int]string{LevelLinear: "linear", 0: "raid0", 1: "raid1", 4: "raid456", 5: "raid456", 6: "raid456", 10: "raid10"}[level]
	if !ok {
		return nil, fmt.Errorf("%s: no known personality module", levelName(level))
	}
	return []string{"md_mod", p}, nil
}
