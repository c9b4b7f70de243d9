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

// newDisksWait takes back what an earlier try had come to: a new disk that boots already would find no files while they are
// made again. The journal must have been found: without it the disk may hold a migrated system, which has to go on booting.
func (e *Env) newDisksWait(ctx context.Context) error {
	for _, n := range e.Plan.NewDisks() {
		d, err := e.disk("target disk", n)
		if err != nil {
			return err
		}
		if err := e.makeWait(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// makeWait gives a disk with a signed boot sector the code that goes on to the next disk.
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
