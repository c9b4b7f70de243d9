package md

import (
	"fmt"
	"path"
)

// SysfsWrite is a value to write to an attribute; Path is relative to /sys.
type SysfsWrite struct{ Path, Value string }

func attr(name, file string) string { return path.Join("block", name, "md", file) }

// CreateNode makes the kernel create the array /dev/<name>. The name is md and a
// number, or md_ and a word (Linux 4.12 or later). md_mod must be loaded. The write
// fails with EEXIST if the array already exists.
func CreateNode(name string) SysfsWrite {
	return SysfsWrite{"module/md_mod/parameters/new_array", name}
}

// StartReadOnly sets whether arrays start as read-auto: until the first write to
// the array, the kernel writes neither superblocks nor data to any member, and
// begins no resync. There is one exception, seen with Linux 6.1 in every read-only
// mode, even with read-only members: at each start the kernel rewrites the first
// block of an internal bitmap, with the superblock's event count. The bytes do not
// change if the counts already agree, as they do after a stop and after a power cut.
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

// SyncSpeed sets the limits of an array's resync, in bytes per second: the kernel goes as fast as max, and not below min
// where other programs use the disks. Zero gives the limit of all arrays back.
func SyncSpeed(name string, least, most int64) []SysfsWrite {
	text := func(n int64) string {
		if n <= 0 {
			return "system"
		}
		return fmt.Sprint(max(1, min(n>>10, 1<<30)))
	}
	return []SysfsWrite{{attr(name, "sync_speed_max"), text(most)}, {attr(name, "sync_speed_min"), text(least)}}
}

// AssembleSysfs does what AssembleIoctls does, through sysfs. With readOnly the
// array starts as "readonly", which no write can end, instead of "active", which
// start_ro turns into "read-auto". For bitmaps see StartReadOnly.
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

// StopSysfs stops an array and removes it from the kernel.
func StopSysfs(name string) SysfsWrite { return SysfsWrite{attr(name, "array_state"), "clear"} }

// Modules lists the kernel modules of a level, in loading order. The personality
// is listed by name, because the kernel cannot load it by itself if there is no
// /sbin/modprobe.
func Modules(level int) ([]string, error) {
	p, ok := map[int]string{LevelLinear: "linear", 0: "raid0", 1: "raid1", 4: "raid456", 5: "raid456", 6: "raid456", 10: "raid10"}[level]
	if !ok {
		return nil, fmt.Errorf("%s: no known personality module", levelName(level))
	}
	return []string{"md_mod", p}, nil
}
