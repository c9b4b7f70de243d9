package stage

import (
	"context"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
)

// checkpointSlots is how many slots at the end of the journal's volume take the checkpoints of long copies. They come every
// few seconds: as records they would fill the journal.
const checkpointSlots = 2

func slotsAtEnd(plan string, size int64) copy.Slots {
	first := (size/slotSize - checkpointSlots) * slotSize
	return copy.Slots{At: [2]int64{first, first + slotSize}, Size: slotSize, Salt: plan}
}

// keepCheckpoints makes a copy write its checkpoints to the journal's volume, and go on from the last one if that is of
// this copy and of this state of its source. Without a journal it does neither.
func (e *Env) keepCheckpoints(ctx context.Context, j *copy.Job, key, stamp string) {
	if e.journal == "" {
		return
	}
	e.checkpoints.Slots = slotsAtEnd(e.Plan.ID, e.size)
	e.checkpoints.Write = func(ctx context.Context, c copy.Checkpoint, offset int64, slot []byte) error {
		return e.do(ctx, machine.WriteDevice{Dev: e.journal, Why: "checkpoint of " + c.Key, Chunks: []machine.Chunk{{Offset: offset, Data: slot}}})
	}
	e.checkpoints.Attach(ctx, j, copy.Checkpoint{Key: key, Stamp: stamp})
}
