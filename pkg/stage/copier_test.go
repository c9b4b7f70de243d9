package stage

import (
	"context"
	"path"
	"slices"

	"migrate-init/pkg/copy"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
	"migrate-init/pkg/sim"
	"migrate-init/pkg/tree"
)

// copier is the made-up machine's, with the words of a Job.
type copier struct{ w *world }

func pairOf(j copy.Job) sim.Pair {
	return sim.Pair{From: j.From, To: j.To, FromDev: j.FromDev, ToDev: j.ToDev, Blocks: j.Engine == plan.EngineExtent, NewUUID: j.NewUUID, Hollow: j.Hollow}
}

// Precheck implements copy.Copier.
func (c copier) Precheck(_ context.Context, j copy.Job) (tree.Scan, error) {
	return c.w.Precheck(pairOf(j))
}

// Copy implements copy.Copier.
func (c copier) Copy(_ context.Context, j copy.Job) (copy.Counts, error) {
	n, err := c.w.Copy(pairOf(j))
	counts := copy.Counts{Files: n, Bytes: 1}
	if j.Engine == plan.EngineTree {
		counts.Hash = "h"
	}
	return counts, err
}

// Verify implements copy.Copier.
func (c copier) Verify(_ context.Context, j copy.Job) (copy.Counts, error) {
	n, err := c.w.Verify(pairOf(j))
	return copy.Counts{Files: n}, err
}

// finalizing is a copier of a plan that copies blocks.
type finalizing struct{ copier }

// Finalize implements copy.Finalizer.
func (c finalizing) Finalize(j copy.Job) ([]machine.Effect, error) {
	if j.Engine != plan.EngineExtent {
		return []machine.Effect{machine.Remove{Path: path.Join(j.To, copy.ManifestName)}}, nil
	}
	super := sim.Ext4Super(j.NewUUID, "", c.w.Dev(j.ToDev).Size, 0)
	head := slices.Replace(make([]byte, 4096), 1024, 1024+len(super), super...)
	run := func(argv ...string) machine.Effect {
		return machine.Exec{Argv: append(argv, j.ToDev), Alters: []string{j.ToDev}}
	}
	return []machine.Effect{machine.WriteDevice{Dev: j.ToDev, Why: "superblock with uuid " + j.NewUUID, Chunks: []machine.Chunk{{Data: head}}},
		run("e2fsck", "-f", "-p"), run("tune2fs", "-O", "^metadata_csum_seed"), run("resize2fs"), run("tune2fs", "-L", j.NewLabel), run("e2fsck", "-fn")}, nil
}
