package copy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const checkpointMark = "MIJC"

// Checkpoint records which part of a copy is durable on the target.
type Checkpoint struct {
	N      uint64          `json:"n"`                // sequence number; the higher of two is the newer one
	Key    string          `json:"key"`              // identifies the copy, in the caller's terms
	Stamp  string          `json:"stamp"`            // the state of the source; a checkpoint with another stamp is ignored
	Source string          `json:"source,omitempty"` // where the source was; only for messages
	Data   json.RawMessage `json:"data"`             // the engine's own state; null: nothing on the target is valid
}

// Slots are two places on a medium. Checkpoints are written to them in turn, so that a torn write leaves the previous one.
type Slots struct {
	At   [2]int64 // byte offsets
	Size int      // bytes, for each
	Salt string   // see EncodeSlot: slots of another plan are ignored
}

// Encode returns the slot that holds c, and the byte offset to write it to.
func (s Slots) Encode(c Checkpoint) (offset int64, slot []byte, err error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return 0, nil, err
	}
	slot, err = EncodeSlot(checkpointMark, s.Salt, payload, s.Size)
	return s.At[c.N%2], slot, err
}

// Read returns the newest intact checkpoint, or nil if there is none. If err is not nil, a slot could not be read, and best
// may not be the newest. A medium too short for a slot is not an error.
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

// Checkpoints reads and writes the checkpoints of copies that run one after the other.
type Checkpoints struct {
	Slots Slots
	// Write writes a slot at a byte offset. The slot must be durable when Write returns.
	Write func(ctx context.Context, c Checkpoint, offset int64, slot []byte) error
	Last  *Checkpoint // the last one read or written; nil if there is none
}

// Attach makes j write its checkpoints here. If the last checkpoint has the Key and Stamp of c, j resumes from it.
func (k *Checkpoints) Attach(ctx context.Context, j *Job, c Checkpoint) {
	if l := k.Last; l != nil && l.Key == c.Key && l.Stamp == c.Stamp && l.resumable() {
		j.Resume = l.Data
	}
	j.Checkpoint = func(data any) (err error) {
		if c.Data, err = json.Marshal(data); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		err = k.Save(ctx, c)
		// A checkpoint with more unreadable ranges than fit the slot is not written: whatever follows the last one that was
		// written is copied, and listed, again.
		if errors.Is(err, errSlotTooSmall) {
			return nil
		}
		return err
	}
}

// Save assigns c the next sequence number and writes it over the older of the two slots.
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

// Invalidate records in both slots that nothing on the target is valid. Last is not nil afterwards: it shows that a copy was
// started there.
func (k *Checkpoints) Invalidate(ctx context.Context, c Checkpoint) error {
	c.Data = json.RawMessage("null")
	return errors.Join(k.Save(ctx, c), k.Save(ctx, c))
}

// resumable reports whether a copy can resume from c.
func (c *Checkpoint) resumable() bool {
	return c != nil && len(c.Data) > 0 && string(c.Data) != "null"
}
