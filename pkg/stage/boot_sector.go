package stage

import (
	"bytes"
	"context"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

const bootSectorSize = 512

// waiting is a boot sector whose code goes on to the next disk; the rest of it stays.
func (e *Env) waiting(lba0 []byte) ([]byte, error) {
	l, err := e.Loaders.Of(e.Plan)
	if err != nil || l.Waiting == nil {
		return lba0, err
	}
	out := bytes.Clone(lba0)
	copy(out, l.Waiting())
	return out, nil
}

// makeWait gives a new disk that boots already, from an earlier try, the code that goes on to the next disk: while its
// files are made again, its boot loader may find none.
func (e *Env) makeWait(ctx context.Context, d *plan.Device) error {
	was, err := e.readAt(d.Path, 0, bootSectorSize)
	if err != nil {
		return err
	}
	lba0, err := e.waiting(was)
	if err != nil || bytes.Equal(was, lba0) {
		return err
	}
	return e.do(ctx, machine.WriteDevice{Dev: d.Path, Why: "boot code that goes on to the next disk", Chunks: []machine.Chunk{{Offset: 0, Data: lba0}}})
}
