package md

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Status is a running array as sysfs shows it.
type Status struct {
	Name        string // md0
	State       string // array_state: clear, inactive, readonly, read-auto, clean, active, ...
	Level       string // raid1; "" while inactive
	Version     string // metadata_version: 1.2, 0.90, none, external:...
	UUID        UUID   // newer kernels only; else zero
	RaidDisks   int
	Degraded    int    // slots without a working, complete member
	Size        int64  // bytes of the array
	Component   int64  // bytes used on each member
	SyncAction  string // sync_action; the kernel also names an action that has not begun
	Sync        Progress
	SpeedMin    Speed
	SpeedMax    Speed
	Clean       bool // no resync due
	ResyncStart uint64
	Members     []MemberStatus
}

// MemberStatus is one device of a running array.
type MemberStatus struct {
	Name   string   // kernel name: vda2
	Dev    string   // major:minor, if sysfs shows it
	Slot   int      // -1: none
	States []string // in_sync, faulty, spare, write_mostly, ...
	Size   int64    // bytes
	Errors int64
}

// Progress is the progress of a resync, recovery, check or reshape.
type Progress struct {
	Active     bool
	Delayed    bool   // waits for another array that shares a disk
	Done, Size uint64 // sectors
	Rate       int64  // bytes per second; 0: not known
}

// Speed is a limit of resyncs. It is the array's own, or that of all arrays (/proc/sys/dev/raid).
type Speed struct {
	Rate  int64 // bytes per second; 0: not known
	Local bool
}

// speed reads "1000 (system)" or "5000 (local)", in KiB/s.
func speed(text string) Speed {
	rate, of, _ := strings.Cut(text, " ")
	return Speed{number(rate) << 10, of == "(local)"}
}

// Has reports whether the member is in a state such as "in_sync" or "faulty".
func (m MemberStatus) Has(state string) bool {
	for _, s := range m.States {
		if s == state {
			return true
		}
	}
	return false
}

// Running reports whether the array serves data.
func (s Status) Running() bool {
	switch s.State {
	case "readonly", "read-auto", "clean", "active", "write-pending", "active-idle":
		return true
	}
	return false
}

// ReadSysfs reads the state of an array from a file system rooted at /sys
// (Documentation/admin-guide/md.rst). Attributes that a level or kernel does not
// have stay zero; array_state must exist. Members that vanish while they are read
// are left out. For an array that was stopped and that the kernel is removing,
// ReadSysfs returns an error, at first EBUSY.
func ReadSysfs(sys fs.FS, name string) (Status, error) {
	s := Status{Name: name}
	if strings.ContainsAny(name, "/\x00") || !fs.ValidPath(name) {
		return s, fmt.Errorf("array %q: not a block device's name", name)
	}
	dir := path.Join("block", name, "md")
	r := reader{sys: sys, dir: dir}
	state, err := r.must("array_state")
	if err != nil {
		return s, fmt.Errorf("array %s: %w", name, err)
	}
	s.State, s.Level, s.Version = state, r.text("level"), r.text("metadata_version")
	// During a reshape the kernel shows "new (old)".
	n, _, _ := strings.Cut(r.text("raid_disks"), " ")
	s.RaidDisks = int(number(n))
	s.Degraded = int(number(r.text("degraded")))
	s.Component = number(r.text("component_size")) << 10
	s.SyncAction = r.text("sync_action")
	if u, err := ParseUUID(r.text("uuid")); err == nil {
		s.UUID = u
	}
	switch v := r.text("resync_start"); v {
	case "none":
		s.Clean, s.ResyncStart = true, MaxSector
	case "":
		s.Clean = state == "clean" || state == "readonly"
	default:
		s.ResyncStart, _ = strconv.ParseUint(v, 10, 64)
	}
	s.Sync = progress(s.SyncAction, r.text("sync_completed"), r.text("sync_speed"))
	s.SpeedMin, s.SpeedMax = speed(r.text("sync_speed_min")), speed(r.text("sync_speed_max"))
	s.Size = number(reader{sys: sys, dir: path.Join("block", name)}.text("size")) * Sector
	es, err := fs.ReadDir(sys, dir)
	if err != nil {
		return s, fmt.Errorf("array %s: members: %w", name, err)
	}
	for _, e := range es {
		dev, ok := strings.CutPrefix(e.Name(), "dev-")
		if !ok {
			continue
		}
		m := reader{sys: sys, dir: path.Join(dir, e.Name())}
		st, err := m.must("state")
		if err != nil {
			continue
		}
		ms := MemberStatus{Name: strings.ReplaceAll(dev, "!", "/"), Slot: -1, Dev: m.text("block/dev"),
			Size: number(m.text("size")) << 10, Errors: number(m.text("errors"))}
		if st != "" {
			ms.States = strings.Split(st, ",")
		}
		if slot, err := strconv.Atoi(m.text("slot")); err == nil {
			ms.Slot = slot
		}
		s.Members = append(s.Members, ms)
	}
	sort.Slice(s.Members, func(i, j int) bool {
		a, b := s.Members[i], s.Members[j]
		if (a.Slot < 0) != (b.Slot < 0) {
			return b.Slot < 0
		}
		return a.Slot < b.Slot || a.Slot == b.Slot && a.Name < b.Name
	})
	// A degraded array says "recover" from its start until the kernel finds that there is no device to recover to.
	if s.SyncAction == "recover" && !s.rebuildable() {
		s.Sync = Progress{}
	}
	return s, nil
}

func (s Status) rebuildable() bool {
	for _, m := range s.Members {
		if !m.Has("in_sync") && !m.Has("faulty") && !m.Has("journal") {
			return true
		}
	}
	return false
}

// progress reads "123 / 456", "none" or "delayed", in sectors, and a speed in KiB/s.
func progress(action, completed, speed string) Progress {
	var p Progress
	switch action {
	case "", "idle", "frozen":
		return p
	}
	p.Active = true
	switch completed {
	case "delayed":
		p.Delayed = true
	case "none", "":
	default:
		done, size, ok := strings.Cut(completed, "/")
		d, err1 := strconv.ParseUint(strings.TrimSpace(done), 10, 64)
		n, err2 := strconv.ParseUint(strings.TrimSpace(size), 10, 64)
		if ok && err1 == nil && err2 == nil {
			p.Done, p.Size = d, n
		}
	}
	p.Rate = number(speed) << 10
	return p
}

type reader struct {
	sys fs.FS
	dir string
}

func (r reader) must(file string) (string, error) {
	b, err := fs.ReadFile(r.sys, path.Join(r.dir, file))
	return strings.TrimSpace(string(b)), err
}

func (r reader) text(file string) string {
	s, err := r.must(file)
	if err != nil {
		return ""
	}
	return s
}

// number reads a non-negative count; it returns 0 for anything else.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<50 {
		return 0
	}
	return n
}
