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

// makeWait gives a disk with a signed boot sector the code that goes on to the next disk. One that boots already, from an
// earlier try, would find no files while they are made again.
func (e *Env) makeWait(ctx context.Context, d *plan.Device) error {
	was, err := e.readAt(d.Path, 0, bootSectorSize)
	if err != nil {
		return err
	}
	lba0, err := e.waiting(was)
	if signed := was[510] == 0x55 && was[511] == 0xaa; err != nil || !signed || bytes.Equal(was, lba0) {
		return err
	}
	return e.do(ctx, machine.WriteDevice{Dev: d.Path, Why: "boot code that goes on to the next disk", Chunks: []machine.Chunk{{Offset: 0, Data: lba0}}})
}
