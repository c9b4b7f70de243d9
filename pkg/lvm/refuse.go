package lvm

import (
	"fmt"
	"strings"
)

// refusal says why this program does not read a volume with segments of a type, and what the user can do.
type refusal struct {
	typ         string
	detail, fix string // %s is the volume's full name
}

// refusals lists every type of segment that LVM knows and this program does not read.
func refusals() []refusal {
	const copied = "from a rescue system, copy it to a plain volume: lvcreate -n NAME -L SIZE GROUP; dd if=/dev/%s of=/dev/GROUP/NAME bs=4M conv=fsync"
	return []refusal{
		{"thin", "it is a thin volume: only dm-thin knows which blocks of the pool are its own", copied},
		{"thin-pool", "it is a thin pool: it holds volumes and is not itself one", "lvs -a %s"},
		{"cache", "it is cached: written blocks may be only in the cache", "lvconvert --uncache %s"},
		{"writecache", "it has a write cache: written blocks may be only in the cache", "lvconvert --uncache %s"},
		{"cache-pool", "it is a cache pool: it holds a cache and is not a volume", "lvs -a %s"},
		{"vdo", "it is a VDO volume: its blocks are compressed and shared in the pool", copied},
		{"vdo-pool", "it is a VDO pool: it holds volumes and is not itself one", "lvs -a %s"},
		{"integrity", "it has an integrity layer, whose journal may hold the newest blocks", "lvconvert --raidintegrity n %s"},
		{"snapshot", "it is LVM's record of a snapshot and holds no data", "lvs -a %s"},
		{"error", "a part of it is lost: LVM put an error target there when its PV was removed", "restore it from a backup"},
		{"zero", "a part of it is a zero target, which is on no device", copied},
	}
}

func (w view) refuseType(l *LV, seg Segment) Reading {
	name := w.Name + "/" + l.Name
	switch {
	case seg.Moved:
		return w.refuse(l.Name, "a pvmove is in progress", "pvmove   # continues it; pvmove --abort undoes it")
	case seg.Type == "mirror" || raidLevel(seg.Type) >= 0:
		if len(l.Segments) > 1 {
			return w.refuse(l.Name, "only a part of it is a "+seg.Type, w.activate(l))
		}
		return w.refuse(l.Name, "its "+seg.Type+" is being reshaped", "wait until Cpy%Sync is 100: lvs -a "+w.Name)
	}
	for _, r := range refusals() {
		if r.typ == seg.Type {
			return w.refuse(l.Name, r.detail, fill(r.fix, name))
		}
	}
	return w.refuse(l.Name, fmt.Sprintf("this program does not know segments of type %.60q", seg.Type), fill("lvs -a --segments %s", name))
}

// fill puts the name of a volume into a fix that has a placeholder for it.
func fill(fix, name string) string { return strings.ReplaceAll(fix, "%s", name) }
