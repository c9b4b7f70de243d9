package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"migrate-init/pkg/extent"
)

// A copy by blocks that is under way keeps its state in the target's first 4096 bytes, which the engine leaves alone
// until the copy has been verified: two slots are written in turn, so that a torn one leaves the one before. The write
// that makes the copy a filesystem replaces them. No probe takes a slot for anything: the places of superblocks and
// tables between and behind them are zero.
const (
	slotMagic  = "migrate-init copy by blocks\n"
	slotSize   = 1024
	slotSecond = 2048
	slotsEnd   = 4096
	slotHead   = len(slotMagic) + 8
	slotBad    = 8 // ranges that could not be read: 62 bytes each at most
)

// slot is one saved state. Checkpoint.Windows 0 is a copy that begins anew.
type slot struct {
	N          uint64            `json:"n"`
	Source     string            `json:"source"` // the device, for people: Checkpoint.Identity tells which state of which filesystem
	UUID       string            `json:"uuid"`   // of the source
	Checkpoint extent.Checkpoint `json:"checkpoint"`
}

func (s slot) encode() ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	b := make([]byte, slotSize)
	if len(payload) > slotSize-slotHead {
		return nil, fmt.Errorf("checkpoint: %d bytes, at most %d fit", len(payload), slotSize-slotHead)
	}
	copy(b, slotMagic)
	binary.LittleEndian.PutUint32(b[len(slotMagic):], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[len(slotMagic)+4:], crc32.ChecksumIEEE(payload))
	copy(b[slotHead:], payload)
	return b, nil
}

func decodeSlot(b []byte) (s slot, ok bool) {
	n := binary.LittleEndian.Uint32(b[len(slotMagic):])
	if !bytes.HasPrefix(b, []byte(slotMagic)) || n > uint32(slotSize-slotHead) {
		return s, false
	}
	payload := b[slotHead:][:n]
	ok = crc32.ChecksumIEEE(payload) == binary.LittleEndian.Uint32(b[len(slotMagic)+4:]) && json.Unmarshal(payload, &s) == nil
	return s, ok && s.Checkpoint.Windows >= 0 && s.Checkpoint.Bytes >= 0
}

// lastSlot reads the state of a copy that was cut short; nil when there is none.
func lastSlot(r io.ReaderAt) (*slot, error) {
	b := make([]byte, slotsEnd)
	if n, err := r.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var last *slot
	for _, at := range []int{0, slotSecond} {
		if s, ok := decodeSlot(b[at:][:slotSize]); ok && (last == nil || s.N > last.N) {
			last = &s
		}
	}
	return last, nil
}

// slots writes states to a target.
type slots struct {
	f    *os.File
	last slot
}

// openSlots is called on a target that is ours: empty, wiped, or begun before.
func openSlots(dev string, last slot) (*slots, error) {
	f, err := os.OpenFile(dev, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &slots{f, last}, nil
}

// save makes a checkpoint durable. Sums are left out, as what lacks them is only read again. One with more unreadable
// ranges than fit is not kept: what comes after the last one is copied again, and listed again.
func (s *slots) save(cp extent.Checkpoint) error {
	if len(cp.Bad) > slotBad {
		return nil
	}
	next := s.last
	next.N++
	next.Checkpoint = extent.Checkpoint{Identity: cp.Identity, Windows: cp.Windows, Bytes: cp.Bytes, First: cp.Windows, Bad: cp.Bad}
	b, err := next.encode()
	if err != nil {
		return err
	}
	if _, err := s.f.WriteAt(b, int64(next.N%2)*slotSecond); err != nil {
		return err
	}
	s.last = next
	return s.f.Sync()
}

// anew says that nothing on the target counts, in both slots: the writes that give an xfs its identity leave the older
// one whole.
func (s *slots) anew(identity string) error {
	cp := extent.Checkpoint{Identity: identity}
	return errors.Join(s.save(cp), s.save(cp))
}

// checkpoint is a copy job's Checkpoint.
func (s *slots) checkpoint(data any) error {
	cp, ok := data.(extent.Checkpoint)
	if !ok {
		return fmt.Errorf("checkpoint: of %T", data)
	}
	return s.save(cp)
}

// resume is a copy job's Resume.
func (s *slots) resume() (json.RawMessage, error) {
	if s.last.Checkpoint.Windows == 0 {
		return nil, nil
	}
	return json.Marshal(s.last.Checkpoint)
}

func (s *slots) close() { _ = s.f.Close() } // all of it was synced
