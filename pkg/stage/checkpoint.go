package stage

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"migrate-init/pkg/machine"
)

// Checkpoints of a long copy come every few seconds: as records they would fill the journal. They take the volume's
// last two slots in turn, so that a torn one leaves the one before. A slot is as a record's, with its own magic.
const (
	checkpointMark  = "MIJC"
	checkpointSlots = 2
)

// checkpoint is how far a copy is on the target's medium. Data is the engine's own.
type checkpoint struct {
	N     uint64          `json:"n"`
	Key   string          `json:"key"`   // the part of the journal that it belongs to: "copy:UUID"
	Stamp string          `json:"stamp"` // of the source: a source that was written to since is copied from the start
	Data  json.RawMessage `json:"data"`
}

func checkpointAt(n uint64, size int64) int64 {
	return (size/slotSize - checkpointSlots + int64(n%checkpointSlots)) * slotSize
}

func (c checkpoint) slot(plan string) ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("checkpoint: %d bytes, at most %d fit", len(payload), maxPayload)
	}
	b := make([]byte, slotSize)
	copy(b, checkpointMark)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[8:], sum(int(c.N), plan, payload))
	copy(b[slotHeader:], payload)
	return b, nil
}

// readCheckpoint gives the newest whole checkpoint of a plan, or nil.
func readCheckpoint(r io.ReaderAt, plan string, size int64) *checkpoint {
	var best *checkpoint
	for i := range uint64(checkpointSlots) {
		b := make([]byte, slotSize)
		if _, err := r.ReadAt(b, checkpointAt(i, size)); err != nil {
			continue
		}
		n := binary.LittleEndian.Uint32(b[4:])
		if string(b[:4]) != checkpointMark || n > maxPayload {
			continue
		}
		payload := b[slotHeader : slotHeader+int(n)]
		var c checkpoint
		if json.Unmarshal(payload, &c) != nil || sum(int(c.N), plan, payload) != binary.LittleEndian.Uint32(b[8:]) {
			continue
		}
		if best == nil || c.N > best.N {
			best = &c
		}
	}
	return best
}

// checkpointer writes an engine's checkpoints for one part of the copy.
func (e *Env) checkpointer(ctx context.Context, key, stamp string) func(any) error {
	return func(data any) error {
		if e.journal == "" {
			return nil
		}
		raw, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		e.saved = &checkpoint{N: e.savedN() + 1, Key: key, Stamp: stamp, Data: raw}
		b, err := e.saved.slot(e.Plan.ID)
		if err != nil {
			return err
		}
		return e.do(ctx, machine.WriteDevice{Dev: e.journal, Why: "checkpoint of " + key, Chunks: []machine.Chunk{{Offset: checkpointAt(e.saved.N, e.size), Data: b}}})
	}
}

func (e *Env) savedN() uint64 {
	if e.saved == nil {
		return 0
	}
	return e.saved.N
}

// resumable gives the data of the last checkpoint of a part, nil when there is none or the source changed since.
func (e *Env) resumable(key, stamp string) json.RawMessage {
	if e.saved == nil || e.saved.Key != key || e.saved.Stamp != stamp {
		return nil
	}
	return e.saved.Data
}
