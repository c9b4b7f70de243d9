package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Replay is what a mount does that replays the journal of a filesystem.
type Replay struct {
	Writes int64 // bytes, a page each here and there
	Errors bool  // it finds errors, and records that
	Stays  bool  // the filesystem is as dirty as before
}

// Places in ext4's superblock.
const (
	superState    = 1024 + 58
	superIncompat = 1024 + 96
	needsRecovery = 4
)

// Dirty reports whether the ext4 on a device has a journal to replay.
func Dirty(b *Device) bool {
	raw := make([]byte, 4)
	_, err := b.ReadAt(raw, superIncompat)
	return err == nil && binary.LittleEndian.Uint32(raw)&needsRecovery != 0
}

// Soil makes the ext4 on a device one that was in use when the power failed.
func Soil(b *Device) { setDirty(b.Write, b, true) }

func setDirty(write func([]byte, int64), b *Device, on bool) {
	raw := make([]byte, 4)
	_, _ = b.ReadAt(raw, superIncompat)
	bits := binary.LittleEndian.Uint32(raw) &^ needsRecovery
	if on {
		bits |= needsRecovery
	}
	binary.LittleEndian.PutUint32(raw, bits)
	write(raw, superIncompat)
}

// replay brings a filesystem to a clean state, where it is not.
func (m *Machine) replay(b *Device, id string) (err error) {
	if !Dirty(b) {
		return nil
	}
	if b.ReadOnly {
		return errors.New("cannot replay the journal of a read-only device")
	}
	r := m.Replays[id]
	for at := int64(0); at < r.Writes; at += page {
		if err := m.Write(b, bytes.Repeat([]byte{7}, page), b.Size/2+2*at, "a replay"); err != nil {
			return err
		}
	}
	write := func(p []byte, off int64) {
		if werr := m.Write(b, p, off, "a replay"); werr != nil {
			err = werr
		}
	}
	if r.Errors {
		write([]byte{2, 0}, superState)
	}
	if !r.Stays {
		setDirty(write, b, false)
	}
	return err
}

// FillStores is the kernel giving up every snapshot, as it does when a store is full.
func (m *Machine) FillStores() {
	m.version++
	for _, b := range m.Devices {
		t, ok := b.layer.(*mapping)
		if !ok {
			continue
		}
		for _, x := range t.targets {
			if s, ok := x.layer.(*snapshot); ok {
				s.invalid = true
			}
		}
	}
}
