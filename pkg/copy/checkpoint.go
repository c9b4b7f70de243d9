package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const checkpointMark = "MIJC"

// Checkpoint is how far one copy is on its target's medium.
type Checkpoint struct {
	N      uint64          `json:"n"`                // of two, the one with the larger number counts
	Key    string          `json:"key"`              // which copy it is of, in the caller's terms
	Stamp  string          `json:"stamp"`            // the state of the source: a checkpoint of another state does not count
	Source string          `json:"source,omitempty"` // where the source was, for a person
	Data   json.RawMessage `json:"data"`             // the engine's own; null: nothing on the target counts
}

// Slots are the two places of a medium that checkpoints are written to in turn, so that a torn write leaves the one before.
type Slots struct {
	At   [2]int64
	Size int
	Salt string // see EncodeSlot: slots of another plan do not count
}

// Encode returns a checkpoint's slot and where it belongs.
func (s Slots) Encode(c Checkpoint) (offset int64, slot []byte, err error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return 0, nil, err
	}
	slot, err = EncodeSlot(checkpointMark, s.Salt, payload, s.Size)
	return s.At[c.N%2], slot, err
}

// Read returns the newest whole checkpoint, nil when there is none. With an error there may be a newer one that could not
// be read; a medium that is too short for a slot is no error.
func (s Slots) Read(r io.ReaderAt) (best *Checkpoint, err error) {
	for _, at := range s.At {
		b := make([]byte, s.Size)
		if _, e := r.ReadAt(b, at); e != nil {
			if !errors.Is(e, io.EOF) {
				err = errors.Join(err, fmt.Errorf("checkpoint: %w", e))
			}
			continue
		}
		var c Checkpoint
		payload, ok := DecodeSlot(checkpointMark, s.Salt, b)
		if ok && json.Unmarshal(payload, &c) == nil && (best == nil || c.N > best.N) {
			best = &c
		}
	}
	return best, err
}

// Checkpoints keeps the checkpoints of copies that are made one after the other.
type Checkpoints struct {
	Slots Slots
	// Write writes a slot; when it returns, the slot is on the medium.
	Write func(ctx context.Context, c Checkpoint, offset int64, slot []byte) error
	Last  *Checkpoint // nil: none was read or written
}

// Attach makes a job write its checkpoints here, and go on from the last one when that is of the same copy and of the same
// state of the source.
func (k *Checkpoints) Attach(ctx context.Context, j *Job, c Checkpoint) {
	if l := k.Last; l != nil && l.Key == c.Key && l.Stamp == c.Stamp && l.counts() {
		j.Resume = l.Data
	}
	j.Checkpoint = func(data any) (err error) {
		if c.Data, err = json.Marshal(data); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		err = k.Save(ctx, c)
		// One that lists more unreadable ranges than fit its slot is left out: what comes after the last one that was kept
		// is copied again, and listed again.
		if errors.Is(err, errSlotTooSmall) {
			return nil
		}
		return err
	}
}

// Save writes a checkpoint, whose number it sets. The older of the two is overwritten.
func (k *Checkpoints) Save(ctx context.Context, c Checkpoint) error {
	c.N = 1
	if k.Last != nil {
		c.N = k.Last.N + 1
	}
	at, slot, err := k.Slots.Encode(c)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := k.Write(ctx, c, at, slot); err != nil {
		return err
	}
	k.Last = &c
	return nil
}

// Void says, in both slots, that nothing on the target counts. Last is not nil afterwards: a copy was begun there.
func (k *Checkpoints) Void(ctx context.Context, c Checkpoint) error {
	c.Data = json.RawMessage("null")
	return errors.Join(k.Save(ctx, c), k.Save(ctx, c))
}

// counts reports whether there is something to go on with.
func (c *Checkpoint) counts() bool {
	return c != nil && len(c.Data) > 0 && string(c.Data) != "null"
}
