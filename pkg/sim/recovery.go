package sim

import (
	"fmt"
	"maps"
	"slices"

	"migrate-init/pkg/md"
)

// A recovery copies an array to a member that was added. It takes moments: in the first one nothing is to be seen of it, as
// md's thread sleeps yet; then it copies, a part a moment. Arrays with members on one disk take turns.
type recovery struct {
	member *Device
	passed int // moments
}

// recoveryMoments is how many a recovery takes from the addition to the end.
const recoveryMoments = 4

// begun reports whether md's thread has set to work.
func (r *recovery) begun() bool { return r != nil && r.passed > 0 }

// files are those of sysfs that tell of a recovery, or that there is none.
func (r *recovery) files(at string, size int64, file func(string, string, ...any)) {
	if !r.begun() {
		file(at+"/md/sync_action", "idle")
		file(at+"/md/sync_completed", "none")
		return
	}
	file(at+"/md/sync_action", "recover")
	file(at+"/md/sync_completed", "%d / %d", size/512*int64(r.passed)/recoveryMoments, size/512)
	file(at+"/md/sync_speed", "%d", size/1024/recoveryMoments)
}

// Moment lets time pass: recoveries go on.
func (m *Machine) Moment() {
	if m.Dead != nil {
		return
	}
	m.version++
	busy := map[*Disk]bool{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(m.Arrays))) { // as they are numbered downwards from md127
		a := m.Arrays[name]
		if a.recovery == nil || a.asleep || slices.ContainsFunc(a.Members, func(b *Device) bool { return busy[b.Disk] }) {
			continue
		}
		for _, b := range a.Members {
			busy[b.Disk] = true
		}
		if err := m.recover(a, m.Dev(name)); err != nil {
			m.TB.Errorf("recovery of %s: %v", name, err)
		}
	}
	if m.Watch != nil {
		m.Watch(m.Verbs)
	}
}

// recover does what a recovery does in a moment. The superblocks tell of it from its begin on.
func (m *Machine) recover(a *Array, node *Device) error {
	r := a.recovery
	r.passed++
	switch {
	case r.passed == 1:
		return m.noteMember(a, func(s *md.Superblock) { s.Features |= md.FeatureRecoveryOffset })
	case r.passed < recoveryMoments:
		return nil
	}
	from := a.Members[0]
	first, _ := SuperOf(from)
	to, _ := SuperOf(r.member)
	if s, ok := node.layer.(*spread); ok {
		if err := s.rebuild(m, int(to.Role()), r.member, first.Size); err != nil {
			return err
		}
		from = &Device{Disk: &Disk{}}
	}
	for at, p := range from.Disk.pages {
		if off := at - from.Offset; off >= first.DataOffset && off < first.DataOffset+first.Size {
			if err := m.Write(r.member, p[:], off-first.DataOffset+to.DataOffset, "recovery"); err != nil {
				return err
			}
		}
	}
	if err := m.noteMember(a, func(s *md.Superblock) { s.Features &^= md.FeatureRecoveryOffset }); err != nil {
		return err
	}
	a.recovery = nil
	if err := a.data(node); err != nil {
		return err
	}
	if len(a.waiting) > 0 {
		a.begin(a.waiting[0])
		a.waiting = a.waiting[1:]
	}
	return nil
}

// begin takes a spare into an array, to be filled.
func (a *Array) begin(b *Device) {
	a.Members, a.recovery = append(slices.Clone(a.Members), b), &recovery{member: b}
}

// noteMember writes the superblocks of an array, in which the member of its recovery has a slot; change is what is said on that member.
func (m *Machine) noteMember(a *Array, change func(*md.Superblock)) error {
	first, _ := SuperOf(a.Members[0])
	joined, _ := SuperOf(a.recovery.member)
	change(&joined)
	roles := slices.Clone(first.Roles)
	for len(roles) <= joined.DevNumber {
		roles = append(roles, md.RoleSpare)
	}
	slot := 0
	for slices.Contains(first.Roles, md.Role(slot)) {
		slot++
	}
	if !joined.Role().Active() {
		roles[joined.DevNumber] = md.Role(slot)
	}
	for _, b := range a.Members {
		s, _ := SuperOf(b)
		if b == a.recovery.member {
			s = joined
		}
		s.Roles, s.Events = roles, first.Events+10
		raw, err := s.Marshal()
		if err != nil {
			return err
		}
		if err := m.Write(b, raw, s.SuperOffset, "superblock"); err != nil {
			return err
		}
	}
	return nil
}

// hotAdd takes a spare in, and wakes the array; the recovery comes later.
func (m *Machine) hotAdd(a *Array, b *Device, s md.Superblock) error {
	if s.Role().Active() {
		return fmt.Errorf("ioctl ADD_NEW_DISK: %s is no spare", b.Name)
	}
	if len(a.Members)+len(a.waiting) >= a.slots {
		return fmt.Errorf("ioctl ADD_NEW_DISK: no slot for %s", b.Name)
	}
	a.asleep = false
	if a.recovery != nil {
		a.waiting = append(a.waiting, b)
		return nil
	}
	a.begin(b)
	return nil
}

// unfinished is 1 for a member that a recovery has not filled yet.
func unfinished(b *Device) int {
	if s, ok := SuperOf(b); ok && s.Features.Has(md.FeatureRecoveryOffset) {
		return 1
	}
	return 0
}
