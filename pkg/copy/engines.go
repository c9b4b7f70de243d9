package copy

import (
	"context"
	"fmt"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/tree"
)

// Engines is the Copier of a real machine: pkg/tree and pkg/extent. It keeps the sums that a copy by blocks has taken, for
// its verification.
type Engines struct {
	sums map[string]learnt // by Job.ToDev
}

type learnt struct {
	alloc *extent.Allocation
	sums  []extent.Sum
}

// Copy implements Copier.
func (g *Engines) Copy(ctx context.Context, j Job) (Counts, error) {
	switch j.Engine {
	case Tree, "":
		return g.copyTree(ctx, j)
	case Extent:
		return g.copyExtent(ctx, j)
	}
	return Counts{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}

// Precheck implements Copier. A copy by blocks keeps everything, if it can read the filesystem at all.
func (g *Engines) Precheck(ctx context.Context, j Job) (tree.Scan, error) {
	switch j.Engine {
	case Tree, "":
		return precheckTree(ctx, j)
	case Extent:
		src, whole, err := readExtent(j)
		if err != nil {
			return tree.Scan{}, err
		}
		return tree.Scan{Bytes: whole.UsedBytes}, src.Close()
	}
	return tree.Scan{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}

// Verify implements Copier.
func (g *Engines) Verify(ctx context.Context, j Job) (Counts, error) {
	switch j.Engine {
	case Tree, "":
		return g.verifyTree(ctx, j)
	case Extent:
		return g.verifyExtent(ctx, j)
	}
	return Counts{}, fmt.Errorf("engine %s: not known to this migrate-init", j.Engine)
}
