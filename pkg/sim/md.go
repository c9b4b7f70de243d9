package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"migrate-init/pkg/md"
)

// Array is what md has set up under a name.
type Array struct {
	UUID     string
	Members  []*Device // those in sync first
	version  string
	level    int
	slots    int
	runs     bool
	asleep   bool // "read-auto": nothing was written to it yet, and no recovery begins
	frozen   bool // "sync_max" is 0: no resync goes on
	recovery *recovery
	waiting  []*Device // spares that are filled when the recovery has ended
}

// resync is what md does with an array that was not stopped cleanly, as soon as it may write: it writes all of it.
func (m *Machine) resync(a *Array, node *Device) {
	s, _ := SuperOf(a.Members[0])
	if a.asleep || a.frozen || s.Clean() || len(a.Members) < 2 || node.layer != nil {
		return
	}
	all := make([]byte, page)
	for at := int64(0); at < node.Size; at += page {
		_, _ = node.ReadAt(all, at)
		node.Write(all, at)
	}
}

func (m *Machine) runArray(a *Array, node *Device) error {
	if len(a.Members) == 0 {
		return errors.New("ioctl RUN_ARRAY: no members")
	}
	s, _ := SuperOf(a.Members[0])
	mods, err := md.Modules(s.Level)
	if err != nil || slices.ContainsFunc(mods, func(mod string) bool { return !m.loaded[mod] }) {
		return fmt.Errorf("ioctl RUN_ARRAY: personality for level %d is not loaded", s.Level)
	}
	a.level = s.Level
	a.UUID, a.slots, a.runs, a.asleep = s.UUID.String(), s.RaidDisks, true, a.asleep || m.startReadOnly
	if err := a.data(node); err != nil {
		return err
	}
	m.resync(a, node)
	return nil
}

// data makes an array's device show what its members hold.
func (a *Array) data(node *Device) error {
	s, _ := SuperOf(a.Members[0])
	r, size, err := newSpread(s, a.inSync())
	if err != nil {
		return err
	}
	node.Size = size
	if r == nil {
		node.LegOffset, node.Legs = s.DataOffset, a.inSync()
		return nil
	}
	node.layer = r
	return nil
}

// inSync gives the members that hold all data.
func (a *Array) inSync() []*Device {
	if a.recovery == nil {
		return a.Members
	}
	return a.Members[:len(a.Members)-1]
}

// assembleAll starts every array that has an active member, as mdadm's udev rules do on a system that starts arrays read-auto,
// but for those that its mdadm.conf says to ignore.
func (m *Machine) assembleAll(conf []byte) error {
	ignored := map[md.UUID]bool{}
	for _, l := range md.ParseConf(conf).Arrays() {
		if l.Device == md.Ignore {
			ignored[l.UUID] = true
		}
	}
	members := map[md.UUID][]*Device{}
	events := map[md.UUID]uint64{}
	var order []md.UUID
	for _, b := range slices.Clone(m.Devices) {
		s, ok := SuperOf(b)
		if !ok || b.Number == 0 || !s.Role().Active() || ignored[s.UUID] {
			continue
		}
		best, known := events[s.UUID]
		if known && best != s.Events {
			return fmt.Errorf("array %s: members of %d and %d events", s.UUID, best, s.Events)
		}
		if !known {
			order = append(order, s.UUID)
		}
		events[s.UUID] = s.Events
		members[s.UUID] = append(members[s.UUID], b)
	}
	for _, id := range order {
		s, _ := SuperOf(members[id][0])
		minor := uint32(127 - len(m.Arrays))
		node := &Device{Name: fmt.Sprintf("md%d", minor), Major: 9, Minor: minor}
		a := &Array{version: string(s.Version), Members: members[id], asleep: true}
		slices.SortStableFunc(a.Members, func(x, y *Device) int { return cmp.Compare(unfinished(x), unfinished(y)) })
		if last := a.Members[len(a.Members)-1]; unfinished(last) > 0 {
			a.recovery = &recovery{member: last}
		}
		m.Arrays[node.Name], m.Devices = a, append(m.Devices, node)
		if err := m.runArray(a, node); err != nil {
			return err
		}
	}
	return nil
}

// SuperOf gives the md superblock on a device.
func SuperOf(b *Device) (md.Superblock, bool) {
	supers, _ := md.Scan(b, b.Size)
	if len(supers) == 0 {
		return md.Superblock{}, false
	}
	return supers[0], true
}

func (m *Machine) arrayFiles(at string, b *Device, file func(string, string, ...any)) {
	a := m.Arrays[b.Name]
	if !a.runs {
		file(at+"/md/array_state", "clear")
		return
	}
	file(at+"/md/array_state", "%s", map[bool]string{true: "read-auto", false: "clean"}[a.asleep])
	file(at+"/md/level", "raid%d", a.level)
	file(at+"/md/metadata_version", "%s", a.version)
	file(at+"/md/raid_disks", "%d", a.slots)
	file(at+"/md/degraded", "%d", a.Degraded())
	a.recovery.files(at, b.Size, file)
	for i, member := range a.Members {
		state := "in_sync"
		if i >= len(a.inSync()) {
			state = "spare"
		}
		file(at+"/md/dev-"+member.Name+"/state", "%s", state)
		file(at+"/md/dev-"+member.Name+"/slot", "%d", i)
	}
}

// Degraded counts the slots without a member that holds all data.
func (a *Array) Degraded() int { return a.slots - len(a.inSync()) }

// Resync lets an array resync that was kept from it.
func (m *Machine) Resync(a *Array) { a.frozen = false }
